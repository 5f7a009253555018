"""Parts of a worker that talk to Redis, each alone: there is a context, and no worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import ResponseError

from arq import cron
from arq._health_line import parse_line
from arq._keys import LEASES_KEY
from arq._redis.worker_connection import Link
from arq._worker.abort_requests import AbortRequests
from arq._worker.commit_and_claim import Exchange
from arq._worker.context import Context
from arq._worker.cron_ticks import CronTicks
from arq._worker.health_writer import HealthLine
from arq._worker.locks import Locks
from arq._worker.options import WorkerOptions
from arq._worker.poll_schedule import PollSchedule
from arq.connections import ArqRedis
from tests.arq.redis.harness import QUEUE, claim, hold_as_upstream, ids

Ctx = dict[Any, Any]


async def quick(ctx: Ctx) -> None: ...


@pytest.fixture
async def shared(arq_redis: ArqRedis) -> AsyncIterator[Context]:
    """What parts share that have this test's Redis."""
    options = WorkerOptions(
        [quick],
        cron_jobs=[cron(quick, name="tick", second=None)],
        allow_abort_jobs=True,
        health_check_interval=600,
    )
    options.worker_id = "w"

    def open_exchange() -> Exchange:
        link = Link(arq_redis.connection_pool)
        return Exchange(link, QUEUE, "w", 60_000, 30_000, look_at_aborts=True)

    made = Context(options, open_exchange, arq_redis)
    yield made
    await made.exchange().close()


async def test_the_health_line_is_written_when_it_is_due(
    shared: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "arq.worker")
    line = HealthLine(shared)
    shared.jobs.complete, shared.jobs.failed = 3, 2
    await line.record()

    async def written() -> Any:
        line = await shared.redis.get(f"{QUEUE}:health-check")
        assert line is not None
        return parse_line(line)

    tally = await written()
    assert (tally.complete, tally.failed, tally.ongoing, tally.queued) == (3, 2, 0, 0)
    shared.jobs.complete = 4
    await line.record()
    assert await written() == tally  # not due
    line.begin()
    await line.record()
    assert (await written()).complete == 4
    assert "recording health" in caplog.text
    shared.jobs.complete, shared.options.supervised = 5, True
    line.begin()
    await line.record()
    assert (await written()).complete == 4  # the supervisor's business


async def test_locks_and_lease_are_extended(shared: Context, caplog: pytest.LogCaptureFixture) -> None:
    for job_id in ("mine", "lost"):
        await shared.redis.enqueue_job("quick", _job_id=job_id)
    for job in (await claim(shared.redis, "w", lock_ms=30_000)).jobs:
        shared.jobs.claimed[job.job_id] = job
    await hold_as_upstream(shared.redis, "lost")
    await shared.redis.zadd(LEASES_KEY, {"w": 1})
    await Locks(shared).extend()
    assert await shared.redis.pttl("arq:in-progress:mine") > 60_000
    assert (await shared.redis.zscore(LEASES_KEY, "w") or 0) > 1
    assert [one.getMessage() for one in caplog.records] == [
        "job lost is not this worker's any more, it may be run twice"
    ]


async def test_a_supervised_worker_leaves_its_lease_alone(shared: Context) -> None:
    shared.options.supervised = True
    await shared.redis.zadd(LEASES_KEY, {"w": 1})
    await Locks(shared).extend()
    assert await shared.redis.zscore(LEASES_KEY, "w") == 1


async def test_jobs_of_a_dead_worker_are_given_back(
    shared: Context, caplog: pytest.LogCaptureFixture
) -> None:
    await shared.redis.enqueue_job("quick", _job_id="a")
    await claim(shared.redis, "dead")
    await shared.redis.zadd(LEASES_KEY, {"dead": 1})
    await Locks(shared).sweep()
    assert "worker dead is gone, 1 jobs given back: ['a']" in caplog.text
    assert ids(await claim(shared.redis, "next")) == ["a"]


async def test_a_job_that_is_to_be_aborted_is_cancelled_once_in_a_while(shared: Context) -> None:
    await shared.redis.enqueue_job("quick", _job_id="a")
    await claim(shared.redis, "w")
    cancellations = 0

    async def stubborn() -> None:
        nonlocal cancellations
        while cancellations < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations += 1

    task = shared.jobs.job_tasks["a"] = asyncio.create_task(stubborn())
    stood_still_s = 0.0
    aborts = AbortRequests(shared, lambda: stood_still_s)
    await aborts.obey()
    assert not shared.jobs.aborting  # nobody has asked
    await shared.redis.zadd("arq:abort", {"a": 2_000_000_000_000})
    for _ in range(3):
        await aborts.obey()
        await asyncio.sleep(0)
    assert shared.jobs.aborting == {"a"}
    assert cancellations == 1
    stood_still_s = -60.0  # so much later
    await aborts.obey()
    await asyncio.wait([task])
    assert cancellations == 2


async def test_a_tick_is_enqueued_once_by_all_who_plan_it(shared: Context) -> None:
    one, other = (CronTicks(shared, PollSchedule(shared.clock, lambda: 0.5)) for _ in range(2))
    await one.look_at_clock()
    now, window = one.now(), timedelta(seconds=3)
    for ticks in (one, other, one):
        await ticks.enqueue_due(now, window)
    queued = [job.function for job in await shared.redis.queued_jobs()]
    assert 2 <= len(queued) <= 3
    assert set(queued) == {"tick"}


async def test_without_schedules_nobody_asks_for_the_time(shared: Context) -> None:
    shared.options.cron_jobs = None
    ticks = CronTicks(shared, PollSchedule(shared.clock, lambda: 0.5))
    assert not ticks.needs_clock
    await ticks.enqueue_due(ticks.now(), timedelta(seconds=60))
    assert await shared.redis.zcard(QUEUE) == 0


async def test_a_claim_that_is_refused_because_of_the_queue_has_lost_nothing(shared: Context) -> None:
    """So nothing is asked for afterwards but what is due."""
    await shared.redis.set(QUEUE, "no queue", ex=60)
    exchange = shared.exchange()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await exchange.commit_and_claim(1, recover=True)
    assert not exchange.claim_lost
    await shared.redis.delete(QUEUE)
    await shared.redis.enqueue_job("quick", _job_id="a")
    answer = await exchange.commit_and_claim(1, recover=True)
    assert answer is not None
    assert (ids(answer), answer.recovered, exchange.epoch) == (["a"], False, 0)
