"""One job at a time: what a worker makes of it, when it comes again, how long it may take."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import DeserializationError
from arq.utils import timestamp_ms
from arq.worker import FailedJobs, JobExecutionFailed, Retry, RetryJob, Worker, func
from tests.arq.redis.harness import QUEUE, Ctx, broken, enqueued, for_ever, info, nothing_held, quick, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

# ---------------------------------------------------------------- one job


async def test_a_job_from_end_to_end(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    seen: list[Ctx] = []

    async def look(ctx: Ctx, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        seen.append(ctx)
        return (*args, kwargs)

    job = await enqueued(arq_redis, "look", 1, key="word")
    one = worker([func(look, name="look")], ctx={"mine": 7})
    await one.main()
    assert await job.result(timeout=30) == (1, {"key": "word"})
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
        await job.result(timeout=30)


@pytest.mark.parametrize("value", [ValueError("returned"), None, 0, {"deep": [1, (2,)]}, "x" * 100_000])
async def test_values_that_jobs_return(arq_redis: ArqRedis, worker: WorkerFactory, value: Any) -> None:
    job = await enqueued(arq_redis, "quick", value)
    await worker([quick]).main()
    assert repr(await job.result(timeout=30)) == repr(value)


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
    await asyncio.wait_for(one.main(), 30)
    assert (one.jobs_failed, one.jobs_retried) == (1, 0)
    (result,) = await arq_redis.all_job_results()
    assert not result.success


async def test_odd_entries_of_the_queue_stop_nobody(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    odd: dict[Any, float] = {b"\xff\xfe": 1, "": 2, "endless": float("-inf")}
    await arq_redis.zadd(QUEUE, odd)
    job = await enqueued(arq_redis, "quick")
    one = worker([quick], burst=False, poll_delay=0.02)
    async with running(one):
        assert await job.result(timeout=30) == "quick"
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
    assert await job.result(timeout=30) == {"a": [1]}
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
    assert await job.result(timeout=30) == "third"
    assert tries == [1, 2, 3]
    assert one.jobs_retried == 2


async def test_a_job_that_cancels_itself_each_time_is_bounded(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def again(ctx: Ctx) -> None:
        raise asyncio.CancelledError

    await arq_redis.enqueue_job("again")
    one = worker([func(again, name="again")], max_tries=3)
    await asyncio.wait_for(one.main(), 30)
    assert (one.jobs_retried, one.jobs_failed) == (2, 1)


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
    await asyncio.wait_for(one.main(), 30)
    assert await job.result(timeout=30) == "quick"
    assert one.jobs_failed == 1


# ---------------------------------------------------------------- time


async def test_a_timeout(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    job = await enqueued(arq_redis, "for_ever")
    await worker([func(for_ever, name="for_ever", timeout=0.02)]).main()
    with pytest.raises(TimeoutError):
        await job.result(timeout=30)
    assert "failed, TimeoutError:" in caplog.text


async def test_the_workers_timeout(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "for_ever")
    await worker([for_ever], job_timeout=timedelta(milliseconds=20)).main()
    assert isinstance((await info(job)).result, TimeoutError)


@pytest.mark.parametrize(
    ("keep", "left_ms"), [(None, 3_600_000), (timedelta(minutes=10), 600_000), (0, None)]
)
async def test_results_are_kept_as_long_as_the_function_says(
    arq_redis: ArqRedis, worker: WorkerFactory, keep: Any, left_ms: int | None
) -> None:
    job = await enqueued(arq_redis, "quick")
    await worker([func(quick, name="quick", keep_result=keep)]).main()
    ttl_ms = await arq_redis.pttl(f"arq:result:{job.job_id}")
    if left_ms is None:
        assert ttl_ms == -2
    else:
        assert left_ms - 60_000 < ttl_ms <= left_ms
