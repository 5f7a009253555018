"""What kind of server is this? Asked when a client is made, and told in the log when a worker starts."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError

from .cluster import owner_of
from .server_errors import OLDEST, info_fields, is_old, objection, read_server
from .worker_connection import Link

logger = logging.getLogger("arq.connections")

#: What is asked for the log.
SECTIONS = ("Server", "Memory", "Clients")


async def probe(pool: ConnectionPool) -> None:
    """Reach Redis once, without the retries of the pool: `create_pool` counts its own.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: it can't be reached, or is none that arq can use.
    """
    link = Link(pool)
    try:
        answer, info = await link.commands([("PING",), ("INFO", "server")])
    finally:
        await link.drop()
    if isinstance(answer, Exception):
        raise answer
    if not isinstance(info, bytes):
        return  # not everybody may ask for it
    server = read_server(info)
    if (refusal := objection(server)) is not None and not (owner_of(pool) and server.mode == "cluster"):
        raise refusal
    if is_old(server):
        _warn_of_age(server.version)


@functools.cache  # once in a process
def _warn_of_age(version: tuple[int, ...]) -> None:
    logger.warning(
        "redis %s is older than %s, the oldest that arq is tested with: jobs run, "
        "but min-replicas-to-write may not hold for them",
        ".".join(map(str, version)),
        ".".join(map(str, OLDEST)),
    )


async def log_redis_info(redis: Redis, log_func: Callable[[str], Any]) -> None:
    """Log version, memory, clients and number of keys of the server through `log_func`; nothing if it does not say."""
    # not by a pipeline: each worker would have a connection more, and 0.5 MB of code that it never runs again
    link = Link(redis.connection_pool)
    try:
        *sections, key_count = await link.commands([*(("INFO", name) for name in SECTIONS), ("DBSIZE",)])
    except (RedisError, OSError) as exc:
        logger.debug("redis does not say what it is: %r", exc)
        return
    finally:
        await link.drop()
    server, memory, clients = (info_fields(info) if isinstance(info, bytes) else {} for info in sections)
    if not server:
        logger.debug("redis does not say what it is: %r", sections[0])
        return
    log_func(
        f"redis_version={server.get('redis_version', '?')}{_own_version(server)} "
        f"mem_usage={memory.get('used_memory_human', '?')} "
        f"clients_connected={clients.get('connected_clients', '?')} "
        f"db_keys={'?' if isinstance(key_count, Exception) else key_count}"
    )


def _own_version(server: dict[str, str]) -> str:
    """What servers that are not Redis call themselves: their `redis_version` is that of the Redis they are like.

    In the same word: there are programs that read this line, up to its end.
    """
    field = f"{server.get('server_name', 'redis')}_version"
    return f",{field}={server[field]}" if field in server and field != "redis_version" else ""
