"""Answers that are told of while they are being read from the socket, one turn of the event loop before a task could.

redis-py reads by a stream: what arrives goes into a buffer, and in the next turn a task goes on that takes it out of
there, through a dozen functions. A worker that has slept for a while has none of these in its caches, and that is what
a job waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .plain_io import NOTHING_YET, is_read_here, is_ready, looked_at, read_answer

#: Answers that need no closer look.
_PLAIN = (bytes, int, type(None))


class _Tap(asyncio.Protocol):
    """Stands between a connection and the stream from which it is read, to which it hands on everything else.

    Args:
        stream_protocol: puts what arrives into the stream.
    """

    def __init__(self, stream_protocol: asyncio.StreamReaderProtocol) -> None:
        self._below = stream_protocol
        self._reader: Any = None
        self._count: Callable[[], int] = lambda: 0
        self._tell: Callable[[list[Any]], None] = lambda _: None
        self._waiter: asyncio.Future[tuple[list[Any], bool]] | None = None
        self._found: list[Any] = []

    def expect(
        self, reader: Any, count: Callable[[], int], tell: Callable[[list[Any]], None]
    ) -> asyncio.Future[tuple[list[Any], bool]]:
        """See `answers`. The future's result: what has come, as it came, and whether it was told."""
        self._reader, self._count, self._tell, self._found = reader, count, tell, []
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._waiter = None
            self._below.data_received(data)
            return
        try:
            is_plain = self._read(data)
            if is_plain is None:
                return
            self._waiter = None
            if is_plain:
                self._tell(self._found)
        except Exception as exc:  # noqa: BLE001  (it is for whoever waits)
            waiter.set_exception(exc)
        else:
            waiter.set_result((self._found, is_plain))

    def _read(self, data: bytes) -> bool | None:
        """Read what has come; returns whether it may be told, None: it is not complete."""
        self._reader.feed(data)
        gets, found = self._reader.gets, self._found
        while len(found) < self._count():
            answer = gets(False)
            if answer is NOTHING_YET:
                return None
            found.append(answer)
            if not _is_plain(answer):
                return False
        return True

    def pause_writing(self) -> None:
        """Too much waits to be sent."""
        self._below.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self._below.resume_writing()

    def eof_received(self) -> bool | None:
        """The other side will send no more."""
        result = self._below.eof_received()
        self._end()
        return result

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._below.connection_lost(exc)
        self._end()

    def _end(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result((self._found, False))


def _is_plain(answer: Any) -> bool:
    kind = type(answer)
    return kind in _PLAIN or (kind is list and not (answer and isinstance(answer[0], Exception)))


def _tap_of(connection: Any) -> _Tap | None:
    """Its tap, put in its place if need be; None: the connection is of a kind that is not known here."""
    transport = connection._writer.transport
    protocol = transport.get_protocol()
    if type(protocol) is _Tap:
        return protocol
    if type(protocol) is not asyncio.StreamReaderProtocol or transport.get_write_buffer_size():
        return None
    tap = _Tap(protocol)
    transport.set_protocol(tap)
    return tap


async def answers(connection: Any, count: Callable[[], int], tell: Callable[[list[Any]], None]) -> list[Any]:
    """The next answers, as `read_answer` returns them.

    Args:
        count: asked after each answer: how many there will be.
        tell: called with them as soon as they are here, if none of them needs a closer look; not from a task.

    Raises:
        redis.exceptions.RedisError: they do not come.
        Exception: what `tell` raises.
    """
    found: list[Any] = []
    if is_read_here(connection) and is_ready(connection) and (tap := _tap_of(connection)) is not None:
        came, is_told = await tap.expect(connection._parser._reader, count, tell)
        if is_told:
            return came
        found = [await looked_at(connection, answer) for answer in came]
    while len(found) < count():
        found.append(await read_answer(connection))
    return found
