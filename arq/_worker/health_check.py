"""`arq --check` of several servers: each is checked, also if one before is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from redis.exceptions import RedisError

from .._printable import printable, redacted
from .._redis.settings import RedisSettings
from .._redis.shard_settings import is_several, named_settings

logger = logging.getLogger("arq.worker")


Check = Callable[[RedisSettings | None], Coroutine[Any, Any, int]]


def check_each(servers: Any, check: Check) -> int:
    """The answer of the only server, or the highest of several: 1 for one that is away.

    Args:
        servers: `redis_settings` of a worker.
        check: checks one of them.

    Raises:
        redis.exceptions.RedisError, OSError: the only server can't be reached.
    """
    if not is_several(servers):
        return asyncio.run(check(servers))
    return max(_check(name, settings, check) for name, settings in named_settings(servers).items())


def _check(name: str, settings: RedisSettings, check: Check) -> int:
    logger.info("server %s:", name)
    try:
        return asyncio.run(check(settings))
    except (RedisError, OSError) as exc:
        logger.warning("Health check failed: %s", printable(redacted(f"{type(exc).__name__}: {exc}")))
        return 1
