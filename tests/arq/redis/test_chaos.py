"""Three workers, connections that break at random moments, workers that come and go: every job ends exactly once."""

from __future__ import annotations

import asyncio
import collections
import random
from signal import SIGTERM
from typing import Any

import pytest

from arq._redis import script_loader
from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.worker import Retry, Worker, func
from tests.arq.redis.harness import CONNECT_S, Ctx, keys, nothing_held
from tests.support.eventually import wait_until_async
from tests.support.flaky import Fault, FlakyProxy, flaky_proxy
from tests.support.servers import HOST, RedisServer

JOBS = 300
STEPS = ("claim", "reclaim", "finish", "extend", "lease", "release", "sweep", "aborted")


class Fleet:
    """Workers, each behind a proxy of its own, and what their jobs saw."""

    def __init__(self, chance: random.Random, proxies: list[FlakyProxy]) -> None:
        self.chance = chance
        self.proxies = proxies
        self.ended: collections.Counter[str] = collections.Counter()
        self.running: set[str] = set()
        self.overlaps: list[str] = []
        self.members = [self.start(index) for index in range(len(proxies))]

    def start(self, index: int) -> tuple[Worker, asyncio.Task[None]]:
        settings = RedisSettings(
            host=HOST,
            port=self.proxies[index].port,
            conn_timeout=CONNECT_S,
            conn_retries=99,
            conn_retry_delay=0,
        )
        worker = Worker(
            [func(self.once, name="once", max_tries=99), func(self.twice, name="twice", max_tries=2)],
            redis_settings=settings,
            poll_delay=self.chance.choice([0.02, 0.2, 30]),
            max_jobs=self.chance.choice([1, 3, 10]),
            handle_signals=False,
            allow_abort_jobs=self.chance.random() < 0.5,
        )
        return worker, asyncio.create_task(worker.main())

    async def stop(self, index: int) -> None:
        worker, main = self.members[index]
        worker.handle_sig(SIGTERM)
        main.cancel()
        ended, _ = await asyncio.wait([main], timeout=30)
        assert ended, "a worker that was stopped goes on"
        assert main.cancelled() or main.exception() is None, repr(main.exception())
        await worker.close()

    async def stop_all(self) -> None:
        for index in range(len(self.members)):
            await self.stop(index)

    async def once(self, ctx: Ctx) -> None:
        await self.work(ctx)

    async def twice(self, ctx: Ctx) -> None:
        await self.work(ctx)
        if self.ended[ctx["job_id"]] < 2:
            raise Retry(self.chance.choice([None, 0.01]))

    async def work(self, ctx: Ctx) -> None:
        job_id = ctx["job_id"]
        if job_id in self.running:
            self.overlaps.append(job_id)
        self.running.add(job_id)
        try:
            await take_a_moment(ctx, self.chance.random() / 100)
            self.ended[job_id] += 1
        finally:
            self.running.discard(job_id)

    async def disturb(self, pool: ArqRedis) -> None:
        index, what = self.chance.randrange(len(self.proxies)), self.chance.random()
        if what < 0.6:
            marker = script_loader.load(self.chance.choice(STEPS)).sha.encode()
            self.proxies[index].arm(self.chance.choice(list(Fault)), marker)
        elif what < 0.75:
            self.proxies[index].cut()
        elif what < 0.85:
            await pool.script_flush()
        else:
            await self.stop(index)
            self.members[index] = self.start(index)


@pytest.mark.parametrize("seed", range(3))
async def test_every_job_ends_exactly_once(
    redis_server: RedisServer, proxy: FlakyProxy, arq_redis: ArqRedis, impatient: None, seed: int
) -> None:
    chance = random.Random(seed)
    calls = [
        JobCall(name, _job_id=f"{name}{number}", _defer_by=chance.choice([0, 0, 0.05]))
        for number in range(JOBS)
        for name in [chance.choice(["once", "twice"])]
    ]
    await arq_redis.enqueue_jobs(calls)
    async with flaky_proxy(redis_server) as second, flaky_proxy(redis_server) as third:
        fleet = Fleet(chance, [proxy, second, third])

        async def all_finished() -> bool:
            return len(await keys(arq_redis, "arq:result:*")) == JOBS

        try:
            for wanted in range(10, JOBS, 15):
                await fleet.disturb(arq_redis)
                await wait_until_async(lambda wanted=wanted: len(fleet.ended) >= wanted)  # type: ignore[misc]
            await wait_until_async(all_finished)
        finally:  # says also what a worker has died of
            await fleet.stop_all()
    expected: dict[str, Any] = {
        f"{call.function}{number}": 1 if call.function == "once" else 2 for number, call in enumerate(calls)
    }
    assert fleet.ended == expected
    assert fleet.overlaps == []
    assert all(result.success for result in await arq_redis.all_job_results())
    await nothing_held(arq_redis)


async def take_a_moment(ctx: Ctx, seconds: float) -> None:
    await asyncio.sleep(seconds)
