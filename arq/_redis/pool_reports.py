"""How the pools of supervisors are, written for dashboards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._keys import POOLS_KEY, PREFIX, pool_key
from .script_loader import Call, load
from .script_runner import run

if TYPE_CHECKING:
    from redis.asyncio import Redis

_POOL = load("pool")


async def tell_pool(redis: Redis, name: str, said: bytes, for_ms: int) -> None:
    """Say for the next `for_ms` how a pool is.

    Args:
        name: the pool, a colon, and its host.
        said: JSON; b"": it is gone.
    """
    await run(redis, Call(_POOL, (POOLS_KEY, pool_key(name)), (PREFIX, name, said, for_ms)))
