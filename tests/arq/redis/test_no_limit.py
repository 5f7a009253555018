"""Jobs, results and workers that have no limit."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.cron import cron
from arq.worker import Retry, Worker, func
from tests.arq.redis.harness import Ctx, broken, enqueued, for_ever, info, quick, running, until_stopped
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

CENTURY_MS = 100 * 365 * 86_400_000


async def test_one_function_and_one_cron_job_without_a_time_limit(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    go_on, ended = asyncio.Event(), []

    async def patient(ctx: Ctx) -> None:
        await go_on.wait()
        ended.append(ctx["job_id"])

    functions: list[Any] = [func(patient, name="patient", timeout=None), for_ever]
    cron_jobs = [
        cron(patient, name="at start", month=2, day=29, run_at_startup=True, job_id="start", timeout=None)
    ]
    one = Worker(
        functions,
        cron_jobs=cron_jobs,
        redis_settings=redis_settings,
        job_timeout=0.05,
        poll_delay=0.02,
        handle_signals=False,
    )
    unlimited = await enqueued(arq_redis, "patient")
    async with running(one):
        await wait_until_async(lambda: set(one.job_tasks) == {unlimited.job_id, "start"})
        limited = await enqueued(arq_redis, "for_ever")
        assert isinstance((await info(limited)).result if await over(limited) else None, TimeoutError)
        assert set(one.job_tasks) == {unlimited.job_id, "start"}
        assert 0 < await arq_redis.pttl(f"arq:in-progress:{unlimited.job_id}") <= 310_000
        go_on.set()
        await wait_until_async(lambda: len(ended) == 2)


async def over(job: Any) -> bool:
    async def has_result() -> bool:
        return await job.result_info() is not None

    await wait_until_async(has_result)
    return True


@pytest.mark.parametrize("none", [None, math.inf])
async def test_tries_without_a_limit(arq_redis: ArqRedis, worker: WorkerFactory, none: float | None) -> None:
    async def again(ctx: Ctx) -> int:
        if ctx["job_try"] < 12:
            raise Retry
        return int(ctx["job_try"])

    job = await enqueued(arq_redis, "again")
    await worker([func(again, name="again")], max_tries=none).main()
    assert await job.result(timeout=30) == 12


async def test_one_function_whose_tries_have_no_limit(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def again(ctx: Ctx) -> int:
        if ctx["job_try"] < 4:
            raise Retry
        return int(ctx["job_try"])

    job = await enqueued(arq_redis, "again")
    await worker([func(again, name="again", max_tries=math.inf)], max_tries=1).main()
    assert await job.result(timeout=30) == 4


@pytest.mark.keeps_keys("arq:result:*")
@pytest.mark.parametrize("of_worker", [True, False])
async def test_a_result_that_is_kept_for_ever(
    arq_redis: ArqRedis, worker: WorkerFactory, of_worker: bool
) -> None:
    job = await enqueued(arq_redis, "quick")
    if of_worker:
        await worker([func(quick, name="quick")], keep_result=math.inf).main()
    else:
        await worker([func(quick, name="quick", keep_result=math.inf)]).main()
    assert await arq_redis.pttl(f"arq:result:{job.job_id}") == -1


async def test_a_job_that_does_not_expire(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "quick", _expires=math.inf)
    assert await arq_redis.pttl(f"arq:job:{job.job_id}") > CENTURY_MS
    await worker([quick]).main()
    assert await job.result(timeout=30) == "quick"


@pytest.mark.parametrize("none", [None, math.inf])
async def test_a_pool_whose_jobs_do_not_expire(redis_settings: RedisSettings, none: float | None) -> None:
    pool = await create_pool(redis_settings, expires_extra_ms=none)
    job = await enqueued(pool, "quick")
    assert await pool.pttl(f"arq:job:{job.job_id}") > CENTURY_MS
    await pool.aclose(close_connection_pool=True)


async def test_a_drain_without_a_limit(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    go_on = asyncio.Event()

    async def patient(ctx: Ctx) -> str:
        await go_on.wait()
        return "done"

    job = await enqueued(arq_redis, "patient")
    one = Worker(
        [func(patient, name="patient")],
        redis_settings=redis_settings,
        handle_signals=False,
        job_completion_wait=math.inf,
    )
    async with until_stopped(one):
        await wait_until_async(lambda: one.job_tasks)
        one.handle_sig_wait_for_completion(15)  # type: ignore[arg-type]
        go_on.set()
    assert await job.result(timeout=30) == "done"


async def test_a_burst_without_a_limit(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.enqueue_jobs(["quick"] * 30)
    for none in (None, math.inf):
        one = worker([quick, broken], max_burst_jobs=none)
        await one.main()
    assert await arq_redis.zcard("arq:queue") == 0
