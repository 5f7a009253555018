"""Whether somebody has logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .access import Token
from .guards import cookies

if TYPE_CHECKING:
    from starlette.requests import Request

COOKIE = "arq_dashboard"


def is_logged_in(request: Request, token: Token) -> bool:
    """Whether a request has the token, or a cookie of ours."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.is_it(given.strip())
    sent = cookies(request.headers.get("cookie", ""))
    return any(name == COOKIE and token.accepts(value) for name, value in sent)
