"""What stands before all pages: hosts and origins that are none, large and slow requests, headers of all answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from .access import is_loopback, origin_of, require_origins

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Everything from where the page is from, nothing inline, and in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_READING = ("GET", "HEAD")


class Guard:
    """Lets those requests pass that may be answered.

    Args:
        app: what answers them.
        origins: where the dashboard may be reached beside its own address, as `https://ops.example.com`.
        only_loopback: refuse hosts that are not this machine: a page whose name was made to lead here (DNS rebinding)
            says another one.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str], *, only_loopback: bool) -> None:
        self._app = app
        self._origins = require_origins(origins)
        self._hosts = frozenset(urlsplit(one).netloc for one in self._origins)
        self._only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why it is not answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        else:
            await refuse(send_guarded, *refusal)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Status and reason; None: it may pass."""
        host = headers.get("host", "")
        if self._only_loopback and not (is_loopback(host) or host.lower() in self._hosts):
            return 403, "this dashboard answers on this machine's own address only; see --origin"
        if method in _READING:
            return None
        if method != "POST":
            return 405, "this method does nothing here"
        if not self._is_own(host, headers):
            return 403, "this request comes from another site; see --origin"
        return None

    def _is_own(self, host: str, headers: Headers) -> bool:
        """Whether a page of this dashboard asks, or a program that has the token and is no browser."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:  # the browser says it, whatever a proxy has made of the host
            return site == "same-origin"
        if origin is None:
            return headers.get("authorization", "").lower().startswith("bearer ")
        try:
            return origin_of(origin) in self._origins or urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False


async def refuse(send: Send, status: int, reason: str) -> None:
    """Answer with one line, as JSON: whoever gets it is seldom a person."""
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def cookies(header: str) -> Iterator[tuple[str, str]]:
    """Names and values; a client may send anything."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        yield name, value


def client_of(scope: dict[str, Any] | Scope) -> str:
    """The address that a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "?"
