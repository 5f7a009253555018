"""Cron jobs in Redis: each tick is enqueued once in each queue, whatever clocks, other queues and other versions do."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from time import time

import pytest
from redis.exceptions import ResponseError

from arq._redis.scripts import NewTick
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.cron import cron
from arq.utils import timestamp_ms
from arq.worker import Retry, Worker
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, Ctx, claim, hold_as_upstream, keys, members, old_enqueue, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

DAY_MS = 86_400_000
#: as far as a worker looks ahead
AHEAD_MS = 6000


async def nothing(ctx: Ctx) -> None: ...


async def test_a_cron_job_runs_once_whatever_the_number_of_workers(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    runs = []

    async def tick(ctx: Ctx) -> None:
        runs.append(ctx["job_id"])

    def made() -> Worker:
        every_second = cron(tick, name="tick", second=None, microsecond=0)
        return Worker(
            cron_jobs=[every_second], redis_settings=redis_settings, poll_delay=0.05, handle_signals=False
        )

    async with running(*(made() for _ in range(3))):
        await wait_until_async(lambda: len(set(runs)) >= 2)
    assert len(runs) == len(set(runs))
    assert all(re.fullmatch(r"tick:\d{10}000", job_id) for job_id in runs)


async def test_a_late_worker_does_not_repeat_a_tick(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def tick(ctx: Ctx) -> None: ...

    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    for late_s in (0, 200):
        one = worker(cron_jobs=[cron(tick, name="tick", hour=12, minute=0)], timezone=UTC)
        await one.run_cron(noon - timedelta(seconds=1), 0.5)
        await one.run_cron(noon + timedelta(seconds=late_s), 0.5)
    assert await arq_redis.zcard(QUEUE) == 1


async def test_two_schedules_of_one_function(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def tick(ctx: Ctx) -> None: ...

    jobs = [
        cron(tick, name="tick", second=5),
        cron(tick, name="tick", second=1),
        cron(tick, name="tick", job_id="a", second=1),
        cron(tick, name="tick", job_id="b", second=1),
    ]
    one = worker(cron_jobs=jobs, timezone=UTC)
    await one.run_cron(datetime(2030, 1, 1, 0, 0, 0, tzinfo=UTC), 5)
    queued = {job.job_id for job in await arq_redis.queued_jobs()}
    assert queued == {"tick:1893456001123", "tick:1893456005123", "a", "b"}


async def test_at_startup_and_at_its_time(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def tick(ctx: Ctx) -> None: ...

    one = worker(cron_jobs=[cron(tick, name="tick", month=2, day=29, run_at_startup=True)], timezone=UTC)
    await one.main()
    assert one.jobs_complete == 1


async def test_cron_jobs_have_no_result_and_one_try_by_default(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def tick(ctx: Ctx) -> None:
        raise Retry

    one = worker(cron_jobs=[cron(tick, name="tick", month=2, day=29, run_at_startup=True)])
    await one.main()
    assert (one.jobs_retried, one.jobs_failed) == (1, 1)
    assert await keys(arq_redis, "arq:result:*") == set()


async def test_schedules_follow_the_workers_timezone(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def tick(ctx: Ctx) -> None: ...

    tokyo = timezone(timedelta(hours=9))
    one = worker(cron_jobs=[cron(tick, name="tick", hour=3, minute=0)], timezone=tokyo)
    await one.run_cron(datetime(2030, 1, 1, 17, 59, 59, 500_000, tzinfo=UTC).astimezone(tokyo), 0.5)
    (job,) = await arq_redis.queued_jobs()
    assert job.score == 1_893_520_800_123


# ---------------------------------------------------------------- one tick


def id_of(tick_ms: int) -> str:
    return f"cron:f:{tick_ms}"


async def enqueue(
    pool: ArqRedis, tick_ms: int, *, schedule: str = "s", queue: str = QUEUE, job_id: str | None = None
) -> bool:
    tick = NewTick(tick_ms, AHEAD_MS, f"hash-{schedule}", f"cron:f:{schedule}")
    return await pool._enqueue_tick("cron:f", job_id or id_of(tick_ms), queue, tick)


async def run_and_forget(pool: ArqRedis, *job_ids: str, queue: str = QUEUE) -> None:
    """Let no trace of jobs be left, as when they have run a while ago."""
    await pool.zrem(queue, *job_ids)
    await pool.delete(*(f"arq:job:{job_id}" for job_id in job_ids))


async def test_a_tick_is_enqueued_once_however_late_somebody_comes(arq_redis: ArqRedis) -> None:
    now_ms = timestamp_ms()
    ticks = [now_ms - 60_000, now_ms, now_ms + 1000]
    for tick_ms in ticks:
        assert await enqueue(arq_redis, tick_ms)
        await claim(arq_redis, "w")
        await arq_redis.delete(f"arq:in-progress:{id_of(tick_ms)}")
    await run_and_forget(arq_redis, *map(id_of, ticks))
    assert [await enqueue(arq_redis, tick_ms) for tick_ms in ticks] == [False] * 3
    assert await enqueue(arq_redis, now_ms - 1000), "a tick that nobody has enqueued"
    assert await enqueue(arq_redis, now_ms - 60_000, schedule="another", job_id="own")
    for key in await keys(arq_redis, "arq:ticks:*") | await keys(arq_redis, "arq:cron:*"):
        assert 0 < await arq_redis.pttl(key) <= 7 * DAY_MS


async def test_a_job_id_of_its_own_is_given_again_for_another_tick_only(arq_redis: ArqRedis) -> None:
    now_ms = timestamp_ms()
    assert await enqueue(arq_redis, now_ms, job_id="own")
    assert not await enqueue(arq_redis, now_ms + 1000, job_id="own"), "it is still queued"
    await run_and_forget(arq_redis, "own")
    assert not await enqueue(arq_redis, now_ms, job_id="own")
    assert await enqueue(arq_redis, now_ms + 2000, job_id="own")


async def test_what_is_remembered_is_bounded(arq_redis: ArqRedis) -> None:
    now_ms = timestamp_ms()
    ticks = [now_ms - 1000 * n for n in range(200, 0, -1)]
    for tick_ms in ticks:
        assert await enqueue(arq_redis, tick_ms)
    await run_and_forget(arq_redis, *map(id_of, ticks))
    assert await arq_redis.zcard(f"arq:ticks:{QUEUE}:hash-s") == 120
    assert [await enqueue(arq_redis, tick_ms) for tick_ms in (ticks[0], ticks[79], ticks[150])] == [False] * 3


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("ahead_ms", [60_000, 2 * 3_600_000, 365 * DAY_MS])
async def test_a_tick_of_a_clock_that_is_ahead_silences_nobody(arq_redis: ArqRedis, ahead_ms: int) -> None:
    now_ms = timestamp_ms()
    assert await enqueue(arq_redis, now_ms + ahead_ms)
    for tick_ms in range(now_ms, now_ms + 5000, 1000):
        assert await enqueue(arq_redis, tick_ms)
    assert not await enqueue(arq_redis, now_ms + ahead_ms), "it is in the queue already"


async def test_more_ticks_of_a_clock_that_was_ahead_than_are_remembered(arq_redis: ArqRedis) -> None:
    """Redis's own clock was ahead for a while: what it has noted meanwhile lies in the future now."""
    now_ms = timestamp_ms()
    future = {str(now_ms + 3_600_000 + 1000 * n): now_ms + 3_600_000 + 1000 * n for n in range(120)}
    await arq_redis.zadd(f"arq:ticks:{QUEUE}:hash-s", future)
    assert await enqueue(arq_redis, now_ms)
    assert not await enqueue(arq_redis, now_ms)


