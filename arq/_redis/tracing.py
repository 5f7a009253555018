"""What instrumentation of redis-py sees of arq.

Tracers replace methods of redis-py's clients. arq's own connections pass these by, because they cost more than the rest
of an `enqueue_job`. Where somebody has replaced them, commands are sent through them, over the same connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio import Connection, ConnectionPool, Redis, client
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from .script_loader import TEXTS

Command = tuple[Any, ...]


def _is_own(method: Any) -> bool:
    """Whether a method is redis-py's own. Wrappers may pass on all attributes of what they wrap, but not its type."""
    return type(method) is FunctionType and method.__globals__ is vars(client)


#: redis-py's own methods, None in the place of one that was replaced before arq was imported.
_EXECUTE = Pipeline.execute if _is_own(Pipeline.execute) else None
_EXECUTE_COMMAND = Redis.execute_command if _is_own(Redis.execute_command) else None


def are_wanted() -> bool:
    """Whether somebody looks."""
    if (
        Pipeline.execute is _EXECUTE and Redis.execute_command is _EXECUTE_COMMAND
    ):  # wrappers may claim to be equal
        return False
    return not (_is_own(Pipeline.execute) and _is_own(Redis.execute_command))


class _OnePool:
    """Stands for a pool where a client wants one: it has one connection, and that is not its own."""

    def __init__(self, connection: Connection, pool: ConnectionPool) -> None:
        self._connection = connection
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def get_connection(self, *_: object, **__: object) -> Connection:
        return self._connection

    async def release(self, connection: Connection) -> None:
        pass


#: The scripts that were sent as text, by connection: a refusal would look like an error in somebody's trace.
_sent: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()


async def talk(pool: ConnectionPool, connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """Send commands over a connection and read their answers; what Redis refuses as an exception in the list.

    Args:
        pool: whose settings tracers are told of.
    """
    told = [_with_text(connection, command) for command in commands]
    stand_in: Any = _OnePool(connection, pool)
    retry, connection.retry = connection.retry, Retry(NoBackoff(), 0)
    try:
        if _is_own(Pipeline.execute):
            return await _one_by_one(Redis(connection_pool=stand_in), told)
        pipe = Pipeline(stand_in, {}, False, None)
        for command in told:
            pipe.execute_command(*command, **{NEVER_DECODE: True})
        return await pipe.execute(raise_on_error=False)
    finally:
        connection.retry = retry


async def _one_by_one(redis: Redis, commands: list[Command]) -> list[Any]:
    """For tracers that look at single commands only."""
    redis.response_callbacks.clear()
    answers: list[Any] = []
    for command in commands:
        try:
            answers.append(await redis.execute_command(*command, **{NEVER_DECODE: True}))  # type: ignore[no-untyped-call]
        except ResponseError as exc:
            answers.append(exc)
    return answers


def _with_text(connection: Connection, command: Command) -> Command:
    sent = _sent.setdefault(connection, set())
    if command[0] != "EVALSHA" or command[1] in sent:
        return command
    sent.add(command[1])
    return ("EVAL", TEXTS[command[1]], *command[2:])
