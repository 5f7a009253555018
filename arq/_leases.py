"""Who is alive, and what is given back when somebody is not. For workers, and for the supervisor's steward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _scripts
from ._keys import LEASES_KEY

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def register(redis: Redis, worker_id: str, lease_ms: int) -> None:
    """Announce a worker that is presumed dead in `lease_ms` unless its lease is renewed."""
    await _scripts.run(redis, _scripts.lease([worker_id], lease_ms))


async def renew(redis: Redis, worker_ids: Sequence[str], lease_ms: int) -> None:
    """Move the deadlines of living workers to `lease_ms` from now, by Redis's clock.

    A worker that is not known (any more) stays unknown: it announces itself anew when it next asks for jobs.
    """
    if worker_ids:
        await _scripts.run(redis, _scripts.lease(worker_ids, lease_ms, known_only=True))


async def release(redis: Redis, worker_id: str) -> list[str]:
    """Give back the jobs of a worker that is known to be dead; returns their ids. Doing it twice does no harm."""
    return _scripts.decode_ids(await _scripts.run(redis, _scripts.release(worker_id, _scripts.Why.DIED)))


async def sweep(redis: Redis) -> dict[str, list[str]]:
    """Give back the jobs of every worker whose deadline has passed; returns worker id -> job ids."""
    return _scripts.read_sweep(await _scripts.run(redis, _scripts.sweep()))


async def deregister(redis: Redis, worker_id: str) -> None:
    """Forget a worker that holds nothing any more."""
    await redis.zrem(LEASES_KEY, worker_id)
