"""A producer's way to Redis: a connection of the pool, kept for a moment between two calls.

redis-py takes a connection from the pool and gives it back for every command, packs commands in Python, and starts a
task and two timers for each. For a producer that awaits one `enqueue_job` after the other that is more than half of
its time (354 us of CPU a job with it, 150 us without; redis-py 8.1, Python 3.11).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from . import plain_io, tracing
from .connection_pools import connection_of
from .key_prefix import under
from .reply_timeout import Patience
from .script_loader import Call
from .script_runner import after_refusals, run_all
from .worker_connection import in_motion, read_answers

#: Seconds after which an answer on a connection of our own pools is taken for lost, if their time-out is not shorter.
ANSWER_S = 5.0
#: Seconds that an unused connection is kept. To take one from the pool, which asks first whether it still lives, costs
#: a tenth of a millisecond. Other commands of the same client get it back at once, and small pools always.
_KEEP_S = 1.0
#: A pool with fewer connections than this gets each one back at once: its owner may have counted them.
_SMALL_POOL = 1000
#: redis-py 5.0 - 5.2 want the name of a command when a connection is taken; 5.3 and later warn about it.
_NAMES_COMMAND = tuple(int(part) for part in version("redis").split(".")[:2]) < (5, 3)


class _Loan:
    """A connection that is ours until it is given back; meanwhile the time limit is kept by us."""

    def __init__(
        self, connection: Connection, loop: asyncio.AbstractEventLoop, answer_s: float | None
    ) -> None:
        self.connection = connection
        self.loop = loop
        self.used_s = 0.0
        self._answer_s = answer_s
        self._patience = Patience(None, functools.partial(in_motion, connection))
        self.begin()

    def begin(self) -> None:
        """The connection is ours, perhaps not for the first time."""
        self._is_closed = False
        self._socket_timeout = self.connection.socket_timeout
        limit_s = min(filter(None, (self._answer_s, self._socket_timeout)), default=None)
        if limit_s != self._patience.limit_s:
            self._patience.stop()
            self._patience.limit_s = limit_s
        self.connection.socket_timeout = None

    async def talk(
        self, pool: ConnectionPool, packed: bytes, commands: Sequence[tuple[Any, ...]] | None
    ) -> list[Any]:
        """Send commands and read their answers. None: it is one, and nobody else wants to see it."""
        try:
            with self._patience:
                if self._is_closed:  # left to redis-py, it would not ask a sentinel who is the master now
                    await self.connection.connect()  # type: ignore[no-untyped-call]
                    self._is_closed = False
                if commands is None:
                    await plain_io.write(self.connection, packed)
                    return [await plain_io.read_answer(self.connection)]
                if tracing.are_wanted():
                    return await tracing.talk(pool, self.connection, commands)
                await plain_io.write(self.connection, packed)
                return await read_answers(self.connection, len(commands))
        except TimeoutError as exc:  # the built-in one: redis-py has its own
            raise RedisTimeoutError("Timeout reading from the server") from exc

    async def reset(self, *_: object) -> None:
        """Close the connection; the next use opens it again."""
        self._is_closed = True
        await self.connection.disconnect(nowait=True)

    def end(self) -> Connection:
        """The connection as it was."""
        self.connection.socket_timeout = self._socket_timeout
        return self.connection


class Lane:
    """Sends commands, one call at a time; what breaks is repeated as often as the pool's settings say.

    Args:
        pool: where the connection comes from and goes back to.
        prefix: what all keys begin with at the server.
    """

    def __init__(self, pool: ConnectionPool, prefix: str = "") -> None:
        self._pool = pool
        self.prefix = prefix
        self._answer_s: float | None = None
        self._retry: Retry | None = None
        self._kept: _Loan | None = None
        #: the one before may be used again, if it is that of the connection that we get
        self._last: _Loan | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._returning: asyncio.Task[None] | None = None

    def limit(self, answer_s: float, retry: Retry) -> None:
        """Do not wait and repeat as the pool's connections do.

        Args:
            answer_s: seconds to wait for answers, if the time-out of the pool's connections is not shorter.
            retry: how often to repeat.
        """
        self._answer_s, self._retry = answer_s, retry

    async def run(self, call: Call) -> Any:
        """Run a script.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached, or refuses.
        """
        (answer,) = await run_all(self.commands, [call], self.prefix)
        return answer

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one round trip; what Redis refuses comes back as an exception in the list."""
        if self.prefix:
            commands = [under(self.prefix, command) for command in commands]
        return await self._exchange(b"".join(map(pack_command, commands)), commands)

    async def run_packed(self, packed: bytes, call: Callable[[], Call]) -> Any:
        """Run a script.

        Args:
            packed: the command by its SHA-1, ready to be sent.
            call: gives the same as a call, if that is needed.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached, or refuses.
        """
        if tracing.are_wanted():
            return await self.run(call())
        (answer,) = await self._exchange(packed, None)
        if isinstance(answer, Exception):
            (answer,) = await after_refusals(self.commands, [call()], self.prefix, [answer])
        return answer

    async def _exchange(self, packed: bytes, commands: Sequence[tuple[Any, ...]] | None) -> list[Any]:
        loan = await self._take()
        try:
            try:
                answers = await loan.talk(self._pool, packed, commands)
            except Exception as exc:  # noqa: BLE001  (redis-py knows which)
                answers = await self._talk_again(exc, loan, packed, commands)
        except (
            BaseException
        ):  # also a cancellation: answers that nobody has read would be taken for the next ones
            await loan.reset()
            await self._give_back(loan)
            raise
        if self._pool.max_connections < _SMALL_POOL or self._kept is not None:
            await self._give_back(loan)
        else:
            self._keep(loan)
        return answers

    async def _talk_again(
        self, failure: Exception, loan: _Loan, packed: bytes, commands: Sequence[tuple[Any, ...]] | None
    ) -> list[Any]:
        """What becomes of a try that has failed: mostly another one."""
        failures = [failure]

        async def talk() -> list[Any]:
            if failures:
                raise failures.pop()
            return await loan.talk(self._pool, packed, commands)

        retry = self._retry or loan.connection.retry
        answers: list[Any] = await retry.call_with_retry(talk, loan.reset)
        return answers

    async def is_there(self) -> bool:
        """Whether Redis answers."""
        try:
            return not isinstance((await self.commands([("PING",)]))[0], Exception)
        except (RedisError, OSError):
            return False

    async def _take(self) -> _Loan:
        loop = asyncio.get_running_loop()
        loan, self._kept = self._kept, None
        if loan is not None and loan.loop is loop:
            return loan
        if self._loop is not loop:  # a timer of a loop that is gone never runs off
            self._loop, self._timer = loop, None
        name = ("EVALSHA",) if _NAMES_COMMAND else ()
        connection, last = await connection_of(self._pool, *name), self._last
        if last is not None and last.connection is connection and last.loop is loop:
            last.begin()
            return last
        self._last = loan = _Loan(connection, loop, self._answer_s)
        return loan

    def _keep(self, loan: _Loan) -> None:
        self._kept = loan
        loan.used_s = loan.loop.time()
        if self._timer is None:
            self._timer = loan.loop.call_later(_KEEP_S, self._return_unused)

    def _return_unused(self) -> None:
        """Give the connection back, unless it was used since the timer was set."""
        loan, self._timer = self._kept, None
        if loan is None:
            return
        left_s = loan.used_s + _KEEP_S - loan.loop.time()
        if left_s > 0:
            self._timer = loan.loop.call_later(left_s, self._return_unused)
        else:
            self._kept = None
            self._returning = asyncio.ensure_future(self._give_back(loan))

    async def _give_back(self, loan: _Loan) -> None:
        await self._pool.release(loan.end())

    async def close(self) -> None:
        """Give the connection back now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loan, self._kept = self._kept, None
        if loan is not None and loan.loop is asyncio.get_running_loop():
            await self._give_back(loan)
