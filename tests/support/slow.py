"""A slow line to Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.support.servers import HOST, RedisServer

#: Bytes that are passed on at a time, and the pause after it, in s: about 10 MB/s.
_PIECE, _PAUSE_S = 64 * 1024, 0.006


class SlowLine:
    """Passes everything on, a piece at a time."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection(HOST, self._server.port, limit=_PIECE)
        both = [_pass_on(reader, redis_writer), _pass_on(redis_reader, writer)]
        try:
            await asyncio.gather(*both)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            for one in (writer, redis_writer):
                one.close()
            await asyncio.gather(writer.wait_closed(), redis_writer.wait_closed(), return_exceptions=True)

    async def close(self) -> None:
        """Cut all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    never = asyncio.get_running_loop().create_future()
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()
        if len(data) == _PIECE:
            await asyncio.wait([never], timeout=_PAUSE_S)
    writer.close()


@contextlib.asynccontextmanager
async def slow_line(server: RedisServer) -> AsyncIterator[SlowLine]:
    """A slow line to a server, on a port of its own."""
    line = SlowLine(server)
    listener = await asyncio.start_server(line.accept, HOST, 0, limit=_PIECE)
    line.port = listener.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        listener.close()
        await line.close()
