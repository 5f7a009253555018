"""How a client is made for settings, directly or by way of sentinels, and how often that is tried."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import AuthenticationError, RedisError

from ._redis.cluster import cluster_pool, owner_of
from ._redis.server_errors import is_refusal
from ._redis.server_probe import probe
from ._redis.settings import RedisSettings, client_options, has_unchecked_name, sentinel_options

logger = logging.getLogger("arq.connections")

Client = TypeVar("Client", bound=Redis)

#: Servers of which it was told that their names are not checked.
_told_of: set[str] = set()


def connector(settings: RedisSettings, kind: Callable[..., Client]) -> Callable[..., Client]:
    """What makes a client for these settings, with options of its class.

    Raises:
        RuntimeError: `sentinel` is set and `host` is not a list.
    """
    if getattr(settings, "cluster", False):
        return functools.partial(_connect_to_cluster, settings, kind)
    if not settings.sentinel:
        return functools.partial(
            kind,
            host=settings.host,
            port=settings.port,
            unix_socket_path=settings.unix_socket_path,
            **client_options(settings),
        )
    if isinstance(settings.host, str):
        message = "host provided as a string but sentinel is true: give a list of (host, port)"
        raise RuntimeError(message)  # noqa: TRY004  (arq's type)
    return functools.partial(_connect_by_sentinel, settings, kind)


def _connect_to_cluster(settings: RedisSettings, kind: Any, **options: Any) -> Any:
    client = kind(pool_or_conn=cluster_pool(settings), **options)
    client.auto_close_connection_pool = True  # nobody else has it
    return client


def _connect_by_sentinel(settings: RedisSettings, kind: Any, **options: Any) -> Any:
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        settings.host, sentinel_kwargs=sentinel_options(settings), **client_options(settings)
    )
    client = sentinel.master_for(settings.sentinel_master, redis_class=kind)
    for name, value in options.items():  # redis-py would hand them on to its connections
        setattr(client, name, value)
    client._sentinels = sentinel.sentinels
    return client


async def connected(make: Callable[[], Client], settings: RedisSettings, tries: int) -> Client:
    """A client that has reached Redis.

    Args:
        make: makes one.
        settings: how often to try, and with which pauses.
        tries: how many tries were made already.

    Raises:
        redis.exceptions.RedisError, OSError: the last try has failed, or another one would, too.
    """
    while True:
        client = make()
        try:
            if owner := owner_of(client.connection_pool):
                await owner.address()
            await probe(client.connection_pool)
            _tell_of_unchecked_name(settings)
        except (TimeoutError, OSError, RedisError) as exc:
            await client.close(close_connection_pool=True)
            if tries >= settings.conn_retries or isinstance(exc, AuthenticationError) or is_refusal(exc):
                raise
            _say_retry(settings, exc, settings.conn_retries - tries)
            await asyncio.sleep(settings.conn_retry_delay)
            tries += 1
        else:
            if tries > 0:
                logger.info("redis connection successful")
            return client


def _say_retry(settings: RedisSettings, exc: Exception, left: int) -> None:
    logger.warning(
        "redis connection error %s:%s %s %s, %s retries remaining...",
        settings.host,
        settings.port,
        exc.__class__.__name__,
        exc,
        left,
    )


def _tell_of_unchecked_name(settings: RedisSettings) -> None:
    """Once for each server: TLS that takes any certificate of a known authority keeps out few who are in between."""
    server = str(settings.host)
    if has_unchecked_name(settings) and server not in _told_of:
        _told_of.add(server)
        logger.warning(
            "TLS to %s: the certificate is checked, but not that it is for this name: set ssl_check_hostname=True",
            server,
        )
