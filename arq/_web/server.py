"""The dashboard on its own: an HTTP server with limits for clients that are many, slow or greedy."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .at_prefix import AtPrefix

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from .application import Dashboard

logger = logging.getLogger("arq.web")

#: Connections at the same time, and requests that are answered at the same time.
MOST_CONNECTIONS, MOST_REQUESTS = 500, 100
#: Seconds: until a request has come whole, or the next one begins; and until an answer is read.
IDLE_S, ANSWER_S = 15.0, 90.0
#: Bytes of the head of a request.
_LARGEST_HEAD = 65_536
_LOOK_S = 2.5


class PatientProtocol(H11Protocol):
    """A connection that is closed when nothing comes of it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch it."""
        super().connection_made(transport)
        self._phase: tuple[object, bool] = (None, True)
        self._since_s = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch = self.loop.call_later(_LOOK_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no more."""
        super().connection_lost(exc)
        watch = getattr(self, "_watch", None)
        if watch is not None:
            watch.cancel()

    def _look(self) -> None:
        cycle: Any = self.cycle  # None before the first request
        phase = (cycle, cycle is None or cycle.response_complete)
        if phase != self._phase:
            self._phase, self._since_s = phase, self.loop.time()
        patience_s = IDLE_S if phase[1] else ANSWER_S
        if self.loop.time() - self._since_s > patience_s:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(_LOOK_S, self._look)


class QuietServer(uvicorn.Server):
    """Ends when a signal says so, and leaves it to its caller how the process ends.

    Attributes:
        ended_by: the signal; None: there was none.
    """

    ended_by: signal.Signals | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own sends itself the signal again in the end, which kills the process before it has tidied up."""
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            loop.add_signal_handler(number, self._end, number)
        yield
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def _end(self, number: signal.Signals) -> None:
        self.ended_by = number
        self.handle_exit(number, None)


def server(app: ASGIApp) -> QuietServer:
    """A server that is not started yet.

    Args:
        app: what answers.
    """
    options: dict[str, Any] = {
        "http": PatientProtocol,
        "ws": "none",
        "lifespan": "off",
        "loop": "asyncio",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "limit_concurrency": MOST_REQUESTS + MOST_CONNECTIONS,
        "timeout_keep_alive": 10,
        "timeout_graceful_shutdown": 5,
        "h11_max_incomplete_event_size": _LARGEST_HEAD,
        "backlog": 256,
    }
    return QuietServer(uvicorn.Config(app, **options))


async def serve(app: Dashboard, prefix: str, listener: socket.socket) -> signal.Signals | None:
    """Serve on a socket that listens, until a signal comes, which is returned.

    Args:
        app: the dashboard.
        prefix: see `AtPrefix`.
        listener: the socket.
    """
    found = server(AtPrefix(app, prefix))
    try:
        await found.serve(sockets=[listener])
    finally:
        await app.aclose()
    return found.ended_by