def shifted(seconds: float) -> Callable[[], float]:
    return lambda: time() + seconds


@pytest.mark.parametrize("ahead_s", [7200.0, -7200.0])
async def test_a_host_whose_clock_is_wrong_plans_by_that_of_redis_and_says_so(
    arq_redis: ArqRedis,
    redis_settings: RedisSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ahead_s: float,
) -> None:
    caplog.set_level(logging.INFO, "arq.worker")
    runs: list[float] = []

    async def tick(ctx: Ctx) -> None:
        runs.append(ctx["score"] / 1000 - timestamp_ms() / 1000)

    monkeypatch.setattr("arq._worker.cron_ticks.time", shifted(ahead_s))
    one = Worker(
        cron_jobs=[cron(tick, name="tick", second=None)],
        redis_settings=redis_settings,
        poll_delay=0.05,
        handle_signals=False,
    )

    def said(text: str) -> int:
        return sum(text in message for message in caplog.messages)

    async with running(one):
        await wait_until_async(lambda: len(runs) >= 2)
        assert all(-60 < off_s < 1 for off_s in runs)
        monkeypatch.setattr("arq._worker.cron_ticks.time", time)
        await wait_until_async(lambda: said("the clock of this host agrees with that of redis again"))
    word = "ahead of" if ahead_s > 0 else "behind"
    (warning,) = (message for message in caplog.messages if "the clock of this host is" in message)
    assert re.fullmatch(rf"the clock of this host is (7199|7200)\.\d s {word} that of redis, .*", warning)
    assert said("the clock of this host agrees") == 1


