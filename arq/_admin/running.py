"""Which jobs run, and who has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._keys import LEASES_KEY
from .._redis.raw_commands import ask
from .._redis.script_runner import run
from . import admin_scripts
from .admin_scripts import Held, text

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Workers of which Redis is asked in one go.
_WORKERS_STEP = 50
#: Workers that are looked at.
_MOST_WORKERS = 10_000
#: Due jobs that are looked at for those that workers of python-arq have: a few to know of such workers, which take jobs
#: from the head of the queue, or all, to count them; and how many at a time.
HEAD, _MOST_DUE, _STEP = 5_000, 100_000, 1000
#: So far ahead of Redis's clock may be that of a host where python-arq runs: its jobs have the time of their producer
#: (ms, rounded up), and its workers go by their own clock. To look at a few deferred jobs in vain is better than
#: to miss a running one.
_CLOCKS_APART_MS = 60_000
#: The value of a lock of python-arq, which does not say whose it is.
OLD = "1"


async def now_ms(redis: Redis) -> int:
    """Redis's clock, unix ms."""
    seconds, micros = await ask(redis, "TIME")
    return int(seconds) * 1000 + int(micros) // 1000


async def worker_ids(redis: Redis) -> list[str]:
    """Ids of workers that are presumed alive, or were lately."""
    found: list[bytes] = await ask(redis, "ZRANGE", LEASES_KEY, 0, _MOST_WORKERS - 1)
    return [text(one) for one in found]


async def held_by(redis: Redis, workers: list[str]) -> list[Held]:
    """The jobs of these workers."""
    found: list[Held] = []
    for first in range(0, len(workers), _WORKERS_STEP):
        part = workers[first : first + _WORKERS_STEP]
        found += admin_scripts.read_held(await run(redis, admin_scripts.held(part)), part)
    return found


async def held_by_old(redis: Redis, queue: str, most: int = HEAD) -> list[Held]:
    """Jobs that workers of python-arq have, among the first `most` that are due by anybody's clock."""
    latest_ms = await now_ms(redis) + _CLOCKS_APART_MS
    due = min(most, int(await ask(redis, "ZCOUNT", queue, "-inf", latest_ms)))
    found: list[Held] = []
    for first in range(0, due, _STEP):
        _, ids = await run(redis, admin_scripts.old_held(queue, first, min(_STEP, due - first)))
        found += [Held(job_id, OLD, None, None, queue) for job_id in ids]
    return found


async def all_held(redis: Redis, queue: str, most: int = _MOST_DUE) -> list[Held]:
    """All jobs of a queue that somebody has; of those of python-arq the ones among the first `most` that are due."""
    ours = [one for one in await held_by(redis, await worker_ids(redis)) if one.queue in ("", queue)]
    return ours + await held_by_old(redis, queue, min(most, _MOST_DUE))
