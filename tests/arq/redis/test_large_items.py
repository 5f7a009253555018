"""Payloads and results that are too large, or many: Redis is not held up, and no neighbour of a bad one suffers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from arq._redis import scripts
from arq._redis.batch_sizes import MOST_BYTES
from arq._redis.worker_connection import Link
from arq._worker import bad_items
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import DeserializationError, SerializationError
from arq.worker import Worker
from tests.arq.redis.harness import CONNECT_S, QUEUE, Ctx, claim, enqueued, info, quick
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async
from tests.support.servers import HOST, RedisServer, running_server

MB = 1_000_000
#: What the small server takes.
LIMIT = 1024 * 1024


@pytest.fixture(scope="module")
def small_server() -> Iterator[RedisServer]:
    """A server that takes items of 1 MiB."""
    with running_server() as server:
        yield server


@pytest.fixture
def small(small_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(HOST, small_server.port, socket_timeout=CONNECT_S) as client:
        client.flushall()
        client.config_set("proto-max-bulk-len", LIMIT)
        yield client


@pytest.fixture
async def pool(small: redis.Redis, small_server: RedisServer) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(
        RedisSettings(host=HOST, port=small_server.port, conn_retries=0, conn_timeout=CONNECT_S)
    )
    yield pool
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
def worker_of(worker: WorkerFactory, pool: ArqRedis) -> Any:
    return lambda functions, **options: worker(functions, redis_pool=pool, **options)


async def sized(ctx: Ctx, size: int) -> bytes:
    return bytes(size)


async def broken(ctx: Ctx, size: int) -> None:
    raise ValueError("x" * size)


async def count(ctx: Ctx, payload: bytes) -> int:
    return len(payload)


# ---------------------------------------------------------------- results


async def test_a_result_that_is_too_large_says_so(pool: ArqRedis, worker_of: Any) -> None:
    job = await enqueued(pool, "sized", 3 * MB, _job_id="large")
    worker: Worker = worker_of([sized])
    assert await worker.run_check() == 1
    with pytest.raises(
        SerializationError, match=r"unable to serialize result: 3000\d\d\d bytes, .* 1048576 at most"
    ):
        await job.result()
    found = await info(job)
    assert (found.function, found.args, found.job_id, found.success) == ("sized", (3 * MB,), "large", False)
    assert found.start_time <= found.finish_time


async def test_an_exception_that_is_too_large_keeps_its_beginning(pool: ArqRedis, worker_of: Any) -> None:
    job = await enqueued(pool, "broken", 3 * MB)
    await worker_of([broken]).main()
    with pytest.raises(SerializationError, match=r"3000\d\d\d bytes.*ValueError\('xxx"):
        await job.result()


async def test_arguments_that_are_too_large_for_the_result_are_left_out(
    pool: ArqRedis, small: redis.Redis, worker_of: Any
) -> None:
    small.config_set("proto-max-bulk-len", 4 * LIMIT)
    job = await enqueued(pool, "quick", bytes(3 * MB))
    small.config_set("proto-max-bulk-len", LIMIT)
    await worker_of([quick]).main()
    found = await info(job)
    assert (found.function, found.args, found.success) == ("quick", (), False)
    assert "bytes" in found.result


async def test_neighbours_of_a_large_result_are_written(pool: ArqRedis, worker_of: Any) -> None:
    jobs = [await enqueued(pool, "sized", size) for size in (10, 3 * MB, 20, 5 * MB, 30)]
    await worker_of([sized]).main()
    results = await asyncio.gather(*(job.result(timeout=5) for job in jobs), return_exceptions=True)
    assert [r if isinstance(r, bytes) else type(r) for r in results] == [
        bytes(10),
        SerializationError,
        bytes(20),
        SerializationError,
        bytes(30),
    ]


async def test_the_worker_goes_on_where_the_limit_is_a_secret(
    pool: ArqRedis, small: redis.Redis, worker_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Then what Redis does not take is found out by trying."""
    small.acl_setuser(
        "default", enabled=True, nopass=True, keys="*", commands=["+@all", "-config"], reset=True
    )
    try:
        jobs = [await enqueued(pool, "sized", size) for size in (10, 3 * MB, 20)]
        await worker_of([sized]).main()
    finally:
        small.acl_setuser("default", enabled=True, nopass=True, keys="*", commands=["+@all"], channels="*")
    assert [await job.result(timeout=5) for job in (jobs[0], jobs[2])] == [bytes(10), bytes(20)]
    with pytest.raises(
        SerializationError, match=r"unable to serialize result: Redis refused 3000\d\d\d bytes: "
    ):
        await jobs[1].result()
    assert caplog.text.count("a text that says so is kept instead") == 1


