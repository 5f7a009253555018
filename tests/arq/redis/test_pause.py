"""A queue that is paused: nothing is started, nothing is lost, nothing expires."""

from __future__ import annotations

import asyncio
import functools
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arq import _queue_pause
from arq._keys import (
    control_key,
    crashes_key,
    interrupted_key,
    job_key,
    paused_crons_key,
    paused_key,
    retry_key,
)
from arq._redis import scripts
from arq._redis.script_loader import Call
from arq.connections import ArqRedis, RedisSettings
from arq.cron import cron
from arq.worker import Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, Ctx, armed, claim, running
from tests.support.eventually import wait_until_async

DAY_MS = 86_400_000
START = datetime.now(UTC).replace(microsecond=0)


async def pause(pool: ArqRedis, queue: str = QUEUE, note: str = "") -> Any:
    return await scripts.run(pool, _queue_pause.pause(queue, "root@host", note))


async def told_of(pool: ArqRedis) -> tuple[int | None, str, str]:
    text: Any = await pool.get(paused_key(QUEUE))
    return _queue_pause.read_pause(text)


async def resume(pool: ArqRedis, queue: str = QUEUE) -> Any:
    return await scripts.run(pool, _queue_pause.resume(queue))


@pytest.fixture
def starts() -> list[str]:
    return []


@pytest.fixture
def job(starts: list[str]) -> Any:
    async def job(ctx: Ctx) -> None:
        starts.append(ctx["job_id"])

    return job


async def looks(worker: Worker, times: int = 3) -> None:
    """Wait until a worker has said something to Redis so many times."""
    for _ in range(times):
        inside.poll(worker).look_at_s = 0.0
        inside.poll(worker).more = True
        inside.wake_up(worker)
        await wait_until_async(lambda: not inside.poll(worker).more, what="the worker has looked")


# ---------------------------------------------------------------- claims


