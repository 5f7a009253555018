"""Jobs that are tried again by options of their function or worker, and what lives how long meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from arq import Backoff, Retry, Snooze
from arq._keys import crashes_key, interrupted_key, job_key, retry_key
from arq._redis import scripts
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.cron import cron
from arq.jobs import Job
from arq.worker import JobExecutionFailed, Worker, func
from tests.arq.redis.harness import QUEUE, Ctx, claim, enqueued, info, keys, nothing_held, running
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async

DAY_MS = 86_400_000
AT_ONCE = Backoff(0)
FAR = timedelta(days=3)
#: Reckoned from the last try; the job was enqueued a moment before.
SLACK_MS = 60_000


async def lives_ms(pool: ArqRedis, key: str) -> int:
    found: int = await pool.pttl(key)
    return found


async def is_deferred(pool: ArqRedis, job_id: str) -> bool:
    """Whether a job waits for a time that is far away."""
    score = await pool.zscore(QUEUE, job_id)
    return (
        score is not None
        and score > (time.time() + 3600) * 1000
        and not await pool.exists(f"arq:in-progress:{job_id}")
    )


async def deferred(pool: ArqRedis, *job_ids: str) -> None:
    for job_id in job_ids:

        async def waits(job_id: str = job_id) -> bool:
            return await is_deferred(pool, job_id)

        await wait_until_async(waits, what=f"{job_id} waits for another try")


class Flaky:
    """A job that fails some times, each time with the next exception."""

    def __init__(self, failures: Iterable[BaseException]) -> None:
        self.failures = list(failures)
        self.tries: list[int] = []

    async def run(self, ctx: Ctx) -> str:
        self.tries.append(ctx["job_try"])
        if self.failures:
            raise self.failures.pop(0)
        return "in the end"


# ---------------------------------------------------------------- tries


async def test_a_job_is_tried_again_until_it_returns(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "arq.worker")
    flaky = Flaky([ConnectionResetError("gone"), ConnectionRefusedError("no")])
    job = await enqueued(arq_redis, "flaky")
    one = worker(
        [func(flaky.run, name="flaky", retry_on=(ConnectionError,), backoff=Backoff(0.02, jitter=0))]
    )
    await one.main()
    assert await job.result(timeout=PATIENCE_S) == "in the end"
    assert flaky.tries == [1, 2, 3]
    assert (await info(job)).job_try == 3
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (1, 0, 2)
    lines = [line for line in caplog.messages if "retrying job in" in line]
    assert [line.split(" ↻ ")[1].partition(":")[2] for line in lines] == [
        "flaky retrying job in 0.02s: try 1 of 5, ConnectionResetError: gone",
        "flaky retrying job in 0.04s: try 2 of 5, ConnectionRefusedError: no",
    ]
    await one.close()
    await nothing_held(arq_redis)


async def test_other_errors_fail_at_once_and_the_last_try_with_its_own(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    flaky = Flaky([ConnectionResetError(1), ConnectionResetError(2), ConnectionResetError(3)])
    other = Flaky([ValueError("other")])
    jobs = [await enqueued(arq_redis, name) for name in ("flaky", "other")]
    options: dict[str, Any] = {"retry_on": (ConnectionError,), "backoff": AT_ONCE}
    one = worker(
        [func(flaky.run, name="flaky", max_tries=2, **options), func(other.run, name="other", **options)]
    )
    await one.main()
    assert (flaky.tries, other.tries) == ([1, 2], [1])
    with pytest.raises(ConnectionResetError, match="^2$"):
        await jobs[0].result(timeout=PATIENCE_S)
    with pytest.raises(ValueError, match="^other$"):
        await jobs[1].result(timeout=PATIENCE_S)


async def test_without_a_policy_an_error_is_the_end(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([ConnectionResetError("gone")])
    job = await enqueued(arq_redis, "flaky")
    await worker([func(flaky.run, name="flaky")]).main()
    with pytest.raises(ConnectionResetError):
        await job.result(timeout=PATIENCE_S)
    assert flaky.tries == [1]


async def test_options_of_the_worker_hold_for_all_and_may_come_from_settings(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    from arq.worker import create_worker

    flaky, own = Flaky([ConnectionResetError()]), Flaky([ConnectionResetError()])
    jobs = [await enqueued(arq_redis, name) for name in ("flaky", "own")]

    class Settings:
        functions = (func(flaky.run, name="flaky"), func(own.run, name="own", retry_on=()))
        retry_on = (ConnectionError,)
        backoff = AT_ONCE
        burst = True
        handle_signals = False

    one = create_worker(Settings, redis_settings=redis_settings)  # type: ignore[arg-type]
    await one.main()
    await one.close()
    assert await jobs[0].result(timeout=PATIENCE_S) == "in the end"
    with pytest.raises(ConnectionResetError):
        await jobs[1].result(timeout=PATIENCE_S)


async def test_a_run_that_took_too_long_is_tried_again(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    tries: list[int] = []

    async def slow(ctx: Ctx) -> str:
        tries.append(ctx["job_try"])
        if len(tries) < 3:
            await asyncio.Event().wait()
        return "quick"

    job = await enqueued(arq_redis, "slow")
    await worker([func(slow, name="slow", timeout=0.05, retry_on_timeout=True, backoff=AT_ONCE)]).main()
    assert await job.result(timeout=PATIENCE_S) == "quick"
    assert tries == [1, 2, 3]


async def test_no_try_begins_after_retry_for(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([ConnectionResetError()] * 1000)
    job = await enqueued(arq_redis, "flaky")
    began = time.monotonic()
    options: dict[str, Any] = {"max_tries": None, "retry_for": 0.5, "backoff": lambda n, exc: 0.1}
    one = worker([func(flaky.run, name="flaky", retry_on=OSError, **options)], max_tries=None)
    await one.main()
    with pytest.raises(ConnectionResetError):
        await job.result(timeout=PATIENCE_S)
    assert 1 <= len(flaky.tries) <= 6
    assert time.monotonic() - began < PATIENCE_S


async def test_a_delay_counts_from_now(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Also of a job that was due a day ago."""
    flaky = Flaky([ConnectionResetError()])
    job = await enqueued(arq_redis, "flaky", _defer_by=-86_400)
    one = worker([func(flaky.run, name="flaky", retry_on=OSError, backoff=lambda n, exc: FAR)], burst=False)
    async with running(one):
        await deferred(arq_redis, job.job_id)
    score = await arq_redis.zscore(QUEUE, job.job_id)
    assert score is not None
    assert abs(score - time.time() * 1000 - 3 * DAY_MS) < SLACK_MS


