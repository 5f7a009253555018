"""A worker at work: options, hooks, retries, timeouts, aborts, bursts, cron jobs, health, log lines."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from signal import SIGTERM, SIGUSR1
from typing import Any

import pytest
import redis

from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.cron import cron
from arq.jobs import DeserializationError, Job, JobResult
from arq.utils import timestamp_ms
from arq.worker import FailedJobs, JobExecutionFailed, Retry, RetryJob, Worker, async_check_health, func
from tests.conftest import WorkerFactory
from tests.redis.harness import QUEUE, keys, nothing_held, old_enqueue, running
from tests.support.eventually import wait_until_async

Ctx = dict[Any, Any]


async def quick(ctx: Ctx, value: Any = "quick") -> Any:
    return value


async def for_ever(ctx: Ctx) -> None:
    await asyncio.Event().wait()


async def broken(ctx: Ctx) -> None:
    raise ValueError("boom")


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


async def info(job: Job) -> JobResult:
    found = await job.result_info()
    assert found is not None
    return found


# ---------------------------------------------------------------- one job


async def test_a_job_from_end_to_end(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    seen: list[Ctx] = []

    async def look(ctx: Ctx, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        seen.append(ctx)
        return (*args, kwargs)

    job = await enqueued(arq_redis, "look", 1, key="word")
    one = worker([func(look, name="look")], ctx={"mine": 7})
    await one.main()
    assert await job.result(timeout=1) == (1, {"key": "word"})
    (ctx,) = seen
    assert (ctx["job_id"], ctx["job_try"], ctx["mine"], ctx["redis"]) == (job.job_id, 1, 7, one.pool)
    assert abs(ctx["score"] - timestamp_ms()) < 60_000
    assert isinstance(ctx["enqueue_time"], datetime)
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (1, 0, 0)
    await nothing_held(arq_redis, [one.health_check_key])


async def test_a_failing_job(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "broken")
    with pytest.raises(FailedJobs, match=re.escape("1 job failed ValueError('boom')")):
        await worker([broken]).run_check()
    with pytest.raises(ValueError, match="boom"):
        await job.result(timeout=1)


@pytest.mark.parametrize("value", [ValueError("returned"), None, 0, {"deep": [1, (2,)]}, "x" * 100_000])
async def test_values_that_jobs_return(arq_redis: ArqRedis, worker: WorkerFactory, value: Any) -> None:
    job = await enqueued(arq_redis, "quick", value)
    await worker([quick]).main()
    assert repr(await job.result(timeout=1)) == repr(value)


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


async def test_a_value_without_a_repr_is_run_once(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A log line must not decide about a job."""
    caplog.set_level(logging.INFO)
    runs = []

    async def work(ctx: Ctx, value: Any) -> Any:
        runs.append(ctx["job_id"])
        return value

    await arq_redis.enqueue_job("work", Unspeakable())
    one = worker([func(work, name="work")])
    await one.main()
    assert len(runs) == one.jobs_complete == 1


class UnspeakableError(Exception):
    @property
    def extra(self) -> Any:
        raise ValueError("no extra")

    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


