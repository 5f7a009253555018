"""The dashboard as an ASGI application: which page, as HTML, as JSON or as a fragment, once a second at most."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from .access import Access
from .acting import Acting
from .answers import Answers
from .guards import Guard
from .json_form import as_json_bytes
from .login import login_routes
from .options import Options
from .pages import PAGES
from .rendering import ASSETS, ASSETS_MARK
from .servers import Servers
from .view import Look, Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

#: Seconds for which a page that was made is given to others who ask for the same.
_PAGE_LIFE_S = 1.0
#: Bytes of a page that is given to others.
_LARGEST_KEPT = 262_144
#: The script asks for a part of a page with this header.
FRAGMENT = "x-arq-fragment"


class Made(NamedTuple):
    """A page that was made."""

    status: int
    body: bytes
    etag: str


class Dashboard:
    """The application. It connects at the first request, and `aclose` ends that."""

    def __init__(self, servers: Servers, options: Options) -> None:
        self._servers = servers
        self._answers = Answers(servers, options)
        routes = [
            Route("/static/{name}", _asset),
            *login_routes(self._answers),
            Route("/act", Acting(self._answers).endpoint, methods=["POST"]),
            *(Route(path, self._endpoint(load)) for paths, load in PAGES for path in paths),
        ]
        handlers: Any = {HTTPException: self._refused}  # of no such page
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        self._app = Guard(app, options.origins, only_loopback=options.only_loopback)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            scope = {**scope, "path": _tidy(scope["path"], scope.get("root_path", ""))}
        await self._app(scope, receive, send)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._servers.close()

    def _endpoint(self, load: Callable[[Look], Awaitable[Page]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._answers.answer(request, functools.partial(self._page, load))

        return endpoint

    async def _page(
        self, load: Callable[[Look], Awaitable[Page]], request: Request, access: Access
    ) -> Response:
        is_json = request.scope["path"].endswith(".json")
        is_fragment = FRAGMENT in request.headers

        async def make() -> Made:
            look = self._answers.look(request, access)
            page = replace(await load(look), away=look.lookups.away)
            if is_json:
                away = {"away": page.away} if self._servers.names else {}
                write = functools.partial(as_json_bytes, {**page.json, **away})
            else:
                write = functools.partial(
                    self._answers.render, request, page, access, is_fragment=is_fragment
                )
            # a long list takes some tenths of a second: others are served meanwhile
            body = await asyncio.to_thread(write) if page.is_long else write()
            return _made(page.status, body)

        where = (request.scope.get("root_path"), request.scope["path"], request.url.query)
        key = ("page", *where, access, is_fragment)
        made: Made = await self._servers.answers.get(key, _PAGE_LIFE_S, make)
        if len(made.body) > _LARGEST_KEPT:
            self._servers.answers.drop(key)
        headers = {"ETag": made.etag}
        if request.headers.get("if-none-match") == made.etag:
            return Response(status_code=304, headers=headers)
        return Response(made.body, made.status, headers, "application/json" if is_json else "text/html")

    async def _refused(self, request: Request, exc: HTTPException) -> Response:
        return self._answers.told(request, exc.status_code, str(exc.detail))


def _tidy(path: str, root: str) -> str:
    """The path without a slash at its end, which is none of a job's: no redirect is needed, which would have to know
    under which address browsers reach this.
    """
    inner = path.removeprefix(root)
    if inner in ("", "/"):
        return f"{root}/"
    return path if inner.startswith("/jobs/") and inner != "/jobs/" else path.rstrip("/")


def _made(status: int, body: bytes) -> Made:
    mark = hashlib.sha256(body).hexdigest()[:32]
    return Made(status, body, f'"{mark}"')


async def _asset(request: Request) -> Response:
    asset = ASSETS.get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404, "there is no such file")
    is_named = request.query_params.get("v") == ASSETS_MARK
    headers = {"Cache-Control": "public, max-age=31536000, immutable"} if is_named else {}
    return Response(asset.body, 200, headers, asset.media_type)
