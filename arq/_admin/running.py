"""Which jobs run, and who has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._keys import LEASES_KEY, in_progress_key
from .._redis.raw_commands import ask
from .._redis.script_runner import run
from . import admin_scripts
from .admin_scripts import Held, raw, text

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Workers of which Redis is asked in one go.
_WORKERS_STEP = 50
#: Workers, and due jobs at the head of the queue, that are looked at: python-arq takes jobs from the head only.
_MOST_WORKERS, _HEAD, _HEAD_STEP = 10_000, 5_000, 500
#: The value of a lock of python-arq, which does not say whose it is.
OLD = "1"


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


async def held_by_old(redis: Redis, queue: str) -> list[Held]:
    """Jobs that workers of python-arq have: they leave them in their places, and note nothing but a lock."""
    found: list[Held] = []
    for first in range(0, _HEAD, _HEAD_STEP):
        ids: list[bytes] = await ask(
            redis, "ZRANGEBYSCORE", queue, "-inf", "+inf", "LIMIT", first, _HEAD_STEP
        )
        if not ids:
            break
        locks = await ask(redis, "MGET", *(raw(in_progress_key("")) + one for one in ids))
        found += [
            Held(one, OLD, None, None, queue)
            for one, lock in zip(ids, locks, strict=True)
            if lock == OLD.encode()
        ]
        if len(ids) < _HEAD_STEP:
            break
    return found


async def all_held(redis: Redis, queue: str) -> list[Held]:
    """All jobs of a queue that somebody has."""
    ours = [one for one in await held_by(redis, await worker_ids(redis)) if one.queue in ("", queue)]
    return ours + await held_by_old(redis, queue)
