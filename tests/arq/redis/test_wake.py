"""Waking up instead of polling. All workers here look at the queue by themselves only every 30 s."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.jobs import Job
from arq.utils import timestamp_ms
from arq.worker import Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, idle, keys, old_enqueue, quiet, running
from tests.support.eventually import wait_until_async

Ctx = dict[Any, Any]


class Starts(dict[str, int]):
    """When each job started, unix ms."""

    async def quick(self, ctx: Ctx) -> None:
        self[ctx["job_id"]] = timestamp_ms()

    async def later(self, ctx: Ctx) -> None:
        self[f"{ctx['job_id']}:{ctx['job_try']}"] = timestamp_ms()
        if ctx["job_try"] == 1:
            raise Retry(0.2)


async def for_ever(ctx: Ctx) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def starts() -> Starts:
    return Starts()


def lazy(settings: RedisSettings, starts: Starts, **options: Any) -> Worker:
    functions: list[Any] = [func(starts.quick, name="quick"), func(starts.later, name="later"), for_ever]
    chosen: dict[str, Any] = {"redis_settings": settings, "poll_delay": 30, "handle_signals": False} | options
    return Worker(functions, **chosen)


async def test_an_idle_worker_hears_of_a_job(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    one = lazy(redis_settings, starts)
    async with running(one):
        for _ in range(3):
            await idle(one)
            job = await arq_redis.enqueue_job("quick")
            assert isinstance(job, Job)
            await job.result(timeout=30)


async def test_one_token_wakes_one_worker(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts, redis_client: redis.Redis
) -> None:
    workers = [lazy(redis_settings, starts) for _ in range(4)]
    async with running(*workers):
        await idle(*workers)
        redis_client.config_resetstat()
        await arq_redis.enqueue_job("quick", _job_id="a")
        await wait_until_async(lambda: "a" in starts)
        await idle(*workers)
        calls = redis_client.info("commandstats")["cmdstat_blpop"]["calls"]
    assert calls <= 2


async def test_a_batch_wakes_as_many_as_it_needs(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    workers = [lazy(redis_settings, starts, max_jobs=1) for _ in range(3)]
    async with running(*workers):
        await idle(*workers)
        await arq_redis.enqueue_jobs(["for_ever"] * 3)
        await wait_until_async(lambda: all(one.job_tasks for one in workers))


async def test_a_deferred_job_starts_on_time(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    one = lazy(redis_settings, starts)
    async with running(one):
        await idle(one)
        await arq_redis.enqueue_job("quick", _job_id="a", _defer_by=0.3)
        due_ms = await arq_redis.zscore(QUEUE, "a")
        assert due_ms is not None
        await wait_until_async(lambda: "a" in starts)
    assert starts["a"] >= due_ms - 1


async def test_a_deferred_job_starts_on_time_though_the_worker_that_knew_of_it_is_full(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    workers = [lazy(redis_settings, starts, max_jobs=1) for _ in range(2)]
    async with running(*workers):
        await idle(*workers)
        await arq_redis.enqueue_jobs([JobCall("for_ever"), JobCall("quick", _job_id="a", _defer_by=0.3)])
        await wait_until_async(lambda: "a" in starts)


async def test_a_deferred_job_starts_on_time_though_the_worker_that_knew_of_it_is_gone(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    first, second = lazy(redis_settings, starts), lazy(redis_settings, starts)
    async with running(second):
        await idle(second)
        await quiet(second)  # the first takes the token
        async with running(first):
            await idle(first)
            await arq_redis.enqueue_job("quick", _job_id="a", _defer_by=0.5)
            # if the machine stands still here, the first starts the job itself
            await wait_until_async(
                lambda: "a" in starts or inside.poll(first).look_at_s - inside.clock_s(first) < 1
            )
            second.allow_pick_jobs = True
            inside.wake_up(second)
            await idle(second)
        await wait_until_async(lambda: "a" in starts)


async def test_a_retry_starts_on_time(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    one = lazy(redis_settings, starts)
    async with running(one):
        await idle(one)
        await arq_redis.enqueue_job("later", _job_id="a")
        await wait_until_async(lambda: "a:2" in starts)
    assert starts["a:2"] - starts["a:1"] >= 199


async def test_a_stopped_workers_jobs_go_to_another_at_once(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    first, second = lazy(redis_settings, starts), lazy(redis_settings, starts)
    async with running(second):
        async with running(first):
            await idle(first, second)
            await quiet(second)
            await arq_redis.enqueue_job("for_ever")
            await wait_until_async(lambda: first.job_tasks)
            second.allow_pick_jobs = True
        await wait_until_async(lambda: second.job_tasks)


async def test_a_job_without_a_token_is_found_by_looking(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    """Producers of other versions, dashboards and people with redis-cli leave no token."""
    one = lazy(redis_settings, starts, poll_delay=0.1)
    async with running(one):
        await idle(one)
        await old_enqueue(arq_redis, "old", "quick")
        await wait_until_async(lambda: "old" in starts)


async def test_tokens_do_not_pile_up(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    one = lazy(redis_settings, starts, max_jobs=1)
    async with running(one):
        await idle(one)
        await arq_redis.enqueue_job("for_ever")
        await wait_until_async(lambda: one.job_tasks)
        for _ in range(50):
            await arq_redis.enqueue_job("quick")
        assert await arq_redis.llen("arq:wake:arq:queue") <= 1
        if await arq_redis.exists("arq:wake:arq:queue"):
            assert 0 < await arq_redis.pttl("arq:wake:arq:queue") <= 60_000
    assert await keys(arq_redis, "arq:in-progress:*") == set()


async def test_a_place_that_gets_free_is_filled_at_once(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts
) -> None:
    one = lazy(redis_settings, starts, max_jobs=1)
    async with running(one):
        await idle(one)
        for number in range(20):
            await arq_redis.enqueue_job("quick", _job_id=str(number))
        await wait_until_async(lambda: len(starts) == 20)


async def test_an_idle_worker_asks_for_nothing(
    arq_redis: ArqRedis, redis_settings: RedisSettings, starts: Starts, redis_client: redis.Redis
) -> None:
    one = lazy(redis_settings, starts)
    async with running(one):
        await idle(one)
        redis_client.config_resetstat()
        until = inside.clock_s(one) + 0.3
        await wait_until_async(lambda: inside.clock_s(one) > until)
        assert {
            name for name in redis_client.info("commandstats") if "blpop" in name or "eval" in name
        } == set()