async def test_many_large_results_are_written_a_few_at_a_time(
    pool: ArqRedis, small: redis.Redis, worker_of: Any
) -> None:
    count = 50
    jobs = [await enqueued(pool, "sized", MB // 2) for _ in range(count)]
    small.config_resetstat()
    await worker_of([sized], max_jobs=count).main()
    calls = small.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls >= count * (MB // 2) / MOST_BYTES
    assert {len(await job.result()) for job in jobs} == {MB // 2}


# ---------------------------------------------------------------- payloads


async def test_a_payload_that_is_too_large_is_its_callers_error(pool: ArqRedis, worker_of: Any) -> None:
    calls = [pool.enqueue_job("count", bytes(size)) for size in (10, 3 * MB, 20, 30)]
    jobs = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(jobs[1], SerializationError)
    assert str(jobs[1]).startswith('unable to serialize job "count": 3000')
    assert str(jobs[1]).endswith("bytes, Redis takes 1048576 at most")
    await worker_of([count]).main()
    assert [await job.result() for job in (jobs[0], *jobs[2:])] == [10, 20, 30]  # type: ignore[union-attr]


async def test_nothing_is_enqueued_if_one_of_many_is_too_large(pool: ArqRedis) -> None:
    with pytest.raises(SerializationError, match="Redis takes 1048576 at most"):
        await pool.enqueue_jobs(
            [JobCall("count", b""), JobCall("count", bytes(3 * MB)), JobCall("count", b"")]
        )
    assert await pool.zcard(QUEUE) == 0


async def test_callers_beside_one_whose_payload_is_refused_get_their_jobs(
    pool: ArqRedis, small: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the limit can't be known beforehand."""
    monkeypatch.setattr(pool._enqueuer.size_limit, "_is_secret", True)
    first = asyncio.create_task(pool.enqueue_job("count", b""))
    calls = [pool.enqueue_job("count", bytes(size)) for size in (10, 3 * MB, 20)]
    jobs = await asyncio.gather(first, *calls, return_exceptions=True)
    assert isinstance(jobs[2], redis.ConnectionError)
    assert jobs[2].__notes__ == ["the job has 3000073 bytes, which may be more than Redis takes"]
    assert not [job for job in jobs if isinstance(job, Exception) and job is not jobs[2]]
    assert await pool.zcard(QUEUE) == 3


async def test_large_payloads_are_claimed_a_few_at_a_time(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("count", bytes(MB), _job_id=f"{i:02}") for i in range(12)])
    found = await claim(arq_redis, "w", 12)
    assert len(found.jobs) == MOST_BYTES // MB + 1
    assert found.wait_ms == 0
    again = await claim(arq_redis, "w", 12)
    assert again.jobs[0].job_id == f"{len(found.jobs):02}"


async def test_a_payload_above_the_bound_is_claimed_alone(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("count", bytes(2 * MOST_BYTES)) for _ in range(2)])
    assert [len((await claim(arq_redis, "w", 12)).jobs) for _ in range(3)] == [1, 1, 0]


async def test_jobs_with_large_payloads_all_run(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    jobs = await arq_redis.enqueue_jobs([JobCall("count", bytes(3 * MB)) for _ in range(12)])
    await worker([count], max_jobs=12).main()
    assert [await job.result() for job in jobs if job is not None] == [3 * MB] * 12


async def test_exactly_these_jobs_are_claimed_a_few_megabytes_at_a_time(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    names = [f"{number:02}" for number in range(10)]
    await arq_redis.enqueue_jobs([JobCall("count", bytes(MB), _job_id=name) for name in names])
    found = await claim(arq_redis, "w", 10, job_ids=names)
    assert [job.job_id for job in found.jobs] == names[: MOST_BYTES // MB + 1]
    assert found.wait_ms == 0
    await scripts.run(arq_redis, scripts.release("w", scripts.Why.UNBEGUN))
    one = worker([count], max_jobs=10)
    one._pool = arq_redis
    await one.start_jobs([name.encode() for name in ["nobody", *names]])
    await wait_until_async(lambda: one.jobs_complete == 10)


async def test_a_payload_that_redis_does_not_give_fails_its_job_alone(
    pool: ArqRedis, small: redis.Redis, worker_of: Any
) -> None:
    """The server hangs up on clients that have more than 1 MiB to read; Valkey does so after scripts only."""
    small.config_set("proto-max-bulk-len", 8 * LIMIT)
    jobs = [await enqueued(pool, "count", bytes(size)) for size in (10, 3 * MB, 20, 4 * MB, 30)]
    small.config_set("client-output-buffer-limit", f"normal {LIMIT} 0 0")
    try:
        worker = worker_of([count])
        await worker.main()
        results = await asyncio.gather(*(job.result(timeout=5) for job in jobs), return_exceptions=True)
    finally:
        small.config_set("client-output-buffer-limit", "normal 0 0 0")
    assert [results[0], results[2], results[4]] == [10, 20, 30]
    for result, size in ((results[1], 3 * MB), (results[3], 4 * MB)):
        if result != size:
            assert isinstance(result, DeserializationError), result
    assert worker.jobs_complete + worker.jobs_failed == 5


async def test_what_a_worker_holds_is_told_a_few_megabytes_at_a_time(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("count", bytes(MOST_BYTES // 2), _job_id=f"{i}") for i in range(5)])
    while (await claim(arq_redis, "w", 5)).jobs:
        pass
    answer = await scripts.run(arq_redis, scripts.reclaim("w", 1))
    held, _ = scripts.read_jobs(answer)
    assert sorted(job.job_id for job in held) == list("01234")
    assert [job.payload is not None for job in held] == [True, True, False, False, False]
    assert all(job.left_out > MOST_BYTES // 2 for job in held if job.payload is None)
    link = Link(arq_redis.connection_pool)
    fetched = await bad_items.fetch(link, held)
    await link.drop()
    assert all(job.payload is not None and not job.left_out for job in fetched)


# ---------------------------------------------------------------- looking


async def test_a_result_that_redis_does_not_give_is_its_callers_error(
    pool: ArqRedis, small: redis.Redis, worker_of: Any
) -> None:
    small.config_set("proto-max-bulk-len", 8 * LIMIT)
    jobs = [await enqueued(pool, "sized", size) for size in (10, 3 * MB, 20, 30)]
    await worker_of([sized]).main()
    small.config_set("client-output-buffer-limit", f"normal {LIMIT} 0 0")
    try:
        results = await asyncio.gather(*(job.result(timeout=5) for job in jobs), return_exceptions=True)
    finally:
        small.config_set("client-output-buffer-limit", "normal 0 0 0")
    large = results.pop(1)
    assert isinstance(large, redis.ConnectionError) or large == bytes(3 * MB)
    assert results == [bytes(10), bytes(20), bytes(30)]


async def test_a_wrong_queue_name_is_its_callers_error(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.set("text", "x", ex=60)
    jobs = [await enqueued(arq_redis, "quick") for _ in range(3)]
    jobs[1]._queue_name = "text"
    waits = [asyncio.create_task(job.result(poll_delay=0.01)) for job in jobs]
    await asyncio.wait([waits[1]], timeout=CONNECT_S)
    await worker([quick]).main()
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert (results[0], results[2]) == ("quick", "quick")
    assert isinstance(results[1], redis.ResponseError)


async def test_many_large_results_are_read_a_few_at_a_time(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    jobs = [await enqueued(arq_redis, "sized", MB // 2) for _ in range(60)]
    small = [await enqueued(arq_redis, "sized", 1) for _ in range(600)]
    await worker([sized], max_jobs=60, queue_read_limit=1000).main()
    assert {len(await asyncio.wait_for(job.result(), 30)) for job in jobs} == {MB // 2}
    await asyncio.gather(*(job.result() for job in jobs))
    assert arq_redis._look_batches.most <= MOST_BYTES // (MB // 2)
    assert await asyncio.gather(*(job.result() for job in small)) == [bytes(1)] * 600
    assert arq_redis._look_batches.most > 100
    assert len(await arq_redis.all_job_results()) == 660


async def test_a_queue_of_large_jobs_is_listed(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("count", bytes(MB)) for _ in range(30)])
    assert [len(job.args[0]) for job in await arq_redis.queued_jobs()] == [MB] * 30
