"""Random histories of a fleet: queues, workers that stand still, plain arq workers, clocks that are wrong.

Whatever the order: each queue has each tick once at most, and exactly once where somebody looks in time.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from arq.connections import ArqRedis
from arq.cron import cron
from arq.utils import timestamp_ms
from arq.worker import Worker
from tests.arq.redis.harness import Ctx, members, old_enqueue
from tests.conftest import WorkerFactory

QUEUES = ("arq:queue", "app:a", "app:b")
EVERY_S, LOOKS = 10, 60


async def tick(ctx: Ctx) -> None: ...


class Fleet:
    """Workers that look when the history says so. What they have enqueued is run, and forgotten, at random times."""

    def __init__(self, pool: ArqRedis, worker: WorkerFactory, chance: random.Random) -> None:
        self.pool, self.chance, self._worker = pool, chance, worker
        self.diligent = {queue: self.made(queue) for queue in QUEUES}
        self.sluggish = [self.made(queue) for queue in QUEUES for _ in range(2)]
        self.mistaken = self.made(chance.choice(QUEUES))
        self.ran: Counter[tuple[str, int]] = Counter()
        #: what plain arq workers have enqueued
        self.plain: set[tuple[str, str]] = set()

    def made(self, queue: str) -> Worker:
        schedule = cron(tick, name="tick", second=set(range(0, 60, EVERY_S)), microsecond=0)
        return self._worker(cron_jobs=[schedule], queue_name=queue, timezone=UTC)

    async def look(self, worker: Worker, now: datetime) -> None:
        await worker.run_cron(now, 1)

    async def look_as_plain_arq(self, queue: str, now: datetime) -> None:
        """It enqueues the next tick under the id that all versions know, unless that is taken."""
        due_ms = (int(now.timestamp()) // EVERY_S + 1) * EVERY_S * 1000
        job_id = f"tick:{due_ms}"
        taken = await self.pool.exists(f"arq:job:{job_id}", f"arq:result:{job_id}")
        if due_ms - now.timestamp() * 1000 <= 2000 and not taken:
            await old_enqueue(self.pool, job_id, "tick", queue=queue, score=due_ms)
            self.plain.add((queue, job_id))

    async def run(self, queue: str, until: datetime) -> None:
        """Run what is due. Of a tick that a plain arq worker has run, its lock is left, of all others nothing."""
        for job_id in await members(self.pool, queue):
            due_ms = int(job_id.split(":")[1])
            if due_ms > until.timestamp() * 1000:
                continue
            self.ran[queue, due_ms] += 1
            await self.pool.zrem(queue, job_id)
            await self.pool.delete(f"arq:job:{job_id}")
            if (queue, job_id) in self.plain:
                await self.pool.set(f"arq:in-progress:{job_id}", b"1", px=60_000)


@pytest.mark.parametrize("with_plain_arq", [False, True])
@pytest.mark.parametrize("seed", range(8))
async def test_each_queue_has_each_tick_once(
    arq_redis: ArqRedis, worker: WorkerFactory, seed: int, with_plain_arq: bool
) -> None:
    chance = random.Random(seed)
    fleet = Fleet(arq_redis, worker, chance)
    # a while ago, halfway between two ticks
    now = begin = datetime.fromtimestamp(
        (timestamp_ms() // 1000 - LOOKS * 3) // EVERY_S * EVERY_S + EVERY_S / 2, UTC
    )
    for _ in range(LOOKS):
        await fleet.look(fleet.mistaken, now + timedelta(hours=chance.choice([2, 5])))
        lookers = [*fleet.diligent.values(), *chance.sample(fleet.sluggish, chance.randrange(4))]
        chance.shuffle(lookers)
        for one in lookers:
            await fleet.look(one, now + timedelta(seconds=chance.uniform(-0.3, 0.3)))
            if with_plain_arq and chance.random() < 0.5:
                await fleet.look_as_plain_arq("app:a", now)
        if chance.random() < 0.7:
            await fleet.run(chance.choice(QUEUES), now)
        now += timedelta(seconds=chance.uniform(0.5, 1.5))
    for one in fleet.sluggish:
        await fleet.look(one, now)
    for queue in QUEUES:
        await fleet.run(queue, now)
    first_ms = (int(begin.timestamp()) // EVERY_S + 1) * EVERY_S * 1000
    expected = range(first_ms, int(now.timestamp() * 1000), EVERY_S * 1000)
    assert fleet.ran == Counter((queue, due_ms) for queue in QUEUES for due_ms in expected)