async def test_a_claim_of_a_paused_queue_brings_nothing(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    assert await pause(arq_redis) == b"paused"
    answer = await claim(arq_redis, "w")
    assert (answer.jobs, answer.wait_ms) == ([], -1)
    assert await resume(arq_redis) == 1
    assert [job.job_id for job in (await claim(arq_redis, "w")).jobs] == ["a"]


async def test_nor_does_a_claim_of_certain_jobs(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await pause(arq_redis)
    assert not (await claim(arq_redis, "w", job_ids=["a"])).jobs
    await resume(arq_redis)
    assert (await claim(arq_redis, "w", job_ids=["a"])).jobs


@pytest.mark.keeps_keys("arq:paused:*")
async def test_another_queue_goes_on(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a", _queue_name="other")
    await pause(arq_redis)
    assert (await claim(arq_redis, "w", queue_name="other")).jobs


async def test_no_queue_has_the_name_of_a_pause(arq_redis: ArqRedis) -> None:
    with pytest.raises(ValueError, match="can't be the name of a queue"):
        await arq_redis.enqueue_job("f", _queue_name=paused_key(QUEUE))


async def test_what_is_no_pause_is_left_alone(arq_redis: ArqRedis) -> None:
    await arq_redis.rpush(paused_key(QUEUE), "somebody's")
    assert await pause(arq_redis) == b"taken"
    await arq_redis.enqueue_job("f", _job_id="b")
    assert [job.job_id for job in (await claim(arq_redis, "w")).jobs] == ["b"]
    assert await resume(arq_redis) == 0
    assert await arq_redis.lpop(paused_key(QUEUE)) == b"somebody's"


@pytest.mark.keeps_keys("arq:paused:*")
async def test_a_second_pause_changes_the_note_and_not_the_time(arq_redis: ArqRedis) -> None:
    await pause(arq_redis, note="one")
    since, by, note = await told_of(arq_redis)
    await pause(arq_redis, note="two\nlines")
    assert await told_of(arq_redis) == (since, by, "two\nlines")
    assert (by, note) == ("root@host", "one")


# ---------------------------------------------------------------- workers


async def test_a_worker_that_waits_starts_nothing_while_the_queue_is_paused(
    arq_redis: ArqRedis, worker: Any, job: Any, starts: list[str]
) -> None:
    one = worker([func(job, name="job")], burst=False, poll_delay=60)
    async with running(one):
        await armed(one)
        await pause(arq_redis)
        await arq_redis.enqueue_job("job", _job_id="a")
        await looks(one)
        assert starts == []
        await armed(one)
        await resume(arq_redis)
        await wait_until_async(lambda: starts == ["a"])


async def test_running_jobs_end_and_their_retries_wait(
    arq_redis: ArqRedis, worker: Any, job: Any, starts: list[str]
) -> None:
    go = asyncio.Event()

    async def held(ctx: Ctx) -> None:
        starts.append(f"{ctx['job_id']}{ctx['job_try']}")
        await go.wait()
        if ctx["job_try"] == 1:
            raise Retry

    one = worker([func(held, name="held")], burst=False, poll_delay=0.05)
    async with running(one):
        await arq_redis.enqueue_job("held", _job_id="a")
        await wait_until_async(lambda: starts == ["a1"])
        await pause(arq_redis)
        go.set()
        await wait_until_async(lambda: one.jobs_retried == 1)
        await looks(one)
        assert starts == ["a1"]
        await resume(arq_redis)
        await wait_until_async(lambda: starts == ["a1", "a2"])
        await wait_until_async(lambda: one.jobs_complete == 1)


async def test_a_worker_in_burst_mode_waits_for_the_end_of_a_pause(
    arq_redis: ArqRedis, worker: Any, job: Any, starts: list[str]
) -> None:
    await arq_redis.enqueue_job("job", _job_id="a")
    await pause(arq_redis)
    one = worker([func(job, name="job")], poll_delay=0.01)
    burst = asyncio.ensure_future(one.async_run())
    await wait_until_async(lambda: inside.is_in_main(one))
    await looks(one)
    assert not burst.done()
    await resume(arq_redis)
    await burst
    assert starts == ["a"]


async def test_deferred_jobs_ripen_and_start_in_the_order_in_which_they_were_due(
    arq_redis: ArqRedis, worker: Any, job: Any, starts: list[str]
) -> None:
    await pause(arq_redis)
    now = datetime.now(UTC)
    await arq_redis.enqueue_job("job", _job_id="second", _defer_until=now - timedelta(seconds=1))
    await arq_redis.enqueue_job("job", _job_id="first", _defer_until=now - timedelta(seconds=2))
    await resume(arq_redis)
    await worker([func(job, name="job")], max_jobs=1).async_run()
    assert starts == ["first", "second"]


# ---------------------------------------------------------------- nothing expires


async def test_payloads_and_counters_of_a_paused_queue_live_on(arq_redis: ArqRedis) -> None:
    """As if 25 h had passed: what is left of their time to live is short."""
    await arq_redis.enqueue_job("f", _job_id="a")
    await arq_redis.enqueue_job("f", _job_id="later", _defer_by=timedelta(days=3))
    counters = [retry_key("a"), interrupted_key("later"), crashes_key("later")]
    for key in counters:
        await arq_redis.set(key, 2, px=5000)
    await pause(arq_redis)
    await arq_redis.pexpire(job_key("a"), 60_000)
    await _queue_pause.keep(functools.partial(scripts.run, arq_redis), QUEUE)
    assert await arq_redis.pttl(job_key("a")) > 6 * DAY_MS
    assert min([await arq_redis.pttl(key) for key in counters]) > 1.9 * DAY_MS
    assert await arq_redis.pttl(job_key("later")) > 9 * DAY_MS
    await resume(arq_redis)


@pytest.mark.parametrize("options", [{}, {"_expires": 5}, {"_defer_by": 3600}, {"_job_id": "a"}])
async def test_what_is_enqueued_meanwhile_lives_on(arq_redis: ArqRedis, options: dict[str, Any]) -> None:
    """25 hours of pause without any worker."""
    await pause(arq_redis)
    job = await arq_redis.enqueue_job("f", **options)
    assert job is not None
    assert await arq_redis.pttl(job_key(job.job_id)) > 6 * DAY_MS
    await resume(arq_redis)


async def test_ids_stay_taken_while_the_queue_is_paused(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await pause(arq_redis)
    assert await arq_redis.enqueue_job("f", _job_id="a") is None
    await resume(arq_redis)


async def test_what_is_enqueued_after_a_pause_expires_as_ever(arq_redis: ArqRedis) -> None:
    await pause(arq_redis)
    await resume(arq_redis)
    await arq_redis.enqueue_job("f", _job_id="a", _expires=5)
    assert await arq_redis.pttl(job_key("a")) <= 5000


async def test_a_payload_that_never_expires_stays_so(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await arq_redis.persist(job_key("a"))
    await _queue_pause.keep(functools.partial(scripts.run, arq_redis), QUEUE)
    assert await arq_redis.pttl(job_key("a")) == -1
    await arq_redis.delete(job_key("a"))


async def test_a_queue_of_many_jobs_is_looked_at_in_pieces(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(["f"] * 1100)
    looked_at = []

    async def run(call: Call) -> Any:
        looked_at.append(await scripts.run(arq_redis, call))
        return looked_at[-1]

    await _queue_pause.keep(run, QUEUE)
    assert looked_at == [500, 500, 100]
    assert min([await arq_redis.pttl(key) async for key in arq_redis.scan_iter(job_key("*"))]) > 6 * DAY_MS


async def test_a_worker_sees_to_it_and_says_that_the_queue_is_paused(
    arq_redis: ArqRedis, worker: Any, job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await arq_redis.enqueue_job("job", _job_id="a")
    await pause(arq_redis, note="a migration")
    one = worker([func(job, name="job")], burst=False, poll_delay=0.05)
    async with running(one):
        await wait_until_async(lambda: "paused by root@host: a migration" in caplog.text)
        assert await arq_redis.pttl(job_key("a")) > 6 * DAY_MS
        await resume(arq_redis)
        inside.due(one).present_at_s = 0.0
        await wait_until_async(lambda: f"queue {QUEUE} is resumed" in caplog.text)


async def test_one_worker_of_many_sees_to_it(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    run = functools.partial(scripts.run, arq_redis)
    await _queue_pause.keep(run, QUEUE, is_one_of_many=True)
    await arq_redis.pexpire(job_key("a"), 60_000)
    await _queue_pause.keep(run, QUEUE, is_one_of_many=True)
    assert await arq_redis.pttl(job_key("a")) <= 60_000


# ---------------------------------------------------------------- schedules


async def ticks(one: Worker, *seconds: float) -> None:
    """Look at the schedules, so many seconds after a time that is past."""
    start = START - timedelta(minutes=1)
    for second in seconds:
        await one.run_cron(start + timedelta(seconds=second), 0.5)


@pytest.mark.parametrize(("coalesce", "kept"), [(True, 1), (False, 3)])
@pytest.mark.parametrize("unique", [True, False])
async def test_of_the_runs_of_a_schedule_the_newest_is_kept(
    arq_redis: ArqRedis, worker: Any, job: Any, coalesce: bool, unique: bool, kept: int
) -> None:
    schedule = cron(job, name="tick", second=None, coalesce=coalesce, unique=unique)
    one = worker(cron_jobs=[schedule], timezone=UTC)
    one._pool = arq_redis
    await pause(arq_redis)
    await ticks(one, 0, 0.2, 1.2, 2.2)
    ids: list[Any] = await arq_redis.zrange(QUEUE, 0, -1)
    newest = START - timedelta(minutes=1) + timedelta(seconds=3, milliseconds=123)
    assert len(ids) == kept
    if not (unique or coalesce):
        await resume(arq_redis)
        return
    assert ids[-1] == f"tick:{round(newest.timestamp() * 1000)}".encode()
    await resume(arq_redis)


async def test_a_run_that_is_to_be_tried_again_is_kept(arq_redis: ArqRedis, worker: Any, job: Any) -> None:
    one = worker(cron_jobs=[cron(job, name="tick", second=None)], timezone=UTC)
    one._pool = arq_redis
    await ticks(one, 0, 0.2)
    first: Any
    (first,) = await arq_redis.zrange(QUEUE, 0, 0)
    await arq_redis.set(retry_key(first.decode()), 1, ex=60)
    await pause(arq_redis)
    await ticks(one, 1.2, 2.2)
    assert first in await arq_redis.zrange(QUEUE, 0, -1)
    await resume(arq_redis)


@pytest.mark.keeps_keys("arq:crons-paused:*")
@pytest.mark.parametrize("unique", [True, False])
async def test_a_schedule_that_is_paused_adds_nothing(
    arq_redis: ArqRedis, worker: Any, job: Any, unique: bool
) -> None:
    jobs = [cron(job, name=name, second=None, unique=unique) for name in ("tick", "tock")]
    one = worker(cron_jobs=jobs, timezone=UTC)
    one._pool = arq_redis
    await arq_redis.sadd(paused_crons_key(QUEUE), "tick")
    await ticks(one, 0, 0.2)
    assert {info.function for info in await arq_redis.queued_jobs()} == {"tock"}
    await arq_redis.srem(paused_crons_key(QUEUE), "tick")
    await ticks(one, 1.2)
    assert {info.function for info in await arq_redis.queued_jobs()} == {"tick", "tock"}


# ---------------------------------------------------------------- words for a worker


async def tell(pool: ArqRedis, one: Worker, word: str) -> None:
    await pool.set(control_key(one.worker_id), word, ex=60)
    inside.due(one).present_at_s = 0.0
    inside.wake_up(one)


async def test_a_worker_that_is_told_so_takes_no_more_jobs(
    arq_redis: ArqRedis, worker: Any, job: Any, starts: list[str]
) -> None:
    one = worker([func(job, name="job")], burst=False, poll_delay=0.05)
    async with running(one):
        await armed(one)
        await tell(arq_redis, one, "quiet")
        await wait_until_async(lambda: not one.allow_pick_jobs)
        await arq_redis.enqueue_job("job", _job_id="a")
        await tell(arq_redis, one, "resume")
        await wait_until_async(lambda: starts == ["a"])
    assert not await arq_redis.exists(control_key(one.worker_id))


async def test_a_worker_that_is_told_so_stops(redis_settings: RedisSettings, job: Any) -> None:
    one = Worker(
        [func(job, name="job")], redis_settings=redis_settings, handle_signals=False, poll_delay=0.05
    )
    main = asyncio.ensure_future(one.async_run())
    try:
        await wait_until_async(lambda: one._pool is not None and inside.is_in_main(one))
        await tell(one.pool, one, "stop")
        await asyncio.wait([main], timeout=30)
        assert main.cancelled()
    finally:
        main.cancel()
        await one.close()


async def test_an_unknown_word_is_said_and_ignored(
    arq_redis: ArqRedis, worker: Any, job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one = worker([func(job, name="job")], burst=False, poll_delay=0.05)
    async with running(one):
        await armed(one)
        await tell(arq_redis, one, "dance\n")
        await wait_until_async(lambda: r"does not know: dance\n" in caplog.text)
