"""A job from its producer's side."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from arq.connections import ArqRedis, JobCall
from arq.jobs import (
    DeserializationError,
    Job,
    JobDef,
    JobResult,
    JobStatus,
    ResultNotFound,
    SerializationError,
)
from arq.jobs import serialize_result as serialize
from arq.worker import func
from tests.arq.redis.harness import QUEUE, claim, hold_as_upstream, old_enqueue, running
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async

Ctx = dict[Any, Any]


async def quick(ctx: Ctx, value: Any = "quick") -> Any:
    return value


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


async def test_the_life_of_a_job(arq_redis: ArqRedis, worker: WorkerFactory, gate: asyncio.Event) -> None:
    async def waits(ctx: Ctx) -> str:
        await gate.wait()
        return "done"

    job = await enqueued(arq_redis, "waits", 1, _defer_by=60)
    assert str(job) == f"<arq job {job.job_id}>"
    assert await job.status() == JobStatus.deferred
    await arq_redis.zadd(QUEUE, {job.job_id: 1})
    assert await job.status() == JobStatus.queued
    waiting = await job.info()
    assert isinstance(waiting, JobDef)
    assert (waiting.function, waiting.args, waiting.score, waiting.job_id) == ("waits", (1,), 1, job.job_id)
    assert await job.result_info() is None
    await arq_redis.delete(f"arq:job:{job.job_id}", QUEUE)
    assert await job.status() == JobStatus.not_found
    assert await job.info() is None

    job = await enqueued(arq_redis, "waits")
    one = worker([func(waits, name="waits")], burst=False)
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        assert await job.status() == JobStatus.in_progress
        found = await job.info()
        assert found is not None
        assert found.score is not None
        assert found.score <= datetime.now(UTC).timestamp() * 1000 + 1
        gate.set()
        assert await job.result(timeout=30) == "done"
    assert await job.status() == JobStatus.complete
    result = await job.info()
    assert isinstance(result, JobResult)
    assert (result.success, result.result, result.job_try, result.queue_name) == (True, "done", 1, QUEUE)
    assert result.start_time <= result.finish_time
    assert await job.result_info() == result


async def test_a_result_comes_without_waiting_for_the_poll_delay(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async with running(worker([quick], burst=False)):
        job = await enqueued(arq_redis, "quick")
        assert await job.result(timeout=60, poll_delay=600) == "quick"


async def test_waiting_has_an_end(arq_redis: ArqRedis) -> None:
    job = await enqueued(arq_redis, "quick")
    with pytest.raises(TimeoutError):
        await job.result(timeout=0.05)
    with pytest.raises(TimeoutError):
        await job.result(timeout=0)


async def test_a_job_that_is_not_in_its_queue(arq_redis: ArqRedis) -> None:
    with pytest.raises(ResultNotFound, match="Not waiting for job result because the job is not in queue"):
        await Job("unknown", arq_redis).result()
    job = await enqueued(arq_redis, "quick", _queue_name="other")
    with pytest.raises(ResultNotFound):
        await Job(job.job_id, arq_redis).result()
    assert await Job(job.job_id, arq_redis).status() == JobStatus.not_found
    assert await Job(job.job_id, arq_redis, _queue_name="other").status() == JobStatus.queued


async def test_many_waiters_share_their_looks(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis
) -> None:
    jobs = [await enqueued(arq_redis, "quick", number) for number in range(200)]
    before = redis_client.info("stats")["total_connections_received"]
    async with running(worker([quick], burst=False)):
        assert await asyncio.gather(*(job.result(timeout=30) for job in jobs)) == list(range(200))
    assert redis_client.info("stats")["total_connections_received"] - before < 10


async def test_one_waiter_that_gives_up_disturbs_no_other(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    jobs = [await enqueued(arq_redis, "quick", number) for number in range(20)]
    waiting = [asyncio.create_task(job.result(timeout=30)) for job in jobs]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    async with running(worker([quick], burst=False)):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert ended[1::2] == list(range(1, 20, 2))


async def test_pole_delay_is_deprecated(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "quick")
    await worker([quick]).main()
    with pytest.warns(DeprecationWarning, match='"pole_delay" is deprecated, use the correct spelling'):
        assert await job.result(pole_delay=0) == "quick"


async def test_a_result_that_could_not_be_serialized(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def local(ctx: Ctx) -> Any:
        return lambda: None

    job = await enqueued(arq_redis, "local")
    await worker([func(local, name="local")]).main()
    with pytest.raises(SerializationError, match="unable to serialize result"):
        await job.result(timeout=30)


async def test_bytes_nobody_can_read(arq_redis: ArqRedis) -> None:
    job = await enqueued(arq_redis, "quick")
    await arq_redis.set(f"arq:job:{job.job_id}", b"?", ex=60)
    with pytest.raises(DeserializationError, match="unable to deserialize job"):
        await job.info()
    (queued,) = await arq_redis.queued_jobs()
    assert (queued.job_id, queued.function, queued.args) == (job.job_id, "<unknown>", ())
    await arq_redis.set(f"arq:result:{job.job_id}", b"?", ex=60)
    for asking in (job.info(), job.result(), job.result_info()):
        with pytest.raises(DeserializationError, match="unable to deserialize job result"):
            await asking
    (result,) = await arq_redis.all_job_results()
    assert (result.job_id, result.function, result.success) == (job.job_id, "<unknown>", False)
    assert isinstance(result.result, DeserializationError)
    assert await job.status() == JobStatus.complete


async def test_a_job_of_a_plain_client(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """`Job` needs a redis.asyncio.Redis, not an ArqRedis."""
    from redis.asyncio import Redis

    job = await enqueued(arq_redis, "quick")
    await worker([quick]).main()
    async with Redis(connection_pool=arq_redis.connection_pool) as plain:
        assert await Job(job.job_id, plain).result(timeout=30) == "quick"
        assert await Job(job.job_id, plain).status() == JobStatus.complete
        assert not await Job("unknown", plain).abort(timeout=30)


# ---------------------------------------------------------------- lists


async def test_queued_jobs_in_the_order_in_which_they_are_due(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(
        [
            JobCall("third", _job_id="c", _defer_by=60),
            JobCall("first", _job_id="a", _defer_by=-60),
            JobCall("second", _job_id="b"),
        ]
    )
    await claim(arq_redis, "w", 1)  # a running job is shown where it was
    await hold_as_upstream(arq_redis, "b")
    jobs = await arq_redis.queued_jobs()
    assert [(job.job_id, job.function) for job in jobs] == [("a", "first"), ("b", "second"), ("c", "third")]
    assert await arq_redis.queued_jobs(queue_name="other") == []


async def test_entries_that_vanish_are_left_out(arq_redis: ArqRedis) -> None:
    await arq_redis.zadd(QUEUE, {"no payload": 1})
    await old_enqueue(arq_redis, "here")
    assert [job.job_id for job in await arq_redis.queued_jobs()] == ["here"]


async def test_all_results_in_the_order_of_enqueueing(arq_redis: ArqRedis) -> None:
    for number in (3, 1, 2):
        data = serialize("f", (), {}, 1, number * 1000, True, number, 1, 2, "ref", "q", str(number))
        assert data is not None
        await arq_redis.set(f"arq:result:{number}", data, ex=60)
    assert [result.result for result in await arq_redis.all_job_results()] == [1, 2, 3]
    assert [result.job_id for result in await arq_redis.all_job_results()] == ["1", "2", "3"]


async def test_results_that_vanish_while_they_are_read(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.enqueue_jobs(["quick"] * 200)
    await worker([quick], keep_result=0.05).main()

    async def read() -> bool:
        return await arq_redis.all_job_results() == []

    await wait_until_async(read)


async def test_no_results(arq_redis: ArqRedis) -> None:
    assert await arq_redis.all_job_results() == []
    assert await arq_redis.queued_jobs() == []


async def test_a_job_of_a_pipeline(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """What it asks is answered at once, and is not added to the pipeline's commands."""
    async with arq_redis.pipeline() as pipe:
        pipe.set("mine", 1, px=5000)
        made = await arq_redis.enqueue_job("quick", 3, _job_id="one")
        assert made is not None
        job = Job("one", pipe)
        assert await job.status() is JobStatus.queued
        found = await job.info()
        assert found is not None
        assert found.args == (3,)
        assert await job.result_info() is None
        await worker([quick]).main()
        assert await job.result(timeout=PATIENCE_S) == 3
        assert await job.status() is JobStatus.complete
        assert await job.abort() is False
        assert await pipe.execute() == [True]
    assert await arq_redis.get("mine") == b"1"
