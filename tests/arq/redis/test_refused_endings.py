"""Redis refuses one ending of several: the others are written, at once and at a stop, and a worker goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from arq import func
from arq._endings import Again
from arq._keys import batches_key
from arq._redis.worker_connection import Link
from arq._worker import dead_set_policy, outcomes
from arq._worker.commit_and_claim import Exchange
from arq.connections import ArqRedis
from arq.jobs import ResultNotFound, SerializationError
from arq.worker import Worker
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, Ctx, claim, enqueued, info, nothing_held, quick, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

REFUSED_MS = 10**25


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of the job `bad` are kept for longer than Redis takes."""
    keep_ms = dead_set_policy.keep_result_ms

    def keep(attempt: Any, defaults: Any) -> int | None:
        return REFUSED_MS if attempt.job.job_id == "bad" else keep_ms(attempt, defaults)

    monkeypatch.setattr(outcomes, "keep_result_ms", keep)


async def test_neighbours_of_a_refused_result_are_written(
    arq_redis: ArqRedis, worker: WorkerFactory, refused: None, caplog: pytest.LogCaptureFixture
) -> None:
    one, bad, two = [await enqueued(arq_redis, "quick", _job_id=job_id) for job_id in ("one", "bad", "two")]
    async with running(worker([quick], burst=False, poll_delay=0.05)):
        assert await one.result(timeout=10) == await two.result(timeout=10) == "quick"
        with pytest.raises(ResultNotFound):
            await bad.result(timeout=10)
        later = await enqueued(arq_redis, "quick", _job_id="later")
        assert await later.result(timeout=10) == "quick"
    lines = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 1
    assert lines[0].startswith("job bad: unable to serialize result: Redis refused ")
    assert lines[0].endswith("; no result is kept")
    assert "redis trouble" not in caplog.text
    await nothing_held(arq_redis)


async def test_an_ending_that_redis_refuses_altogether_is_given_up(
    arq_redis: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    for job_id in ("one", "bad", "two"):
        await enqueued(arq_redis, "quick", _job_id=job_id)
    taken = {job.job_id: job.stamp for job in (await claim(arq_redis, "w")).jobs}
    exchange = Exchange(Link(arq_redis.connection_pool), QUEUE, "w", 60_000, 60_000, look_at_aborts=False)
    for job_id, stamp in taken.items():
        soon: Any = "soon" if job_id == "bad" else 1000
        exchange.record(Again(job_id, stamp, soon, 1))
    written = exchange.written()
    answer = await exchange.commit_and_claim(1)
    await exchange.close()
    assert answer is not None
    assert answer.jobs == []
    assert written.done()
    notes: list[Any] = await arq_redis.hvals(batches_key("w"))  # the others of its claim are over
    assert ["bad" in note.decode().split("\n") for note in notes] == [True]
    assert (
        caplog.text.count("job bad: Redis refuses its outcome, the job will be run again when its lock ") == 1
    )


async def test_a_worker_that_stops_writes_the_neighbours(
    arq_redis: ArqRedis, redis_settings: Any, refused: None, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [await enqueued(arq_redis, "gated", _job_id=job_id) for job_id in ("one", "bad", "two")]
    gate, ended = asyncio.Event(), asyncio.Event()

    async def gated(ctx: Ctx) -> str:
        await gate.wait()
        asyncio.get_running_loop().call_soon(ended.set)
        return "done"

    one = Worker([func(gated, name="gated")], redis_settings=redis_settings, handle_signals=False)
    main = asyncio.create_task(one.main())
    await wait_until_async(lambda: len(one.job_tasks) == 3)
    gate.set()
    await ended.wait()
    main.cancel()
    await asyncio.wait([main])
    await one.close()
    assert [(await info(job)).result for job in (jobs[0], jobs[2])] == ["done", "done"]
    assert "leaving without redis" not in caplog.text


async def test_what_is_no_endings_fault_ends_or_waits_as_ever(
    arq_redis: ArqRedis, redis_client: redis.Redis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Full memory is waited out, and no result is lost for it."""
    gate = asyncio.Event()

    async def gated(ctx: Ctx) -> str:
        await gate.wait()
        return "done"

    job = await enqueued(arq_redis, "gated")
    one = worker([func(gated, name="gated")], burst=False, poll_delay=0.05)
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        redis_client.config_set("min-replicas-to-write", 1)
        try:
            gate.set()
            await wait_until_async(lambda: "redis trouble" in caplog.text)
        finally:
            redis_client.config_set("min-replicas-to-write", 0)
        assert await job.result(timeout=20) == "done"
    assert "is kept instead" not in caplog.text
    await nothing_held(arq_redis)


async def test_a_result_is_not_given_up_because_the_connection_is_cut(
    arq_redis: ArqRedis, redis_client: redis.Redis, worker: WorkerFactory
) -> None:
    """A small one at least: nobody hangs up on it."""
    jobs = [await enqueued(arq_redis, "quick", number) for number in range(200)]
    one = worker([quick], burst=False, poll_delay=0.05, max_jobs=5)
    async with running(one):

        async def all_done() -> bool:
            redis_client.client_kill_filter(_type="normal", skipme=True)
            return one.jobs_complete == 200 and not inside.has_endings(one)

        await wait_until_async(all_done)
    assert [await job.result(timeout=5) for job in jobs] == list(range(200))


async def test_stand_ins_are_read_as_failures(
    arq_redis: ArqRedis, worker: WorkerFactory, monkeypatch: Any
) -> None:
    """A result that Redis refuses for a reason of its own: the reason is told."""
    limit = 5_000_000
    monkeypatch.setattr("arq._worker.unwritten_endings.batch_sizes.ALWAYS_TAKEN", 10 * limit)

    async def sized(ctx: Ctx) -> bytes:
        return bytes(limit)

    await arq_redis.config_set("proto-max-bulk-len", 1024 * 1024)
    try:
        job = await enqueued(arq_redis, "sized")
        await worker([func(sized, name="sized")]).main()
    finally:
        await arq_redis.config_set("proto-max-bulk-len", 512 * 1024 * 1024)
    with pytest.raises(
        SerializationError, match=r"unable to serialize result: Redis refused 5000\d\d\d bytes: "
    ):
        await job.result()
