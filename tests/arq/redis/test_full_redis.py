"""A Redis over its memory limit (`maxmemory`, `noeviction`) takes no new jobs, and is emptied by its workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError, ResponseError

from arq._endings import Unbegun
from arq._redis import membership, scripts
from arq._redis.scripts import Why
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.cron import cron
from arq.worker import Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    claim,
    enqueued,
    for_ever,
    idle,
    ids,
    members,
    nothing_held,
    quick,
    running,
)
from tests.support.eventually import wait_until_async

OVER_BYTES = 100_000


async def fill(pool: ArqRedis) -> None:
    """Set the limit below what is used."""
    used = (await pool.info("memory"))["used_memory"]
    await pool.config_set("maxmemory", used - OVER_BYTES)
    with pytest.raises(OutOfMemoryError):
        await pool.set("more", "x" * 100)


@pytest.fixture
async def pool(own_settings: RedisSettings) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(own_settings)
    await pool.config_set("maxmemory-policy", "noeviction")
    yield pool
    await pool.config_set("maxmemory", 0)
    await pool.aclose()


def a_worker(settings: RedisSettings, **options: Any) -> Worker:
    defaults = {"poll_delay": 0.02, "handle_signals": False, "allow_abort_jobs": True}
    return Worker([quick, for_ever, twice], redis_settings=settings, **defaults | options)


async def twice(ctx: Ctx) -> Any:
    if ctx["job_try"] == 1:
        raise Retry
    return ctx["job_try"]


@pytest.mark.parametrize("keep_result", [0, 3600])
async def test_workers_empty_it(own_settings: RedisSettings, pool: ArqRedis, keep_result: int) -> None:
    """2,000 jobs of 1 KB; enqueueing is refused until there is room, and leaves nothing behind."""
    await pool.enqueue_jobs(JobCall("quick", n, "x" * 1000, _job_id=str(n)) for n in range(2000))
    await fill(pool)
    with pytest.raises(ResponseError, match="maxmemory"):
        await pool.enqueue_job("quick", _job_id="more")
    assert not await pool.exists("arq:job:more")
    short = func(first, name="quick", keep_result=keep_result)
    worker = Worker([short], redis_settings=own_settings, max_jobs=100, handle_signals=False)
    async with running(worker):
        await wait_until_async(lambda: worker.jobs_complete == 2000, 60, "all are run")
        await wait_until_async(lambda: _count(pool), 60, "the queue is empty")
    assert len([key async for key in pool.scan_iter("arq:result:*", count=1000)]) == (
        2000 if keep_result else 0
    )
    assert not await pool.exists("arq:job:0", "arq:in-progress:0", "arq:retry:0")


async def first(ctx: Ctx, number: int, _ballast: str) -> int:
    return number


async def _count(pool: ArqRedis) -> bool:
    return await pool.zcard(QUEUE) == 0


async def test_everything_that_a_worker_does(own_settings: RedisSettings, pool: ArqRedis) -> None:
    """It comes, claims, extends, runs again, is told to abort, sweeps, is interrupted, gives back and leaves."""
    jobs = [await enqueued(pool, "twice", _job_id=str(number)) for number in range(3)]
    forever = [await enqueued(pool, "for_ever", _job_id=name) for name in ("aborted", "interrupted")]
    await enqueued(pool, "quick", _job_id="of the dead", _queue_name="elsewhere")
    await claim(pool, "dead", queue_name="elsewhere")
    await membership.register(pool, "dead", 0)
    await pool.setrange("ballast", 1_000_000, "x")
    await fill(pool)
    worker = a_worker(own_settings)
    async with running(worker):
        for job in jobs:
            assert await job.result(timeout=30) == 2
        await wait_until_async(lambda: len(worker.job_tasks) == 2, what="the others run")
        await wait_until_async(lambda: _is_gone(pool, "dead"), what="swept")
        before = await pool.pttl("arq:in-progress:interrupted")
        await wait_until_async(lambda: _is_less(pool, before), what="time passes")
        inside.due(worker).keep_at_s = inside.due(worker).present_at_s = 0.0
        await wait_until_async(lambda: _is_extended(pool, before), what="the lock is extended")
        assert await forever[0].abort(timeout=30)
        assert await pool.zscore("arq:leases", worker.worker_id)
    assert await members(pool, QUEUE) == ["interrupted"]
    assert await pool.get("arq:interrupted:interrupted") == b"1"
    assert not await pool.exists("arq:in-progress:interrupted", "arq:in-progress:of the dead", "arq:leases")
    await pool.delete("ballast")
    assert ids(await claim(pool, "next")) == ["interrupted"]


async def _is_gone(pool: ArqRedis, worker_id: str) -> bool:
    return await pool.zscore("arq:leases", worker_id) is None


async def _is_less(pool: ArqRedis, ttl_ms: int) -> bool:
    return await pool.pttl("arq:in-progress:interrupted") < ttl_ms - 20


async def _is_extended(pool: ArqRedis, ttl_ms: int) -> bool:
    return await pool.pttl("arq:in-progress:interrupted") > ttl_ms - 20


@pytest.mark.parametrize("why", list(Why))
async def test_jobs_that_are_given_back(pool: ArqRedis, why: Why) -> None:
    await pool.enqueue_jobs(JobCall("quick", _job_id=name) for name in "abc")
    await claim(pool, "w")
    await pool.setrange("ballast", 1_000_000, "x")
    await fill(pool)
    released = scripts.read_release(await scripts.run(pool, scripts.release("w", why)))
    assert set(released.job_ids) == {"a", "b", "c"}
    assert set(ids(await claim(pool, "next"))) == {"a", "b", "c"}
    assert await scripts.run(pool, scripts.reclaim("next", 7)) != []


async def test_claims_are_looked_at_that_may_have_lapsed(pool: ArqRedis) -> None:
    await pool.enqueue_jobs(JobCall("quick", _job_id=name) for name in "ab")
    assert ids(await claim(pool, "w", limit=1)) == ["a"]
    await pool.zadd("arq:lapses", {"w": 1})
    await pool.setrange("ballast", 1_000_000, "x")
    await fill(pool)
    assert ids(await claim(pool, "next")) == ["b"]
    assert (await pool.zscore("arq:lapses", "w") or 0) > 1


async def test_a_job_that_is_left_to_others(pool: ArqRedis) -> None:
    await pool.enqueue_job("quick", _job_id="a")
    (job,) = (await claim(pool, "w")).jobs
    await pool.setrange("ballast", 1_000_000, "x")
    await fill(pool)
    ending = Unbegun("a", job.stamp, None, "unread:x", 60_000)
    assert await scripts.run(pool, scripts.finish(QUEUE, "w", [ending])) == []
    assert ids(await claim(pool, "w", cohorts=" unread:x ")) == []
    assert ids(await claim(pool, "next")) == ["a"]


async def test_what_it_does_refuse_is_said_once_and_holds_up_nobody(
    own_settings: RedisSettings, pool: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """The ticks of cron jobs are new jobs. They come when there is room; the health line is written at once."""
    caplog.set_level(logging.INFO)
    job = await enqueued(pool, "quick")
    await pool.setrange("ballast", 1_000_000, "x")
    await fill(pool)
    ticking = cron(quick, name="tick", second=None, keep_result=60)
    worker = a_worker(own_settings, cron_jobs=[ticking])
    async with running(worker):
        assert await job.result(timeout=30) == "quick"
        await wait_until_async(lambda: "cron jobs: redis refuses, " in caplog.text, what="a tick is refused")
        assert await pool.exists(f"{QUEUE}:health-check")
        await pool.delete("ballast")
        await pool.config_set("maxmemory", 0)
        await wait_until_async(lambda: worker.jobs_complete > 1, what="a tick")
    assert caplog.text.count("cron jobs: redis refuses, ") == 1
    assert "redis trouble" not in caplog.text


async def test_an_idle_worker_gets_a_job_with_a_token(own_settings: RedisSettings, pool: ArqRedis) -> None:
    worker = a_worker(own_settings, poll_delay=600)
    async with running(worker):
        await idle(worker)
        await enqueued(pool, "quick", _defer_by=3600, _job_id="a")
        await idle(worker)
        await pool.setrange("ballast", 1_000_000, "x")
        await pool.zadd(QUEUE, {"a": 1})
        await fill(pool)
        await scripts.run(pool, scripts.pass_on(QUEUE))
        await wait_until_async(lambda: pool.exists("arq:result:a"), what="it is run")
    await pool.delete("ballast")
    await nothing_held(pool, [f"arq:lookers:{QUEUE}"])


async def test_two_producers_of_one_batch(pool: ArqRedis) -> None:
    """Nothing of a batch that is refused is left."""
    await pool.setrange("ballast", 1_000_000, "x")
    await fill(pool)
    calls = (pool.enqueue_job("quick", _job_id=str(number)) for number in range(5))
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, ResponseError) for one in found), found
    assert await pool.keys("arq:*") == []
