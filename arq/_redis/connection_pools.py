"""Connection pools of redis-py: which are refused, and what happens when all connections are in use."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis
from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import RedisCluster
from redis.cluster import RedisCluster as SyncRedisCluster
from redis.exceptions import ConnectionError

from .plain_io import is_ready
from .server_errors import FOR_CLUSTERS

try:
    from redis.observability.providers import get_observability_instance as _observability
except ImportError:  # earlier versions of redis-py have no metrics

    def _observability() -> Any:  # type: ignore[misc]
        return None


Answer = TypeVar("Answer")

#: Seconds to wait for a connection when all are in use. redis-py's own pool that waits has the same limit.
WAIT_S = 20.0
#: Pauses between two looks for one, in s.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


def pool_of(given: Any) -> ConnectionPool:
    """The connection pool that an application gave, by itself or in a client.

    Raises:
        TypeError: it is of a kind that can't be used.
    """
    if isinstance(given, RedisCluster | SyncRedisCluster):
        raise TypeError(f"{type(given).__name__} can't be used: {FOR_CLUSTERS}")
    if isinstance(given, redis.Redis | redis.ConnectionPool):
        raise TypeError(
            f"arq needs a connection pool of redis.asyncio, not {type(given).__module__}.{type(given).__name__}"
        )
    pool: ConnectionPool = given.connection_pool if isinstance(given, Redis) else given
    return pool


def prefix_of(given: Any) -> str:
    """What all keys begin with that arq uses through this client or pool: it goes with the client, and with the
    connection pool of a client that has made its own.
    """
    for owner in (given, getattr(given, "connection_pool", None)):
        found = getattr(owner, "key_prefix", None)
        if isinstance(found, str):
            return found
    return ""


def client_of(redis: Redis) -> Redis:
    """A client that answers at once: a pipeline, which is one too, keeps commands until it is executed."""
    return Redis(connection_pool=redis.connection_pool) if isinstance(redis, Pipeline) else redis


def forget_dead(pool: ConnectionPool) -> None:
    """Let a pool forget idle connections whose event loop is closed: nobody can use them any more, nor close them."""
    idle = getattr(pool, "_available_connections", None)
    if isinstance(idle, list):
        idle[:] = [connection for connection in idle if not is_dead(connection)]


def is_dead(connection: Connection) -> bool:
    """Whether the event loop of an open connection is closed."""
    loop = getattr(getattr(connection, "_reader", None), "_loop", None)
    return loop is not None and loop.is_closed()


def _are_counted() -> bool:
    """Whether somebody counts the connections that pools give and get back (later versions of redis-py)."""
    found: Any = _observability()
    return found is not None and found.get_provider_manager() is not None


def _at_hand(pool: ConnectionPool) -> Connection | None:
    """An idle connection of a pool that can be used as it is. `get_connection` finds that out by twenty calls."""
    idle, lock = getattr(pool, "_available_connections", None), getattr(pool, "_lock", None)
    if (
        type(pool).get_connection is not ConnectionPool.get_connection
        or type(pool).get_available_connection is not ConnectionPool.get_available_connection
        or not (idle and is_ready(idle[-1]))
        or (lock is not None and lock.locked())
        or _are_counted()
    ):
        return None
    return pool.get_available_connection()  # type: ignore[no-untyped-call,no-any-return]


async def connection_of(pool: ConnectionPool, *command_name: str) -> Connection:
    """A connection of the pool; when all are in use, one that gets free within `WAIT_S`.

    Raises:
        redis.exceptions.RedisError: there is none, or it can't be opened.
    """
    if (found := _at_hand(pool)) is not None:
        return found
    connection: Connection = await when_one_is_free(
        pool, functools.partial(pool.get_connection, *command_name)
    )
    return connection


async def when_one_is_free(pool: ConnectionPool, use: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do something that begins by taking a connection; when all are in use, do it when one gets free.

    redis-py's own pool refuses at once, so one job too many would fail.

    Args:
        pool: where the connection comes from.
        use: what to do. Called anew when it was refused a connection, before it has done anything.

    Raises:
        redis.exceptions.ConnectionError: none got free within `WAIT_S`.
    """
    try:
        return await use()
    except ConnectionError as exc:
        if not _is_shortage(exc):
            raise
    clock = asyncio.get_running_loop().time
    give_up_at_s, pause_s = clock() + WAIT_S, _FIRST_PAUSE_S
    while True:
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)
        if clock() < give_up_at_s and not pool.can_get_connection():
            continue
        try:
            return await use()
        except ConnectionError as exc:
            if not _is_shortage(exc) or clock() >= give_up_at_s:
                raise


def _is_shortage(exc: ConnectionError) -> bool:
    return str(exc).startswith("Too many connections")  # redis-py 5 has no class for it
