"""A client whose commands wait: at the server for as long as they say, and for a connection while none is free.

redis-py 8 gives sockets a time-out of five seconds, and then `blpop("key", timeout=7)` fails; here a command that waits
at the server gets its time on top, on every version of redis-py.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Monitor, Pipeline, PubSub
from redis.client import NEVER_DECODE

from .connection_pools import when_one_is_free

#: Where a blocking command says how long it waits: index among its words, and how many of these units are a second.
_WAITS: dict[str, tuple[int, int]] = {
    "BLPOP": (-1, 1),
    "BRPOP": (-1, 1),
    "BRPOPLPUSH": (-1, 1),
    "BLMOVE": (-1, 1),
    "BZPOPMIN": (-1, 1),
    "BZPOPMAX": (-1, 1),
    "BLMPOP": (1, 1),
    "BZMPOP": (1, 1),
    "WAIT": (-1, 1000),
    "WAITAOF": (-1, 1000),
}
#: These wait so many ms as follow the word BLOCK, if it stands before the word STREAMS.
_STREAM_READERS = frozenset({"XREAD", "XREADGROUP"})


def wait_s(command: Sequence[Any]) -> float:
    """Seconds that a command asks the server to wait: 0 for one that does not, infinity for one without a limit."""
    name = _text(command[0])
    if " " in name:  # redis-py takes a whole command in one string, too
        command = [*name.split(), *command[1:]]
        name = command[0]
    name = name.upper()
    if name in _STREAM_READERS:
        return _stream_wait_s(command)
    if name not in _WAITS:
        return 0.0
    index, units = _WAITS[name]
    return _limit_s(command, index, units)


def _stream_wait_s(command: Sequence[Any]) -> float:
    for index, word in enumerate(command):
        match _text(word).upper():
            case "BLOCK":
                return _limit_s(command, index + 1, 1000)
            case "STREAMS":
                return 0.0
    return 0.0


def _limit_s(command: Sequence[Any], index: int, units: int) -> float:
    try:
        limit_s = float(command[index]) / units
    except (TypeError, ValueError, IndexError):
        return 0.0  # the server will refuse it
    return limit_s if limit_s > 0 else math.inf


def _text(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


@contextlib.contextmanager
def patient(connection: Any, waits_s: float) -> Iterator[None]:
    """Answers on this connection may take `waits_s` longer than its time-out, which says how late they may be."""
    limit_s = getattr(connection, "socket_timeout", None)
    if limit_s is None or not waits_s:
        yield
        return
    connection.socket_timeout = None if waits_s == math.inf else limit_s + waits_s
    try:
        yield
    finally:
        connection.socket_timeout = limit_s


class _PatientPipeline(Pipeline):
    """Commands in MULTI do not wait, those of a plain pipeline do, one after the other."""

    async def _send_command_parse_response(
        self, conn: Any, command_name: Any, *args: Any, **opts: Any
    ) -> Any:
        with patient(conn, wait_s(args)):
            return await super()._send_command_parse_response(conn, command_name, *args, **opts)  # type: ignore[no-untyped-call]

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        run: Any = functools.partial(super().immediate_execute_command, *args, **options)
        return await when_one_is_free(self.connection_pool, run)

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        run: Any = functools.partial(super().execute, raise_on_error=raise_on_error)
        found: list[Any] = await when_one_is_free(self.connection_pool, run)
        return found

    async def _execute_pipeline(
        self, connection: Any, commands: Iterable[tuple[Any, Any]], raise_on_error: bool
    ) -> Any:
        with patient(connection, sum(wait_s(args) for args, _ in commands)):
            execute: Any = super()._execute_pipeline
            return await execute(connection, commands, raise_on_error)


class _PatientPubSub(PubSub):
    """Who listens without a limit waits as long as nobody says anything; redis-py 8 does so by itself."""

    async def connect(self) -> None:
        await when_one_is_free(self.connection_pool, super().connect)

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        if not block:
            return await super().parse_response(block, timeout)
        with patient(self.connection, math.inf):
            return await super().parse_response(block, timeout)


class _PatientMonitor(Monitor):
    """The same for commands of others."""

    async def connect(self) -> None:
        await when_one_is_free(self.connection_pool, super().connect)

    async def next_command(self) -> Any:
        await self.connect()
        with patient(self.connection, math.inf):
            return await super().next_command()


class PatientRedis(Redis):
    """A client whose commands wait: blocking ones as long as they say, all for a connection while none is free.

    And it can be asked for answers as they come, with `NEVER_DECODE`.
    """

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As `redis.asyncio.Redis.execute_command`."""
        run: Any = functools.partial(super().execute_command, *args, **options)
        return await when_one_is_free(self.connection_pool, run)

    async def _send_command_parse_response(
        self, conn: Any, command_name: Any, *args: Any, **opts: Any
    ) -> Any:
        if NEVER_DECODE in opts:  # redis-py would still apply response callbacks
            await conn.send_command(*args)
            return await conn.read_response(disable_decoding=True)
        with patient(conn, wait_s(args)):
            return await super()._send_command_parse_response(conn, command_name, *args, **opts)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """As `redis.asyncio.Redis.pipeline`."""
        return _PatientPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def pubsub(self, **kwargs: Any) -> PubSub:
        """As `redis.asyncio.Redis.pubsub`."""
        if hasattr(self, "_event_dispatcher"):  # since redis-py 5.3
            kwargs.setdefault("event_dispatcher", self._event_dispatcher)
        return _PatientPubSub(self.connection_pool, **kwargs)

    def monitor(self) -> Monitor:
        """As `redis.asyncio.Redis.monitor`."""
        return _PatientMonitor(self.connection_pool)