async def test_an_error_without_words_fails_its_job_once(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def work(ctx: Ctx) -> None:
        raise UnspeakableError

    await arq_redis.enqueue_job("work")
    one = worker([func(work, name="work")])
    logging.raiseExceptions, before = False, logging.raiseExceptions
    try:
        await one.main()
    finally:
        logging.raiseExceptions = before
    assert (one.jobs_failed, one.jobs_retried) == (1, 0)


@pytest.mark.parametrize(
    "payload",
    [
        {"t": "three"},
        {"f": []},
        {"f": None},
        {"et": "yesterday"},
        {"et": None},
        {"et": 10**30},
        {"a": None},
        {"k": None},
        {"k": {1: 2, "a": 3}},
    ],
    ids=str,
)
async def test_an_odd_payload_fails_once(
    arq_redis: ArqRedis, worker: WorkerFactory, payload: dict[str, Any]
) -> None:
    """Other programs write jobs, too. What nobody can run must not come back for ever."""
    import pickle

    data = {"t": None, "f": "quick", "a": (), "k": {}, "et": 1, **payload}
    await arq_redis.set("arq:job:odd", pickle.dumps(data), ex=60)
    await arq_redis.zadd(QUEUE, {"odd": 1})
    one = worker([quick])
    await asyncio.wait_for(one.main(), 10)
    assert (one.jobs_failed, one.jobs_retried) == (1, 0)
    (result,) = await arq_redis.all_job_results()
    assert not result.success


async def test_odd_entries_of_the_queue_stop_nobody(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    odd: dict[Any, float] = {b"\xff\xfe": 1, "": 2, "endless": float("-inf")}
    await arq_redis.zadd(QUEUE, odd)
    job = await enqueued(arq_redis, "quick")
    one = worker([quick], burst=False, poll_delay=0.02)
    async with running(one):
        assert await job.result(timeout=10) == "quick"
        await wait_until_async(lambda: one.jobs_failed == 2)


async def test_unreadable_bytes(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    await arq_redis.set("arq:job:a", b"?", ex=60)
    await arq_redis.zadd(QUEUE, {"a": 1})
    await worker([quick]).main()
    (result,) = await arq_redis.all_job_results()
    assert isinstance(result.result, DeserializationError)
    assert (result.function, result.args, result.kwargs, result.job_try) == ("<unknown>", (), {}, 1)
    assert "deserializing job a failed" in caplog.messages


async def test_an_expired_job(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    await arq_redis.zadd(QUEUE, {"a": 1})
    await worker([quick]).main()
    (result,) = await arq_redis.all_job_results()
    assert result.result == JobExecutionFailed("job expired")
    assert "job a expired" in caplog.messages


async def test_serializers_of_ones_own(redis_settings: RedisSettings) -> None:
    def dump(data: dict[str, Any]) -> bytes:
        return json.dumps(data).encode()

    pool = await create_pool(redis_settings, job_serializer=dump, job_deserializer=json.loads)
    job = await enqueued(pool, "quick", {"a": [1]})
    one = Worker(
        [quick],
        redis_settings=redis_settings,
        job_serializer=dump,
        job_deserializer=json.loads,
        burst=True,
        handle_signals=False,
    )
    await one.main()
    assert await job.result(timeout=1) == {"a": [1]}
    await one.close()
    await pool.aclose()


# ---------------------------------------------------------------- again


async def test_retries_up_to_the_limit(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tries = []

    async def again(ctx: Ctx) -> None:
        tries.append(ctx["job_try"])
        raise Retry(0.01)

    job = await enqueued(arq_redis, "again")
    one = worker([func(again, name="again", max_tries=3)])
    await one.main()
    assert tries == [1, 2, 3]
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (0, 1, 3)
    result = await info(job)
    assert result.result == JobExecutionFailed("max 3 retries exceeded")
    assert result.job_try == 4
    text = "\n".join(caplog.messages)
    assert text.count(f"↻ {job.job_id}:again retrying job in 0.01s") == 3
    assert f"! {job.job_id}:again max retries 3 exceeded" in text
    assert " try=2" in text


async def test_a_retry_waits_as_long_as_it_says(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    starts: list[int] = []

    async def again(ctx: Ctx) -> None:
        starts.append(timestamp_ms())
        if len(starts) == 1:
            raise Retry(timedelta(seconds=0.3))

    await arq_redis.enqueue_job("again")
    await worker([func(again, name="again")]).main()
    assert starts[1] - starts[0] >= 299


async def test_no_retries_where_none_are_wanted(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def again(ctx: Ctx) -> None:
        raise Retry(5)

    job = await enqueued(arq_redis, "again")
    with pytest.raises(FailedJobs):
        await worker([func(again, name="again")]).run_check(retry_jobs=False)
    assert repr((await info(job)).result) == "<Retry defer 5.00s>"


async def test_retry_job_and_a_cancelled_inner_task_run_again(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    tries = []

    async def again(ctx: Ctx) -> str:
        tries.append(ctx["job_try"])
        if ctx["job_try"] == 1:
            raise RetryJob
        if ctx["job_try"] == 2:
            raise asyncio.CancelledError
        return "third"

    job = await enqueued(arq_redis, "again")
    one = worker([func(again, name="again")])
    await one.main()
    assert await job.result(timeout=1) == "third"
    assert tries == [1, 2, 3]
    assert one.jobs_retried == 2


async def test_a_job_that_cancels_itself_each_time_is_bounded(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def again(ctx: Ctx) -> None:
        raise asyncio.CancelledError

    await arq_redis.enqueue_job("again")
    one = worker([func(again, name="again")], max_tries=3)
    await asyncio.wait_for(one.main(), 10)
    assert (one.jobs_retried, one.jobs_failed) == (3, 1)


async def test_job_try_given_by_the_producer(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    tries = []

    async def again(ctx: Ctx) -> None:
        tries.append(ctx["job_try"])
        if len(tries) < 2:
            raise Retry

    await arq_redis.enqueue_job("again", _job_try=3)
    await worker([func(again, name="again")]).main()
    assert tries == [3, 4]


class OddError(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("error", [SystemExit(3), OddError("odd"), GeneratorExit()], ids=repr)
async def test_whatever_a_job_raises_the_worker_lives(
    arq_redis: ArqRedis, worker: WorkerFactory, error: BaseException
) -> None:
    async def work(ctx: Ctx) -> None:
        raise error

    await arq_redis.enqueue_job("work")
    job = await enqueued(arq_redis, "quick")
    one = worker([func(work, name="work"), quick])
    await asyncio.wait_for(one.main(), 10)
    assert await job.result(timeout=1) == "quick"
    assert one.jobs_failed == 1


# ---------------------------------------------------------------- time


async def test_a_timeout(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    job = await enqueued(arq_redis, "for_ever")
    await worker([func(for_ever, name="for_ever", timeout=0.02)]).main()
    with pytest.raises(TimeoutError):
        await job.result(timeout=1)
    assert "failed, TimeoutError:" in caplog.text


async def test_the_workers_timeout(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "for_ever")
    await worker([for_ever], job_timeout=timedelta(milliseconds=20)).main()
    assert isinstance((await info(job)).result, TimeoutError)


@pytest.mark.parametrize(("keep", "left_ms"), [(None, 3_600_000), (timedelta(seconds=10), 10_000), (0, None)])
async def test_results_are_kept_as_long_as_the_function_says(
    arq_redis: ArqRedis, worker: WorkerFactory, keep: Any, left_ms: int | None
) -> None:
    job = await enqueued(arq_redis, "quick")
    await worker([func(quick, name="quick", keep_result=keep)]).main()
    ttl_ms = await arq_redis.pttl(f"arq:result:{job.job_id}")
    if left_ms is None:
        assert ttl_ms == -2
    else:
        assert left_ms - 5000 < ttl_ms <= left_ms


# ---------------------------------------------------------------- hooks


def remember(calls: list[Any], name: str) -> Callable[[Ctx], Awaitable[None]]:
    async def hook(ctx: Ctx) -> None:
        calls.append((name, ctx.get("job_id")))

    return hook


async def test_hooks_come_in_order(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    calls: list[Any] = []
    names = ("on_startup", "on_job_start", "on_job_end", "after_job_end", "on_shutdown")
    await arq_redis.enqueue_job("quick", _job_id="a")
    one = worker([quick], **{name: remember(calls, name) for name in names})
    await one.main()
    await one.close()
    assert calls == [
        ("on_startup", None),
        ("on_job_start", "a"),
        ("on_job_end", "a"),
        ("after_job_end", "a"),
        ("on_shutdown", None),
    ]


async def test_one_context_for_all_hooks_of_a_run(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    contexts = []

    async def note(ctx: Ctx, *args: Any) -> None:
        contexts.append(ctx)
        ctx["count"] = ctx.get("count", 0) + 1

    await arq_redis.enqueue_job("note")
    one = worker([func(note, name="note")], on_job_start=note, on_job_end=note, after_job_end=note)
    await one.main()
    assert len({id(ctx) for ctx in contexts}) == 1
    assert contexts[0]["count"] == 4
    assert "count" not in one.ctx


async def test_results_are_there_when_after_job_end_is_called(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    seen = []

    async def after(ctx: Ctx) -> None:
        seen.append(await arq_redis.exists(f"arq:result:{ctx['job_id']}"))

    async def end(ctx: Ctx) -> None:
        seen.append(await arq_redis.exists(f"arq:result:{ctx['job_id']}"))

    await arq_redis.enqueue_job("quick")
    await worker([quick], on_job_end=end, after_job_end=after).main()
    assert seen == [0, 1]


async def test_no_hook_for_a_job_that_does_not_start(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    calls: list[Any] = []
    names = ("on_job_start", "on_job_end", "after_job_end")
    await arq_redis.enqueue_job("unknown")
    await worker([quick], **{name: remember(calls, name) for name in names}).main()
    assert calls == []


async def test_a_hook_may_put_a_job_off(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    calls: list[Any] = []

    async def not_yet(ctx: Ctx) -> None:
        calls.append(ctx["job_try"])
        if ctx["job_try"] == 1:
            raise Retry

    job = await enqueued(arq_redis, "quick")
    await worker([quick], on_job_start=not_yet).main()
    assert await job.result(timeout=1) == "quick"
    assert calls == [1, 2]


async def test_on_startup_that_fails_ends_the_worker(worker: WorkerFactory) -> None:
    async def fail(ctx: Ctx) -> None:
        raise ValueError("no start")

    with pytest.raises(ValueError, match="no start"):
        await worker([quick], on_startup=fail).main()


async def test_on_shutdown_that_fails_still_lets_go(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    async def fail(ctx: Ctx) -> None:
        raise ValueError("no end")

    one = Worker([quick], redis_settings=redis_settings, burst=True, on_shutdown=fail, handle_signals=False)
    await one.main()
    with pytest.raises(ValueError, match="no end"):
        await one.close()
    await one.close()
    await nothing_held(arq_redis)


@pytest.mark.parametrize("hook", ["on_job_start", "on_job_end", "after_job_end"])
async def test_a_stop_during_a_hook(arq_redis: ArqRedis, redis_settings: RedisSettings, hook: str) -> None:
    """What the job has done stands; what it has not begun is begun elsewhere."""
    reached = asyncio.Event()

    async def stuck(ctx: Ctx) -> None:
        reached.set()
        await asyncio.Event().wait()

    job = await enqueued(arq_redis, "quick")
    options: dict[str, Any] = {hook: stuck}
    one = Worker([quick], redis_settings=redis_settings, handle_signals=False, **options)
    async with running(one):
        await asyncio.wait_for(reached.wait(), 10)
    await nothing_held(
        arq_redis, [QUEUE, *(f"arq:{kind}:{job.job_id}" for kind in ("job", "retry", "interrupted"))]
    )
    if hook == "on_job_start":
        assert await arq_redis.zscore(QUEUE, job.job_id) is not None
    else:
        assert await job.result(timeout=1) == "quick"


# ---------------------------------------------------------------- how many, which


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
    main = asyncio.create_task(one.main())
    await wait_until_async(lambda: running_now == 5)
    assert len(one.tasks) == one.job_counter == 5
    assert len(await keys(arq_redis, "arq:in-progress:*")) == 5
    gate.set()
    await main
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
        until = one._clock() + 0.5
        await wait_until_async(lambda: one._clock() > until)
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
    await asyncio.wait_for(one.main(), 10)
    assert one.jobs_complete == ran
    assert await arq_redis.zcard(QUEUE) == 5 - ran


async def test_a_burst_waits_for_deferred_jobs(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "quick", _defer_by=0.2)
    await worker([quick]).main()
    assert await job.result(timeout=1) == "quick"


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
        until = one._clock() + 0.1
        await wait_until_async(lambda: one._clock() > until)
        assert await arq_redis.zcard(QUEUE) == 1
        one.allow_pick_jobs = True
        assert await job.result(timeout=10) == "quick"


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


# ---------------------------------------------------------------- abort


@pytest.mark.parametrize("defer_by", [0, 60])
async def test_abort_before_the_start(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture, defer_by: float
) -> None:
    caplog.set_level(logging.INFO)
    job = await enqueued(arq_redis, "quick", _defer_by=defer_by)
    abort = asyncio.create_task(job.abort(timeout=10))
    await wait_until_async(lambda: arq_redis.exists("arq:abort"))
    one = worker([quick], allow_abort_jobs=True)
    await one.main()
    assert await abort
    assert re.search(rf"⊘ {job.job_id}:quick aborted before start", caplog.text)
    assert one.jobs_complete == 0


async def test_abort_while_running(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = await enqueued(arq_redis, "for_ever")
    one = worker([for_ever], burst=False, poll_delay=0.02, allow_abort_jobs=True)
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        assert await job.abort(timeout=10)
    assert re.search(rf"⊘ {job.job_id}:for_ever aborted", caplog.text)
    assert isinstance((await info(job)).result, asyncio.CancelledError)
    assert one.aborting_tasks == set()
    with pytest.raises(asyncio.CancelledError):
        await job.result()


async def test_abort_is_not_obeyed_where_it_is_not_allowed(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    job = await enqueued(arq_redis, "for_ever")
    one = worker([for_ever], burst=False, poll_delay=0.02)
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        with pytest.raises(TimeoutError):
            await job.abort(timeout=0.2)
        assert one.job_tasks
    await arq_redis.delete("arq:abort")


async def test_abort_of_what_is_not_there_or_over(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    assert not await Job("unknown", arq_redis).abort()
    job = await enqueued(arq_redis, "quick")
    failed = await enqueued(arq_redis, "broken")
    await worker([quick, broken]).main()
    assert not await job.abort()
    with pytest.raises(ValueError, match="boom"):
        await failed.abort()
    assert not await arq_redis.exists("arq:abort")


# ---------------------------------------------------------------- cron


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

    one = worker(cron_jobs=[cron(tick, name="tick", hour=3, minute=0, run_at_startup=True)], timezone=UTC)
    await one.main()
    assert one.jobs_complete == 1


async def test_cron_jobs_have_no_result_and_one_try_by_default(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def tick(ctx: Ctx) -> None:
        raise Retry

    one = worker(cron_jobs=[cron(tick, name="tick", hour=3, minute=0, run_at_startup=True)])
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


# ---------------------------------------------------------------- health


async def test_the_health_line(
    arq_redis: ArqRedis,
    worker: WorkerFactory,
    redis_settings: RedisSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await arq_redis.enqueue_jobs(["quick", "broken", JobCall("quick", _defer_by=60)])
    assert await async_check_health(redis_settings) == 1
    one = worker([quick, broken], burst=False, poll_delay=0.02, health_check_interval=0.05)
    async with running(one):
        await wait_until_async(lambda: one.jobs_complete == 1 and one.jobs_failed == 1)

        async def up_to_date() -> bool:
            found: Any = await arq_redis.get("arq:queue:health-check")
            line = (found or b"").decode()
            return bool(
                re.fullmatch(
                    r"\w{3}-\d\d \d\d:\d\d:\d\d j_complete=1 j_failed=1 j_retried=0 j_ongoing=0 queued=1",
                    line,
                )
            )

        await wait_until_async(up_to_date)
        assert 0 < await arq_redis.pttl("arq:queue:health-check") <= 1050
        assert await async_check_health(redis_settings) == 0
        assert one.queued == 1
        assert repr(one) == "<Worker j_complete=1 j_failed=1 j_retried=0 j_ongoing=0>"
    assert await async_check_health(redis_settings) == 1
    assert "recording health: " in caplog.text
    assert "Health check successful: b'" in caplog.text
    assert "Health check failed: no health check sentinel value found" in caplog.messages


async def test_another_health_key(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_settings: RedisSettings
) -> None:
    await worker([quick], health_check_key="my:health").main()
    assert await async_check_health(redis_settings, "my:health") == 0
    assert await async_check_health(redis_settings, queue_name="other") == 1


async def test_a_supervised_worker_leaves_health_and_lease_to_its_supervisor(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    one = worker([for_ever], burst=False, poll_delay=0.02, health_check_interval=0.01)
    one.supervised = True
    await arq_redis.enqueue_job("for_ever")
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        assert not await arq_redis.exists("arq:queue:health-check")
        deadline = await arq_redis.zscore("arq:workers", one.worker_id)
        assert deadline is not None
        assert 20_000 < deadline - timestamp_ms() <= 30_000


async def test_the_lease_is_renewed_however_seldom_the_worker_looks(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    one = worker([quick], burst=False, poll_delay=60)
    one.in_progress_timeout_s = 0.6
    deadlines = set()

    async def moved() -> bool:
        deadlines.add(await arq_redis.zscore("arq:workers", one.worker_id))
        return len(deadlines - {None}) > 2

    async with running(one):
        await wait_until_async(moved)


# ---------------------------------------------------------------- log lines


async def test_the_life_of_a_job_in_the_log(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "arq.worker")
    await old_enqueue(arq_redis, "a", "quick", {"x": 1}, score=timestamp_ms() - 5000)
    await arq_redis.enqueue_job("broken", _job_id="b")
    await arq_redis.enqueue_job("quick", None, _job_id="c")
    await arq_redis.enqueue_job("unknown", _job_id="d")
    await worker([quick, broken]).main()
    text = "\n".join(caplog.messages)
    seconds = r"  0\.\d\ds"
    for line in (
        "Starting worker for 2 functions: quick, broken",
        r"redis_version=\S+ mem_usage=\S+ clients_connected=\d+ db_keys=\d+",
        seconds + r" → a:quick\(\{'x': 1\}\) delayed=\d\.\d\ds",
        seconds + r" ← a:quick ● \{'x': 1\}",
        seconds + r" → b:broken\(\)",
        seconds + r" ! b:broken failed, ValueError: boom",
        seconds + r" ← c:quick ● ",
        "job d, function 'unknown' not found",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), f"{line}\n{text}"
    (failure,) = [record for record in caplog.records if "boom" in record.getMessage()]
    assert failure.levelname == "ERROR"
    assert failure.exc_info is not None
    assert failure.extra is None  # type: ignore[attr-defined]


async def test_results_stay_out_of_the_log_where_they_should(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await arq_redis.enqueue_job("secret")

    async def secret(ctx: Ctx) -> str:
        return "hunter2"

    await worker([func(secret, name="secret")], log_results=False).main()
    assert ":secret ● " in caplog.text
    assert "hunter2" not in caplog.text


async def test_extra_of_an_exception_reaches_the_log(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    class RichError(Exception):
        def extra(self) -> dict[str, int]:
            return {"code": 7}

    async def fail(ctx: Ctx) -> None:
        raise RichError

    await arq_redis.enqueue_job("fail")
    await worker([func(fail, name="fail")]).main()
    assert [record.extra for record in caplog.records if "failed" in record.getMessage()] == [{"code": 7}]  # type: ignore[attr-defined]


async def test_a_cron_job_goes_by_its_name_in_the_log(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def tick(ctx: Ctx) -> None: ...

    await worker(cron_jobs=[cron(tick, name="tick", run_at_startup=True, month=1, day=1)]).main()
    assert " → tick()" in caplog.text


# ---------------------------------------------------------------- stopping


async def test_stopping_cancels_and_forgives(
    arq_redis: ArqRedis, redis_settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Deploys must not use up the tries of a job."""
    caplog.set_level(logging.INFO)
    job = await enqueued(arq_redis, "for_ever")
    for _ in range(4):
        one = Worker([for_ever], redis_settings=redis_settings, handle_signals=False, max_tries=2)
        main = asyncio.create_task(one.async_run())
        await wait_until_async(lambda one=one: one.job_tasks)  # type: ignore[misc]
        one.handle_sig(SIGTERM)
        await asyncio.wait([main], timeout=10)
        await one.close()
        assert one.jobs_retried == 1
    assert (
        await arq_redis.get(f"arq:retry:{job.job_id}")
        == await arq_redis.get(f"arq:interrupted:{job.job_id}")
        == b"4"
    )
    text = caplog.text
    assert "shutdown on SIGTERM ◆ 0 jobs complete ◆ 0 failed ◆ 0 retries ◆ 1 ongoing to cancel" in text
    assert f"↻ {job.job_id}:for_ever cancelled, will be run again" in text


async def test_draining_lets_jobs_finish(
    arq_redis: ArqRedis, redis_settings: RedisSettings, gate: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def waits(ctx: Ctx) -> str:
        await gate.wait()
        return "finished"

    job = await enqueued(arq_redis, "waits")
    one = Worker(
        [func(waits, name="waits")],
        redis_settings=redis_settings,
        handle_signals=False,
        job_completion_wait=30,
        max_jobs=1,
    )
    main = asyncio.create_task(one.async_run())
    await wait_until_async(lambda: one.job_tasks)
    left = await enqueued(arq_redis, "waits")
    for _ in range(3):  # saying it again changes nothing
        one.handle_sig_wait_for_completion(SIGTERM)
    assert not one.allow_pick_jobs
    gate.set()
    await asyncio.wait([main], timeout=10)
    await one.close()
    assert await job.result(timeout=1) == "finished"
    assert await arq_redis.zscore(QUEUE, left.job_id) is not None
    lines = [message for message in caplog.messages if "SIGTERM" in message or "allow_pick" in message]
    assert lines == [
        "Setting allow_pick_jobs to `False`",
        "shutdown on SIGTERM ◆ 0 jobs complete ◆ 0 failed ◆ 0 retries ◆ 1 to be completed",
        "shutdown on SIGTERM, wait complete ◆ 1 jobs complete ◆ 0 failed ◆ 0 retries ◆ 0 ongoing to cancel",
    ]


async def test_draining_has_an_end(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    await arq_redis.enqueue_job("for_ever")
    one = Worker([for_ever], redis_settings=redis_settings, handle_signals=False, job_completion_wait=1)
    one.job_completion_wait = 0.1  # type: ignore[assignment]
    stopped: list[Any] = []
    one.on_stop = stopped.append
    main = asyncio.create_task(one.async_run())
    await wait_until_async(lambda: one.job_tasks)
    one.handle_sig_wait_for_completion(SIGTERM)
    await asyncio.wait([main], timeout=10)
    await one.close()
    assert stopped == [SIGTERM]
    assert one.jobs_retried == 1


async def test_close_without_signals_says_so(worker: WorkerFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = worker([quick])
    await one.main()
    await one.close()
    await one.close()
    assert f"shutdown on {SIGUSR1.name} ◆ 0 jobs complete" in caplog.text
