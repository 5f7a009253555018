"""A connection of one's own to Redis: many script calls in one round trip, and nothing repeated behind our back.

For workers: a pool's client may send a command again after a lost connection. For a claim that would be a second
claim, with the jobs of the first one stranded; so the worker uses a connection of its own and decides itself what to
do when an answer is lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from .._loop_exits import end_copy
from . import early_answers, plain_io, tracing
from .connection_pools import is_dead, prefix_of
from .key_prefix import under
from .reply_timeout import Patience
from .script_loader import Call
from .script_runner import run_all
from .without_lua import hangs_up_after

#: Seconds to wait for an answer. Redis may stop for seconds to fork or to load; longer means that the peer is gone.
REPLY_TIMEOUT_S = 10.0


class Link:
    """One connection, opened when it is needed.

    Args:
        pool: the pool whose settings the connection shares.
        timeout_s: seconds to wait for answers.
        prefix: what all keys begin with at the server; None: that of the pool.
    """

    def __init__(
        self, pool: ConnectionPool, timeout_s: float = REPLY_TIMEOUT_S, prefix: str | None = None
    ) -> None:
        self._pool = pool
        self._prefix = prefix_of(pool) if prefix is None else prefix
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._patience = Patience(timeout_s, lambda: in_motion(self._connection))
        self._pid = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, on which nothing has failed so far."""
        return self._connection is not None

    async def call(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts, all in one round trip; scripts that the server does not know take a second one.

        Raises:
            redis.exceptions.RedisError, OSError, TimeoutError: Redis could not be reached or refused. What was sent may
                have been carried out.
        """
        return await run_all(self.commands, calls, self._prefix)

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one round trip; what Redis refuses comes back as an exception in the list."""
        if os.getpid() != self._pid:
            end_copy()
        if self._prefix:
            commands = [under(self._prefix, command) for command in commands]
        async with self._turn:
            try:
                with self._patience:
                    connection = await self._connected()
                    if tracing.are_wanted():
                        return await tracing.talk(self._pool, connection, commands)
                    await plain_io.write(connection, b"".join(map(pack_command, commands)))
                    return await read_answers(connection, len(commands))
            except (
                BaseException
            ):  # also a cancellation: answers that nobody has read would be taken for the next ones
                await self._disconnect()
                raise

    async def open(self) -> None:
        """Connect, if need be. Where answers take as long as they take, `send` and `read` are used, not `commands`."""
        await self._connected()

    async def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send commands over the open connection, before the answers to earlier ones are here. Written at once."""
        if os.getpid() != self._pid:
            end_copy()
        if self._connection is None:
            raise ConnectionError("the connection is closed")
        if self._prefix:
            commands = [under(self._prefix, command) for command in commands]
        await plain_io.write(self._connection, b"".join(map(pack_command, commands)), check_health=False)

    async def read(self, count: Callable[[], int], tell: Callable[[list[Any]], None]) -> list[Any]:
        """The next answers; what Redis refused as an exception, not raised. See `early_answers.answers`."""
        if self._connection is None:
            raise ConnectionError("the connection is closed")
        return await early_answers.answers(self._connection, count, tell)

    async def _connected(self) -> Connection:
        if self._connection is not None and was_cut(self._connection):
            await self._disconnect()  # before anything was sent: nothing can be carried out twice
        if self._connection is None:
            connection = cast(Connection, self._pool.make_connection())  # type: ignore[no-untyped-call]
            connection.retry = Retry(NoBackoff(), 0)
            connection.socket_timeout = None  # redis-py 8 sets 5 s; here the caller says how long to wait
            await connection.connect()  # type: ignore[no-untyped-call]
            self._connection = connection
        return self._connection

    async def drop(self) -> None:
        """Close the connection, after a call that is under way; the next call opens a new one."""
        async with self._turn:
            await self._disconnect()

    async def _disconnect(self) -> None:
        self._patience.stop()
        connection, self._connection = self._connection, None
        if connection is not None and not is_dead(connection):
            await connection.disconnect(nowait=True)


def was_cut(connection: Connection) -> bool:
    """Whether a connection on which nothing is expected is of no use: the other side has closed it, idle ones do not
    live for ever, or its event loop is closed.
    """
    reader = getattr(connection, "_reader", None)
    return reader is not None and (reader.at_eof() is True or is_dead(connection))


async def read_answers(connection: Connection, count: int) -> list[Any]:
    """The next answers; what Redis refused as exceptions.

    Of a server that hangs up after a refusal, as fakeredis 2.26 does, the refusal is the answer to all that follows.
    """
    answers: list[Any] = []
    try:
        while len(answers) < count:
            answers.append(await plain_io.read_answer(connection))
    except RedisConnectionError:
        if not (answers and hangs_up_after(answers[-1])):
            raise
        answers += answers[-1:] * (count - len(answers))
    return answers


def in_motion(connection: Connection | None) -> tuple[int, int] | None:
    """How far a transfer is: bytes that wait to be sent, bytes of an answer that is not complete; None: there is none.

    Where redis-py keeps them is its own business: a version that has them elsewhere has no transfers.
    """
    transport: Any = getattr(getattr(connection, "_writer", None), "transport", None)
    reader: Any = getattr(getattr(connection, "_parser", None), "_reader", None)
    waiting = transport.get_write_buffer_size() if hasattr(transport, "get_write_buffer_size") else 0
    # what it has read already stays in its buffer for a while, and counts in its length
    received = reader.len() if hasattr(reader, "has_data") and reader.has_data() else 0
    return (waiting, received) if waiting or received else None