async def test_a_worker_without_cron_jobs_says_so_too(
    arq_redis: ArqRedis,
    worker: WorkerFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module in ("arq._worker.cron_ticks.time", "arq.utils.time"):
        monkeypatch.setattr(module, shifted(3600))
    one = worker([nothing], burst=False, poll_delay=0.02)
    async with running(one):
        await wait_until_async(lambda: "the clock of this host is" in caplog.text)


async def test_a_clock_that_agrees_is_not_asked_for_without_cron_jobs(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    one = worker([nothing])
    await one.main()
    assert not inside.main_loop(one).cron.redis_clock.is_known


@pytest.mark.parametrize("step_s", [-3600, 3600])
async def test_a_clock_that_is_set_holds_up_no_job(
    arq_redis: ArqRedis, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    """A job that no token tells of: an idle worker looks whether it is due, by what it knows of Redis's clock."""
    one = worker([nothing], burst=False, poll_delay=0.02)
    async with running(one):
        await wait_until_async(lambda: inside.poll(one).answered_ms > 0)
        now_ms = timestamp_ms()
        monkeypatch.setattr("arq.utils.time", shifted(step_s))
        assert inside.poll(one).redis_now_ms() >= now_ms - 1000
        await old_enqueue(arq_redis, "late", "nothing", score=now_ms + 50)
        await wait_until_async(lambda: one.jobs_complete == 1)


# ---------------------------------------------------------------- queues

QUEUES = (QUEUE, "app:a", "app:b", "app")


@pytest.mark.parametrize("first", range(len(QUEUES)))
async def test_each_queue_gets_each_tick_once(arq_redis: ArqRedis, first: int) -> None:
    now_ms = timestamp_ms()
    queues = QUEUES[first:] + QUEUES[:first]
    for tick_ms in (now_ms, now_ms + 1000):
        for _ in range(2):
            taken = [await enqueue(arq_redis, tick_ms, queue=queue) for queue in queues]
            assert taken in ([True] * 4, [False] * 4)
    for queue in queues:
        assert await arq_redis.zcard(queue) == 2
    assert await members(arq_redis, queues[0]) == [id_of(now_ms), id_of(now_ms + 1000)]
    assert await members(arq_redis, queues[1]) == [f"{id_of(now_ms + n)}:{queues[1]}" for n in (0, 1000)]


async def test_a_tick_that_another_queue_has_run_already(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """The id stays taken for a minute after the run, and for as long as its result is kept."""
    ran: list[str] = []

    async def f(ctx: Ctx) -> None:
        ran.append(ctx["job_id"])

    now_ms = timestamp_ms()
    for queue in ("app:a", "app:b"):
        assert await enqueue(arq_redis, now_ms, queue=queue)
        await worker(
            cron_jobs=[cron(f, name="cron:f", month=2, day=29, keep_result=60)], queue_name=queue
        ).main()
        assert not await enqueue(arq_redis, now_ms, queue=queue)
    assert ran == [id_of(now_ms), f"{id_of(now_ms)}:app:b"]


async def test_names_with_colons_do_not_mix_up_queues(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC) - timedelta(seconds=1)
    for queue, name in (("a", "b:c"), ("a:b", "c")):
        await worker(cron_jobs=[cron(nothing, name=name)], queue_name=queue, timezone=UTC).run_cron(noon, 1)
        assert await arq_redis.zcard(queue) == 1


async def test_workers_of_two_queues_share_a_cron_job(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    shared = cron(nothing)
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC) - timedelta(seconds=1)
    for queue in ("a", "b"):
        await worker(cron_jobs=[shared], queue_name=queue, timezone=UTC).run_cron(noon, 1)
    assert [await arq_redis.zcard(queue) for queue in ("a", "b")] == [1, 1]


async def test_runs_at_the_start(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Two schedules of a function that start in the same moment are one run, as ever. Another queue has its own."""
    now = datetime.now(UTC)
    for queue in ("a", "b"):
        jobs = [cron(nothing, minute=minute, run_at_startup=True) for minute in (10, 20)]
        await worker(cron_jobs=jobs, queue_name=queue, timezone=UTC).run_cron(now, 0.001)
        assert await arq_redis.zcard(queue) == 1


async def test_two_workers_that_share_a_pool_plan_a_far_tick_at_once(arq_redis: ArqRedis) -> None:
    """Nothing of it is noted yet when the second one comes."""
    tick_ms = timestamp_ms() + DAY_MS
    taken = await asyncio.gather(*(enqueue(arq_redis, tick_ms) for _ in range(2)))
    assert sorted(taken) == [False, True]
    assert await members(arq_redis, QUEUE) == [id_of(tick_ms)]


@pytest.mark.parametrize("name", [f"arq:ticks:{QUEUE}:hash-s", f"arq:cron:{QUEUE}:cron:f:s"])
async def test_a_key_of_another_type_keeps_no_tick_away(arq_redis: ArqRedis, name: str) -> None:
    now_ms = timestamp_ms()
    await arq_redis.rpush(name, "somebody's")
    try:
        assert await enqueue(arq_redis, now_ms + 1000)
        assert not await enqueue(arq_redis, now_ms + 1000)
    finally:
        await arq_redis.delete(name)


# ---------------------------------------------------------------- Redis is away


@pytest.mark.parametrize("at_startup", [True, False])
async def test_a_tick_that_could_not_be_enqueued_is_planned_again(
    arq_redis: ArqRedis, redis_settings: RedisSettings, at_startup: bool
) -> None:
    """A daily job must not be left out because Redis was away just then."""
    daily = cron(nothing, name="f", hour=12, minute=0, run_at_startup=at_startup)
    one = Worker(cron_jobs=[daily], redis_settings=redis_settings, timezone=UTC, handle_signals=False)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    one._pool = await create_pool(redis_settings)
    await arq_redis.set(QUEUE, "no queue")
    before = noon - timedelta(seconds=0.5)
    for _ in range(2):
        with pytest.raises(ResponseError):
            await one.run_cron(before, 0.5)
    await arq_redis.delete(QUEUE)
    await one.run_cron(noon + timedelta(hours=1), 0.5)
    started = [f"f:{round(before.timestamp() * 1000)}"] if at_startup else []
    assert await members(arq_redis, QUEUE) == [*started, f"f:{round(noon.timestamp()) * 1000 + 123}"]
    await one.close()


# ---------------------------------------------------------------- other versions in the fleet


async def test_a_tick_that_a_plain_arq_worker_has_enqueued(arq_redis: ArqRedis) -> None:
    now_ms = timestamp_ms()
    await old_enqueue(arq_redis, id_of(now_ms))
    assert not await enqueue(arq_redis, now_ms)
    assert await enqueue(arq_redis, now_ms, queue="another")
    await run_and_forget(arq_redis, id_of(now_ms))
    assert not await enqueue(arq_redis, now_ms), "it was seen in this queue"


async def test_a_tick_that_a_plain_arq_worker_has_run(arq_redis: ArqRedis) -> None:
    """It leaves its lock for a minute, nothing else."""
    now_ms = timestamp_ms()
    await hold_as_upstream(arq_redis, id_of(now_ms))
    assert not await enqueue(arq_redis, now_ms)
    await hold_as_upstream(arq_redis, "own")
    assert await enqueue(arq_redis, now_ms + 1, job_id="own")


async def test_the_last_tick_as_workers_of_0_29_0_note_it(arq_redis: ArqRedis) -> None:
    now_ms, mark = timestamp_ms(), f"arq:cron:{QUEUE}:cron:f:s"
    await arq_redis.set(mark, str(now_ms), px=DAY_MS)
    assert not await enqueue(arq_redis, now_ms)
    assert not await enqueue(arq_redis, now_ms - 1000)
    assert await enqueue(arq_redis, now_ms + 1000)
    assert await enqueue(arq_redis, now_ms + 500), "the last tick is one of ours, so all of ours are known"
    assert float(await arq_redis.get(mark) or 0) == now_ms + 1000


async def test_a_tick_that_a_worker_of_0_29_0_has_lost_to_another_queue(arq_redis: ArqRedis) -> None:
    """It notes it all the same, and does not come back to it."""
    soon_ms, mark = timestamp_ms() + 3000, f"arq:cron:{QUEUE}:cron:f:s"
    await old_enqueue(arq_redis, id_of(soon_ms), score=soon_ms, queue="another")
    await arq_redis.set(mark, str(soon_ms), px=DAY_MS)
    assert await enqueue(arq_redis, soon_ms)
    assert not await enqueue(arq_redis, soon_ms)
    await old_enqueue(arq_redis, id_of(soon_ms + 1), score=soon_ms + 1)
    await arq_redis.set(mark, str(soon_ms + 1), px=DAY_MS)
    assert not await enqueue(arq_redis, soon_ms + 1)


async def test_a_worker_of_0_29_0_whose_clock_is_ahead_silences_nobody(arq_redis: ArqRedis) -> None:
    now_ms, mark = timestamp_ms(), f"arq:cron:{QUEUE}:cron:f:s"
    await arq_redis.set(mark, str(now_ms + 3_600_000), px=DAY_MS)
    assert await enqueue(arq_redis, now_ms)
    assert float(await arq_redis.get(mark) or 0) == now_ms


# ---------------------------------------------------------------- standing still


@pytest.mark.parametrize(("coalesce", "runs"), [(True, 1), (False, 360)])
async def test_after_a_standstill(
    arq_redis: ArqRedis, worker: WorkerFactory, coalesce: bool, runs: int
) -> None:
    every_10_s = cron(nothing, name="f", second=set(range(0, 60, 10)), microsecond=0, coalesce=coalesce)
    one = worker(cron_jobs=[every_10_s], timezone=UTC)
    start = datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)
    await one.run_cron(start, 0.5)
    await one.run_cron(start + timedelta(hours=1), 0.5)
    await one.run_cron(start + timedelta(hours=1), 0.5)
    queued = await arq_redis.queued_jobs()
    assert len(queued) == runs
    assert queued[-1].score == round(start.timestamp() - 1 + 3600) * 1000
