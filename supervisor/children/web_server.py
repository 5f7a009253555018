"""`--web HOST:PORT`: the dashboard in a child of its own, without user code.

It is of less worth than any worker: it takes no CPU from them while they need it, and for memory it is ended first. It
listens to a socket of the parent, so that viewers who come while it is replaced wait for a moment, and are answered.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arq._redis.shard_settings import Shard
from arq.connections import RedisSettings

from ..addresses import split_address, words_of
from ..exit_codes import ChildCode
from ..host.process_title import present_as
from ..ipc.brief import Brief
from ..ipc.child_end import ChildEnd, beat, new_loop
from ..ipc.codec import read_message
from ..ipc.frames import LONGEST_ORDER_BYTES, Decoder
from ..ipc.messages import TO_WEB, BeatMessage, ByeMessage, ReadyMessage, SubjectMessage
from ..ipc.pipes import Pipes
from ..ipc.redis_settings import unpack
from ..options import WEB_TOKEN, Options
from .process_setup import be_first_victim
from .worker_log import configure_child_log

if TYPE_CHECKING:
    from arq.web import Dashboard

NICENESS = 5
FAREWELL_S = 1
LOOK_AGAIN_S = 2
REFRESH_S = 5.0
UNKNOWN = "No worker has been ready yet, so it is not known where their Redis is: the pool's log says why."
KEPT = (
    "The workers' Redis settings are of a class of the application, and stay with the workers: "
    "run `arq web --redis URL` instead."
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def main(brief: Brief, pipes: Pipes) -> int:
    """Serve until told to end; returns the exit code."""
    options = brief.options
    present_as("web", "we", options.name, brief.generation)
    be_first_victim()
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(NICENESS)
    loop = new_loop(options.uvloop)
    configure_child_log(options.name, "web", options.log_format, options.log_level, loop)
    of_server = logging.getLogger("uvicorn")
    of_server.handlers = logging.getLogger("arq").handlers
    of_server.setLevel(logging.WARNING)
    return loop.run_until_complete(WebServer(options, pipes, ChildEnd(pipes.beat_fd)).run())


def _beat(lag_ms: float) -> BeatMessage:
    return BeatMessage(lag_ms=lag_ms)


class WebServer:
    """Shows the Redis of which the parent has told last."""

    def __init__(self, options: Options, pipes: Pipes, line: ChildEnd) -> None:
        self._options = options
        self._pipes = pipes
        self._line = line
        self._decoder = Decoder(LONGEST_ORDER_BYTES)
        self._dashboard: Dashboard | None = None
        self._why_none = UNKNOWN

    async def run(self) -> int:
        """Until the parent says so, or is gone."""
        from arq._web.server import server

        loop = asyncio.get_running_loop()
        os.set_blocking(self._pipes.orders_fd, False)
        loop.add_reader(self._pipes.orders_fd, self._read)
        loop.add_reader(self._pipes.life_fd, os._exit, 0)
        serving = server(self)
        serving.config.timeout_graceful_shutdown = FAREWELL_S
        duty = asyncio.create_task(beat(self._line, self._options.heartbeat_s, _beat))
        self._line.send_surely(ReadyMessage())
        signal.signal(
            signal.SIGTERM, lambda *_: None
        )  # the server has a handler meanwhile, and sends it again
        await serving.serve(sockets=[socket.socket(fileno=self._pipes.socket_fd)])
        duty.cancel()
        if self._dashboard is not None:
            await self._dashboard.aclose()
        self._line.send_surely(ByeMessage("stop"))
        return ChildCode.CLEAN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._dashboard or waiting_page(self._why_none)
        await app(scope, receive, send)

    def _read(self) -> None:
        try:
            while data := os.read(self._pipes.orders_fd, 65536):
                for frame in self._decoder.feed(data):
                    match read_message(frame, TO_WEB):
                        case SubjectMessage(queue=queue, settings=settings):
                            self._show(queue, settings)
        except BlockingIOError:
            return

    def _show(self, queue: str, redis_text: str) -> None:
        """Show this queue in this Redis from now on."""
        before, self._dashboard, self._why_none = self._dashboard, None, KEPT
        if before is not None:
            self._closing = asyncio.create_task(before.aclose())
        if redis_text:
            given = unpack(redis_text)
            self._dashboard = self._made(given.settings if isinstance(given, Shard) else given, queue)

    def _made(self, redis: RedisSettings | dict[str, RedisSettings], queue: str) -> "Dashboard":
        from arq._web.alone import for_everybody

        host, _ = split_address(self._options.web)
        return for_everybody(
            redis if isinstance(redis, dict) else replace(redis, conn_retries=0),
            host,
            queues=(queue,),
            token=os.environ.get(WEB_TOKEN) or None,
            allow=self._options.web_allow,
            hide_args=False,
            redact="",
            title=self._options.name,
            origins=words_of(self._options.web_origin),
            refresh_s=REFRESH_S,
        )


def waiting_page(why: str) -> App:
    """Tells why there is nothing to see yet, and looks again."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"refresh", str(LOOK_AGAIN_S).encode()),
            (b"retry-after", str(LOOK_AGAIN_S).encode()),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": f"{why}\n".encode()})

    return answer