@pytest.mark.parametrize("backoff", [lambda n, exc: 1 / 0, lambda n, exc: "soon"])
async def test_a_backoff_that_can_not_be_used_fails_the_job_and_the_worker_lives(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture, backoff: Any
) -> None:
    flaky, good = Flaky([ConnectionResetError("own")]), Flaky([])
    jobs = [await enqueued(arq_redis, name) for name in ("flaky", "good")]
    one = worker(
        [func(flaky.run, name="flaky", retry_on=OSError, backoff=backoff), func(good.run, name="good")],
        max_jobs=1,
    )
    await one.main()
    with pytest.raises(ConnectionResetError, match="own"):
        await jobs[0].result(timeout=PATIENCE_S)
    assert await jobs[1].result(timeout=PATIENCE_S) == "in the end"
    assert len([line for line in caplog.messages if "is not tried again, its backoff" in line]) == 1


async def test_an_aborted_job_is_not_tried_again_whatever_it_raises(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    began = asyncio.Event()
    tries: list[int] = []

    async def converts(ctx: Ctx) -> None:
        tries.append(ctx["job_try"])
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionAbortedError from None

    job = await enqueued(arq_redis, "converts")
    options: dict[str, Any] = {"burst": False, "allow_abort_jobs": True, "poll_delay": 0.05}
    one = worker([func(converts, name="converts", retry_on=Exception, backoff=AT_ONCE)], **options)
    async with running(one):
        await asyncio.wait_for(began.wait(), PATIENCE_S)
        with pytest.raises(ConnectionAbortedError):
            await job.abort(timeout=PATIENCE_S)
    assert tries == [1]


async def test_a_stop_during_the_pause_changes_nothing(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    """The pause is in the queue, not in a worker: another one runs the second try."""
    flaky = Flaky([ConnectionResetError()])
    job = await enqueued(arq_redis, "flaky")

    def make() -> Worker:
        policy: dict[str, Any] = {"retry_on": OSError, "backoff": lambda n, exc: FAR}
        return Worker(
            [func(flaky.run, name="flaky", **policy)],
            redis_settings=redis_settings,
            handle_signals=False,
            poll_delay=0.1,
        )

    async with running(make()):
        await deferred(arq_redis, job.job_id)
    assert await arq_redis.get(retry_key(job.job_id)) == b"1"
    await arq_redis.zadd(QUEUE, {job.job_id: 1000})  # three days later
    async with running(make()):
        assert await job.result(timeout=PATIENCE_S) == "in the end"
    assert flaky.tries == [1, 2]
    await nothing_held(arq_redis)


async def test_a_job_in_its_pause_can_be_aborted(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([ConnectionResetError()])
    job = await enqueued(arq_redis, "flaky")
    one = worker([func(flaky.run, name="flaky", retry_on=OSError, backoff=lambda n, exc: FAR)], burst=False)
    async with running(one):
        await deferred(arq_redis, job.job_id)
        assert await job.abort(timeout=PATIENCE_S) is True
    assert flaky.tries == [1]
    assert await arq_redis.zcard(QUEUE) == 0


async def test_a_run_of_a_schedule_is_tried_again(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([ConnectionResetError(), ConnectionResetError()])
    yearly: dict[str, Any] = {"month": 1, "day": 1, "hour": 0, "minute": 0, "run_at_startup": True}
    tick = cron(flaky.run, name="tick", retry_on=OSError, backoff=AT_ONCE, keep_result=60, **yearly)
    async with running(worker(cron_jobs=[tick], burst=False)):
        await wait_until_async(lambda: len(flaky.tries) == 3)
    assert flaky.tries == [1, 2, 3]


async def test_a_worker_that_writes_endings_itself_is_told_the_delay(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    """As arq's `finish_job` has it: what is added to the time at which the job was due."""
    delays_s: list[float] = []

    class Own(Worker):
        async def finish_job(self, job_id: str, finish: bool, *args: Any) -> None:
            if not finish:
                delays_s.append(args[3] / 1000)
            await super().finish_job(job_id, finish, *args)

    flaky = Flaky([ConnectionResetError(), Snooze(0.01), ConnectionResetError()])
    job = await enqueued(arq_redis, "flaky", _defer_by=-3600)
    functions = [func(flaky.run, name="flaky", retry_on=OSError, backoff=AT_ONCE)]
    one = Own(functions, redis_settings=redis_settings, burst=True, handle_signals=False)
    await one.main()
    await one.close()
    assert await job.result(timeout=PATIENCE_S) == "in the end"
    assert flaky.tries == [1, 2, 2, 3]
    assert len(delays_s) == 3
    assert 3600 <= delays_s[0] < 3660, "from when it was due an hour ago"


# ---------------------------------------------------------------- Snooze


async def test_a_snooze_does_not_count_as_a_try(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([Snooze(0)] * 8 + [Retry()] + [Snooze(0)] * 8)
    job = await enqueued(arq_redis, "flaky")
    one = worker([func(flaky.run, name="flaky", max_tries=2)])
    await one.main()
    assert await job.result(timeout=PATIENCE_S) == "in the end"
    assert flaky.tries == [1] * 9 + [2] * 9
    assert (one.jobs_complete, one.jobs_retried) == (1, 17)
    await one.close()
    await nothing_held(arq_redis)


async def test_a_snooze_of_a_job_with_a_number_of_its_own(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([Snooze(0), Retry(), Snooze(0)])
    job = await enqueued(arq_redis, "flaky", _job_try=3)
    await worker([func(flaky.run, name="flaky")]).main()
    assert await job.result(timeout=PATIENCE_S) == "in the end"
    assert flaky.tries == [3, 3, 4, 4]


async def test_a_job_that_snoozes_is_no_suspect_any_more(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([Snooze(FAR)])
    job = await enqueued(arq_redis, "flaky")
    await arq_redis.set(retry_key(job.job_id), 1, ex=100)
    await arq_redis.set(crashes_key(job.job_id), "2 0 signal 9", ex=100)
    async with running(worker([func(flaky.run, name="flaky")], burst=False)):
        await deferred(arq_redis, job.job_id)
    assert flaky.tries == [2]
    assert await arq_redis.get(retry_key(job.job_id)) == b"1"
    assert not await arq_redis.exists(crashes_key(job.job_id))


async def test_a_snooze_where_nothing_is_retried_is_an_error(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    flaky = Flaky([Snooze(0)])
    job = await enqueued(arq_redis, "flaky")
    await worker([func(flaky.run, name="flaky")], retry_jobs=False).main()
    with pytest.raises(Snooze):
        await job.result(timeout=PATIENCE_S)


# ---------------------------------------------------------------- what lives how long


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("failure", [ConnectionResetError(), Snooze(FAR), Retry(FAR)])
async def test_payload_and_counters_outlive_a_long_pause(
    arq_redis: ArqRedis, worker: WorkerFactory, failure: BaseException
) -> None:
    flaky = Flaky([failure])
    job = await enqueued(arq_redis, "flaky")
    for key in (retry_key, interrupted_key):
        await arq_redis.set(key(job.job_id), 1, ex=1000)
    one = worker([func(flaky.run, name="flaky", retry_on=OSError, backoff=lambda n, exc: FAR)], burst=False)
    async with running(one):
        await deferred(arq_redis, job.job_id)
    for key in (job_key, retry_key, interrupted_key):
        assert abs(await lives_ms(arq_redis, key(job.job_id)) - 4 * DAY_MS) < SLACK_MS, key
    assert await arq_redis.get(retry_key(job.job_id)) == (b"1" if isinstance(failure, Snooze) else b"2")


@pytest.mark.parametrize(
    ("extra_ms", "days"), [(2 * DAY_MS, 5), (None, 365_000), (float("inf"), 365_000), (0, 4)]
)
async def test_how_long_they_outlive_it_says_the_worker(
    arq_redis: ArqRedis, worker: WorkerFactory, extra_ms: float | None, days: int
) -> None:
    """And nothing is ever made shorter: not what a producer with other options has asked for."""
    pool = await create_pool(
        arq_redis_settings(arq_redis), expires_extra_ms=4 * DAY_MS if extra_ms == 0 else DAY_MS
    )
    job = await enqueued(pool, "flaky")
    await pool.aclose()
    flaky = Flaky([Retry(FAR)])
    one = worker([func(flaky.run, name="flaky")], burst=False, expires_extra_ms=extra_ms)
    async with running(one):
        await deferred(arq_redis, job.job_id)
    for key in (job_key, retry_key):
        assert await lives_ms(arq_redis, key(job.job_id)) > days * DAY_MS - SLACK_MS
        assert await lives_ms(arq_redis, key(job.job_id)) < (days + 300) * DAY_MS


def arq_redis_settings(pool: ArqRedis) -> RedisSettings:
    kwargs = pool.connection_pool.connection_kwargs
    return RedisSettings(host=kwargs["host"], port=kwargs["port"], conn_retries=0)


@pytest.mark.usefixtures("engine")
async def test_they_live_as_long_as_the_job_runs(arq_redis: ArqRedis) -> None:
    """Each extension of its lock sees to that: the job may be run again."""
    await arq_redis.enqueue_job("f", _job_id="a", _expires=30)
    await arq_redis.set(retry_key("a"), 1, ex=30)
    await claim(arq_redis, "w")
    await scripts.run(arq_redis, scripts.extend(QUEUE, "w", DAY_MS, ["a"]))
    for key in (job_key, retry_key):
        assert abs(await lives_ms(arq_redis, key("a")) - 2 * DAY_MS) < SLACK_MS
    assert not await arq_redis.exists(interrupted_key("a"))


async def test_a_pause_at_once_moves_nothing(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """What is due when it was due before lives as long as before: arq's rules."""
    flaky = Flaky([Retry()])
    gate = asyncio.Event()

    async def last(ctx: Ctx) -> None:
        await flaky.run(ctx)
        await gate.wait()

    job = await enqueued(arq_redis, "last")
    await arq_redis.pexpire(job_key(job.job_id), 1_000_000)
    async with running(worker([func(last, name="last")], burst=False)):
        await wait_until_async(lambda: len(flaky.tries) == 2)
        assert await lives_ms(arq_redis, job_key(job.job_id)) <= 1_000_000
        gate.set()
        await job.result(timeout=PATIENCE_S)


async def test_nothing_of_it_is_left_in_the_end(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([Retry(0.01), Snooze(0.01), Retry(0)])
    job = await enqueued(arq_redis, "flaky")
    one = worker([func(flaky.run, name="flaky")], expires_extra_ms=None)
    await one.main()
    assert await job.result(timeout=PATIENCE_S) == "in the end"
    await one.close()
    assert {key for key in await keys(arq_redis) if job.job_id in key} == {f"arq:result:{job.job_id}"}


async def test_a_delay_beyond_all_measure_is_written(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    flaky = Flaky([Retry(1e17)])
    job = await enqueued(arq_redis, "flaky")
    async with running(worker([func(flaky.run, name="flaky")], burst=False)):
        await deferred(arq_redis, job.job_id)
    assert await lives_ms(arq_redis, job_key(job.job_id)) > 1000 * DAY_MS


async def test_plain_jobs_are_failed_as_ever(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """By the sixth start, with arq's own text; also where a policy is, if the job asks for each run itself."""
    policies: dict[str, dict[str, Any]] = {"plain": {}, "policy": {"retry_on": OSError, "retry_for": 0}}
    for name, options in policies.items():
        flaky = Flaky([Retry()] * 9)
        job = await enqueued(arq_redis, name)
        await worker([func(flaky.run, name=name, **options)]).main()
        with pytest.raises(JobExecutionFailed, match="^max 5 retries exceeded$"):
            await job.result(timeout=PATIENCE_S)
        assert flaky.tries == [1, 2, 3, 4, 5]
        assert isinstance(job, Job)
