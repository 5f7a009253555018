"""Idle workers whose connections are killed and who are told to be quiet: every job once, never too many at a time."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random

import pytest
from redis.exceptions import ResponseError

from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker, func
from tests.arq.redis.harness import Ctx, keys, nothing_held, old_enqueue, running
from tests.support.eventually import wait_until_async

ROUNDS = 60


class Fleet:
    """Workers and what their jobs saw."""

    def __init__(self, settings: RedisSettings, chance: random.Random) -> None:
        self.chance = chance
        self.ended: collections.Counter[str] = collections.Counter()
        self.most: collections.Counter[int] = collections.Counter()
        self.wanted = 0
        self.workers = [self.worker(settings, index) for index in range(4)]

    def worker(self, settings: RedisSettings, index: int) -> Worker:
        places = self.chance.choice([2, 3])
        at_work = 0

        async def work(ctx: Ctx) -> None:
            nonlocal at_work
            at_work += 1
            self.most[index] = max(self.most[index], at_work)
            try:
                await asyncio.sleep(self.chance.choice([0, 0, 0.002, 0.02]))
            finally:
                at_work -= 1
            self.ended[ctx["job_id"]] += 1

        return Worker(
            [func(work, name="work")],
            redis_settings=settings,
            max_jobs=places,
            poll_delay=self.chance.choice([0.05, 0.3]),
            handle_signals=False,
        )

    async def enqueue(self, pool: ArqRedis) -> None:
        for _ in range(self.chance.choice([1, 1, 2, 5])):
            self.wanted += 1
            if self.chance.random() < 0.3:
                await old_enqueue(pool, str(self.wanted), "work")
            else:
                defer_s = self.chance.choice([None, None, 0.01])
                await pool.enqueue_job("work", _job_id=str(self.wanted), _defer_by=defer_s)

    async def disturb(self, pool: ArqRedis) -> None:
        what = self.chance.random()
        if what < 0.3:
            await self.kill(pool)
        elif what < 0.35:
            await pool.script_flush()
        elif what < 0.7:
            worker = self.chance.choice(self.workers)
            worker.allow_pick_jobs = not worker.allow_pick_jobs

    async def kill(self, pool: ArqRedis) -> None:
        """One connection, mostly one that waits."""
        clients = [client for client in await pool.client_list() if client["cmd"] in ("blpop", "evalsha")]
        if clients:
            with contextlib.suppress(ResponseError):  # gone by itself
                await pool.client_kill_filter(_id=self.chance.choice(clients)["id"])


@pytest.mark.parametrize("seed", range(4))
async def test_every_job_once_and_never_too_many(
    redis_settings: RedisSettings, arq_redis: ArqRedis, restless: None, seed: int
) -> None:
    chance = random.Random(seed)
    fleet = Fleet(redis_settings, chance)
    async with running(*fleet.workers):
        for _ in range(ROUNDS):
            await fleet.enqueue(arq_redis)
            await fleet.disturb(arq_redis)
            if chance.random() < 0.5:  # let them run out of work, so that claims wait
                for worker in fleet.workers:
                    worker.allow_pick_jobs = True
                await wait_until_async(lambda: len(fleet.ended) == fleet.wanted)
        for worker in fleet.workers:
            worker.allow_pick_jobs = True
        await wait_until_async(lambda: len(fleet.ended) == fleet.wanted)
        await wait_until_async(lambda: not any(worker.job_tasks for worker in fleet.workers))
    assert set(fleet.ended.values()) == {1}
    assert all(fleet.most[index] <= worker.max_jobs for index, worker in enumerate(fleet.workers))
    assert sum(worker.jobs_complete for worker in fleet.workers) == fleet.wanted
    assert not await keys(arq_redis, "arq:epoch:*")
    await nothing_held(arq_redis)
