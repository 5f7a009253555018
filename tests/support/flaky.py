"""A TCP proxy in front of Redis that breaks at the moment a test asks for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from enum import Enum, auto

from tests.support.servers import HOST, RedisServer


class Fault(Enum):
    """What happens to the next request that contains the marker, and to its answer."""

    #: the request does not arrive
    REQUEST_LOST = auto()
    #: half of the request arrives
    REQUEST_HALVED = auto()
    #: the request is carried out, its answer does not come back
    ANSWER_LOST = auto()
    #: the request is carried out, a part of its answer comes back
    ANSWER_HALVED = auto()
    #: the request is carried out, its answer never comes, the connection stays open
    ANSWER_STALLED = auto()


class FlakyProxy:
    """Passes everything on until `arm` is called; one fault at a time, on one connection."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._armed: tuple[Fault, bytes] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        #: what went wrong in the proxy itself
        self.errors: list[BaseException] = []
        #: how many faults have happened
        self.struck = 0
        self.port = 0

    def arm(self, fault: Fault, marker: bytes) -> None:
        """Let the next request that contains `marker` suffer."""
        self._armed = fault, marker

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Cut all connections and accept none."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    def cut(self) -> None:
        """Cut all connections that there are."""
        for task in self._tasks:
            task.cancel()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        task.add_done_callback(lambda _: writer.close())  # also when it was cancelled before it began

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            return
        redis_reader, redis_writer = await asyncio.open_connection(HOST, self._server.port)
        answers = asyncio.create_task(_pass_on(redis_reader, writer))
        try:
            await self._pass_requests_on(reader, redis_writer, redis_reader, writer, answers)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            answers.cancel()
            writer.close()
            redis_writer.close()
            await asyncio.gather(
                answers, writer.wait_closed(), redis_writer.wait_closed(), return_exceptions=True
            )

    async def _pass_requests_on(
        self,
        reader: asyncio.StreamReader,
        redis_writer: asyncio.StreamWriter,
        redis_reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        while data := await reader.read(1 << 20):
            if self._armed is None or self._armed[1] not in data:
                redis_writer.write(data)
                continue
            fault, self._armed = self._armed[0], None
            self.struck += 1
            if fault is Fault.REQUEST_LOST:
                return
            if fault is Fault.REQUEST_HALVED:
                redis_writer.write(data[: len(data) // 2])
                await redis_writer.drain()
                return
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            redis_writer.write(data)
            answer = await redis_reader.read(1 << 20)
            if fault is Fault.ANSWER_STALLED:
                await reader.read()
            elif fault is Fault.ANSWER_HALVED:
                writer.write(answer[: len(answer) // 2])
                await writer.drain()
            return


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def flaky_proxy(server: RedisServer) -> AsyncIterator[FlakyProxy]:
    """A proxy in front of a server, on a port of its own."""
    proxy = FlakyProxy(server)
    listener = await asyncio.start_server(proxy.accept, HOST, 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        proxy.cut()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await listener.wait_closed()
        assert not proxy.errors, f"the proxy itself failed: {proxy.errors!r}"
