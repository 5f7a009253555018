"""How many jobs a worker takes, and which; bursts."""

from __future__ import annotations

import asyncio

import pytest
import redis

from arq.connections import ArqRedis, JobCall
from arq.worker import func
from tests.arq.redis import inside
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    enqueued,
    for_ever,
    hold_as_upstream,
    info,
    keys,
    old_enqueue,
    quick,
    running,
    until_stopped,
)
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async


async def test_no_more_than_max_jobs(arq_redis: ArqRedis, worker: WorkerFactory, gate: asyncio.Event) -> None:
    running_now = most = 0

    async def work(ctx: Ctx) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await gate.wait()
        running_now -= 1

    await arq_redis.enqueue_jobs(["work"] * 12)
    one = worker([func(work, name="work")], max_jobs=5)
    async with until_stopped(one):  # it stops by itself
        await wait_until_async(lambda: running_now == 5)
        assert len(one.tasks) == one.job_counter == 5
        assert len(await keys(arq_redis, "arq:in-progress:*")) == 5
        gate.set()
    assert (most, one.jobs_complete) == (5, 12)


async def test_a_full_worker_is_quiet(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis
) -> None:
    """It must not wake up all the time, and not ask Redis for what it can not take."""
    await arq_redis.enqueue_jobs(["for_ever"] * 3)
    one = worker([for_ever], burst=False, max_jobs=1, poll_delay=60)
    turns = 0
    step = one._poll_iteration

    async def counted() -> None:
        nonlocal turns
        turns += 1
        await step()

    one._poll_iteration = counted  # type: ignore[method-assign]
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        before = redis_client.info("stats")["total_commands_processed"]
        until = inside.clock_s(one) + 0.5
        await wait_until_async(lambda: inside.clock_s(one) > until)
        assert redis_client.info("stats")["total_commands_processed"] - before < 10
        assert turns < 20


async def test_read_limit(arq_redis: ArqRedis, worker: WorkerFactory, gate: asyncio.Event) -> None:
    """At most so many jobs in one claim, and all of them in the end."""
    await arq_redis.enqueue_jobs(["quick"] * 10)
    one = worker([quick], queue_read_limit=3)
    await one.main()
    assert one.jobs_complete == 10


@pytest.mark.parametrize(("limit", "ran"), [(0, 0), (1, 1), (3, 3), (99, 5)])
async def test_max_burst_jobs(arq_redis: ArqRedis, worker: WorkerFactory, limit: int, ran: int) -> None:
    await arq_redis.enqueue_jobs(["quick"] * 5)
    one = worker([quick], max_burst_jobs=limit)
    await asyncio.wait_for(one.main(), 30)
    assert one.jobs_complete == ran
    assert await arq_redis.zcard(QUEUE) == 5 - ran


async def test_a_burst_waits_for_deferred_jobs(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "quick", _defer_by=0.2)
    await worker([quick]).main()
    assert await job.result(timeout=30) == "quick"


async def test_a_worker_runs_several_times(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    one = worker([quick])
    for count in (1, 2, 3):
        await arq_redis.enqueue_job("quick")
        await one.main()
        assert one.jobs_complete == count


async def test_only_its_own_queue(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    other = await enqueued(arq_redis, "quick", _queue_name="other")
    await arq_redis.enqueue_job("quick")
    one = worker([quick], queue_name="other")
    await one.main()
    assert one.jobs_complete == 1
    assert (await info(other)).queue_name == "other"
    assert await arq_redis.zcard(QUEUE) == 1


async def test_start_jobs_starts_exactly_these(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=name) for name in "abc"])
    one = worker([quick])
    await one.start_jobs([b"b", b"unknown"])
    await asyncio.gather(*one.tasks.values())
    await wait_until_async(lambda: arq_redis.exists("arq:result:b"))
    assert await arq_redis.zrange(QUEUE, 0, -1) == [b"a", b"c"]


async def test_a_quiet_worker_takes_nothing_until_it_may(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    one = worker([quick], burst=False, poll_delay=0.02)
    one.allow_pick_jobs = False
    job = await enqueued(arq_redis, "quick")
    async with running(one):
        until = inside.clock_s(one) + 0.1
        await wait_until_async(lambda: inside.clock_s(one) > until)
        assert await arq_redis.zcard(QUEUE) == 1
        one.allow_pick_jobs = True
        assert await job.result(timeout=30) == "quick"


async def test_on_ready_and_running_jobs(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    ready: list[bool] = []
    started: list[bool] = []

    async def on_startup(ctx: Ctx) -> None:
        started.append(not ready)

    await arq_redis.enqueue_job("for_ever", _job_id="a")
    one = worker([for_ever], burst=False, poll_delay=0.02, on_startup=on_startup)
    one.on_ready = lambda: ready.append(True)
    async with running(one):
        await wait_until_async(one.running_jobs)
        assert one.running_jobs() == [("a", "for_ever")]
        assert (ready, started) == ([True], [True])


async def test_an_old_job_is_not_forgotten_behind_a_lasting_backlog(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """Where many jobs at the head of the queue are held by others, claims begin behind them, but not for ever."""
    found = asyncio.Event()

    async def chain(ctx: Ctx) -> None:
        if not found.is_set():
            await ctx["redis"].enqueue_job("chain")

    async def older(ctx: Ctx) -> None:
        found.set()

    for number in range(30):
        await old_enqueue(arq_redis, f"held{number}", score=1000 + number)
        await hold_as_upstream(arq_redis, f"held{number}")
    await arq_redis.enqueue_jobs(["chain"] * 30)
    one = worker(
        [func(chain, name="chain"), func(older, name="older")], burst=False, max_jobs=2, poll_delay=30
    )
    async with running(one):
        await wait_until_async(lambda: one.jobs_complete > 50)
        await old_enqueue(arq_redis, "older", "older", score=1)
        await asyncio.wait_for(found.wait(), 30)
