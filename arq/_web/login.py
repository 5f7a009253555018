"""The token: asked for once, then a cookie stands for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .access import SESSION_S
from .forms import read_form
from .session import COOKIE

if TYPE_CHECKING:
    from starlette.requests import Request

    from .answers import Answers


def login_routes(answers: Answers) -> list[Route]:
    """Where one logs in and out."""

    async def login(request: Request) -> Response:
        token = answers.options.token
        form = await read_form(request)
        if token is None or not token.is_it(form.get("token", "")):
            return answers.told(request, 401, "that is not the token", following=form.get("next", ""))
        answer = _redirect(answers, request, form.get("next", ""))
        is_secure = request.url.scheme == "https" or _came_by_tls(request)
        answer.set_cookie(
            COOKIE,
            token.new_cookie(),
            max_age=SESSION_S,
            path=answers.links(request).to(""),
            secure=is_secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    async def logout(request: Request) -> Response:
        answer = _redirect(answers, request, "")
        answer.delete_cookie(COOKIE, path=answers.links(request).to(""), httponly=True, samesite="strict")
        return answer

    return [Route("/login", login, methods=["POST"]), Route("/logout", logout, methods=["POST"])]


def _came_by_tls(request: Request) -> bool:
    return request.headers.get("origin", "").startswith("https://")


def _redirect(answers: Answers, request: Request, following: str) -> RedirectResponse:
    """To a page of ours, and to nowhere else."""
    start = answers.links(request).to("")
    is_ours = (
        following.startswith(start) and not following.startswith(("//", "/\\")) and following.isprintable()
    )
    return RedirectResponse(following if is_ours else start, 303)
