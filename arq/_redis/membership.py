"""Who is alive, and what is given back when somebody is not. For workers, and for the supervisor's steward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .._keys import LEASES_KEY, MEMBERS_KEY
from . import scripts
from .raw_commands import ask
from .scripts import Released, Swept, Why

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["Released", "Swept", "Why", "deregister", "register", "release", "renew", "sweep", "write_health"]


async def write_health(redis: Redis, lines: Mapping[str, bytes], for_ms: int) -> None:
    """Write health lines, by their keys, for the next `for_ms`; also when Redis is over its memory limit."""
    if lines:
        await scripts.run(redis, scripts.health(lines, for_ms))


async def register(redis: Redis, worker_id: str, lease_ms: int) -> None:
    """Announce a worker that is presumed dead in `lease_ms` unless its lease is renewed."""
    await scripts.run(redis, scripts.lease([worker_id], lease_ms))


async def renew(redis: Redis, worker_ids: Sequence[str], lease_ms: int) -> None:
    """Move the deadlines of living workers to `lease_ms` from now, by Redis's clock.

    A worker that is not known (any more) stays unknown: it announces itself anew when it next asks for jobs.
    """
    if worker_ids:
        await scripts.run(redis, scripts.lease(worker_ids, lease_ms, known_only=True))


async def release(redis: Redis, worker_id: str, why: Why = Why.DIED, detail: str = "vanished") -> Released:
    """Give back the jobs of a worker that is known to be dead. Doing it twice does no harm.

    Args:
        why: `DIED`: one of its jobs is to blame. `STOPPED`: whoever has ended it is, and no start counts.
        detail: how it died, as `signal 9`; of a stopped one those who leave its jobs to others, see `Terms`.
    """
    return scripts.read_release(await scripts.run(redis, scripts.release(worker_id, why, detail)))


async def sweep(redis: Redis) -> Swept:
    """Give back the jobs of every worker whose deadline has passed; returns worker id -> what it had."""
    return scripts.read_sweep(await scripts.run(redis, scripts.sweep()))


async def deregister(redis: Redis, worker_id: str) -> None:
    """Forget a worker that holds nothing any more."""
    for register in (LEASES_KEY, MEMBERS_KEY):
        await ask(redis, "ZREM", register, worker_id)
