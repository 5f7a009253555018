"""An abort ends a job or leaves it alone. One that nobody runs needs no worker for it."""

from __future__ import annotations

import asyncio
import itertools
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError, WatchError

from arq import cron
from arq._redis import scripts
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job, JobResult, JobStatus, ResultNotFound, serialize_job
from arq.utils import timestamp_ms
from arq.worker import func
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    claim,
    commands,
    enqueued,
    hold_as_upstream,
    info,
    nothing_held,
    old_enqueue,
    quick,
    running,
)
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async
from tests.support.servers import HOST

AN_HOUR_MS = 3_600_000


@pytest.mark.parametrize("defer_by", [0, 3600])
async def test_a_job_that_nobody_runs_needs_no_worker(arq_redis: ArqRedis, defer_by: float) -> None:
    job = await enqueued(arq_redis, "pay", 1, currency="EUR", _defer_by=defer_by)
    queued = await job.info()
    waiter = asyncio.create_task(job.result(timeout=PATIENCE_S))
    assert await job.abort(timeout=PATIENCE_S)
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await job.status() is JobStatus.complete
    found = await job.info()
    assert isinstance(found, JobResult)
    assert queued is not None
    assert (found.function, found.args, found.kwargs) == ("pay", (1,), {"currency": "EUR"})
    assert (found.enqueue_time, found.job_try, found.success) == (queued.enqueue_time, 1, False)
    assert isinstance(found.result, asyncio.CancelledError)
    assert (found.queue_name, found.job_id, found.start_time) == (QUEUE, job.job_id, found.finish_time)
    assert found.enqueue_time <= found.finish_time
    assert [result.job_id for result in await arq_redis.all_job_results()] == [job.job_id]
    assert AN_HOUR_MS - 60_000 < await arq_redis.pttl(f"arq:result:{job.job_id}") <= AN_HOUR_MS
    await nothing_held(arq_redis)


async def test_it_costs_two_round_trips(arq_redis: ArqRedis, redis_client: Any) -> None:
    job = await enqueued(arq_redis, "pay")
    await job.abort()
    job = await enqueued(arq_redis, "pay")
    with commands(redis_client) as counted:
        assert await job.abort()
    assert counted["evalsha"] == 2


async def test_workers_of_any_kind_do_not_run_it(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """The worker obeys no aborts: the job must neither run now nor at its time."""
    ran: list[str] = []

    async def pay(ctx: Ctx) -> None:
        ran.append(ctx["job_id"])

    one = worker([func(pay, name="pay")], burst=False, poll_delay=0.02)
    later = [await enqueued(arq_redis, "pay", _defer_by=3600) for _ in range(3)]
    async with running(one):
        assert [await job.abort(timeout=PATIENCE_S) for job in later] == [True] * 3
        last = await enqueued(arq_redis, "pay")
        await last.result(timeout=PATIENCE_S)
    assert ran == [last.job_id]
    assert one.jobs_failed == 0


async def test_again_and_the_same_id_again(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """As ever, the result holds the id. What was asked of the first job is not asked of the second."""
    job = await enqueued(arq_redis, "quick", _job_id="one", _defer_by=60)
    assert [await job.abort(), await job.abort(), await Job("one", arq_redis).abort()] == [True] * 3
    assert await arq_redis.enqueue_job("quick", _job_id="one") is None
    await arq_redis.delete("arq:result:one")
    assert not await job.abort()
    again = await enqueued(arq_redis, "quick", _job_id="one")
    await worker([quick], allow_abort_jobs=True).main()
    assert await again.result(timeout=PATIENCE_S) == "quick"
    assert not await arq_redis.exists("arq:abort")


async def test_a_job_that_was_tried_before(arq_redis: ArqRedis) -> None:
    """What is known of earlier starts goes, and the result has the number of the one that will not be."""
    job = await enqueued(arq_redis, "quick", _job_try=2)
    await arq_redis.set(f"arq:retry:{job.job_id}", 4, ex=60)
    await arq_redis.set(f"arq:interrupted:{job.job_id}", 1, ex=60)
    assert await job.abort()
    assert (await info(job)).job_try == 5
    await nothing_held(arq_redis)


async def test_a_job_whose_payload_has_expired(arq_redis: ArqRedis) -> None:
    job = await enqueued(arq_redis, "quick")
    await arq_redis.delete(f"arq:job:{job.job_id}")
    assert await job.abort()
    found = await info(job)
    assert (found.function, found.args, found.success) == ("<unknown>", (), False)
    assert await arq_redis.zcard(QUEUE) == 0


async def test_a_job_of_another_queue_is_left_alone(arq_redis: ArqRedis) -> None:
    job = await enqueued(arq_redis, "quick", _queue_name="other")
    assert not await Job(job.job_id, arq_redis).abort(timeout=PATIENCE_S)
    assert await job.status() is JobStatus.queued
    await claim(arq_redis, "w", queue_name="other")
    assert not await Job(job.job_id, arq_redis).abort(timeout=PATIENCE_S)
    assert not await arq_redis.exists("arq:abort")


async def test_a_claimed_job_is_its_workers_whatever_it_does(arq_redis: ArqRedis) -> None:
    """Also one that has not begun yet: there is a request, the job stays where it is, and the caller is told."""
    job = await enqueued(arq_redis, "quick")
    await claim(arq_redis, "w")
    score = await arq_redis.zscore(QUEUE, job.job_id)
    with pytest.raises(
        TimeoutError, match=f"job {job.job_id} stays: no worker that obeys aborts has ended it"
    ):
        await job.abort(timeout=0.05)
    assert await arq_redis.zscore("arq:abort", job.job_id)
    assert await arq_redis.zscore(QUEUE, job.job_id) == score
    assert await arq_redis.exists(f"arq:in-progress:{job.job_id}", f"arq:job:{job.job_id}") == 2
    await arq_redis.delete("arq:abort")


@pytest.mark.parametrize("defer_by", [0, 3600])
async def test_only_to_ask(arq_redis: ArqRedis, worker: WorkerFactory, defer_by: float) -> None:
    """A time-out of 0 leaves the job to workers: one that obeys aborts it at once, for all others nothing changes."""
    job = await enqueued(arq_redis, "quick", _job_id="one", _defer_by=defer_by)
    score = await arq_redis.zscore(QUEUE, "one")
    with pytest.raises(TimeoutError):
        await job.abort(timeout=0)
    assert await arq_redis.zscore(QUEUE, "one") == score
    deaf, obedient = (
        worker([quick], burst=False, allow_abort_jobs=allow, poll_delay=0.02) for allow in (False, True)
    )
    if defer_by:
        async with running(deaf):
            other = await enqueued(arq_redis, "quick")
            await other.result(timeout=PATIENCE_S)
        assert await arq_redis.zscore(QUEUE, "one") == score
    async with running(obedient):
        with pytest.raises(asyncio.CancelledError):
            await job.result(timeout=PATIENCE_S)
    assert obedient.jobs_failed == 1
    assert not await arq_redis.exists("arq:abort")


async def test_a_job_that_is_given_back_meanwhile(arq_redis: ArqRedis) -> None:
    """Its worker did not obey; now that nobody runs it, it need not run again to be aborted."""
    job = await enqueued(arq_redis, "quick")
    await claim(arq_redis, "w")
    abort = asyncio.create_task(job.abort(timeout=PATIENCE_S, poll_delay=0.02))
    await wait_until_async(lambda: arq_redis.exists("arq:abort"))
    await scripts.run(arq_redis, scripts.release("w", scripts.Why.DIED))
    assert await abort
    await nothing_held(arq_redis)


async def test_one_that_is_told_is_told_once(arq_redis: ArqRedis) -> None:
    """A plain arq worker takes the request away when it has cancelled the job; another one would cancel it twice."""
    job = await enqueued(arq_redis, "quick")
    await hold_as_upstream(arq_redis, job.job_id)
    abort = asyncio.create_task(job.abort(timeout=PATIENCE_S, poll_delay=0.01))
    await wait_until_async(lambda: arq_redis.exists("arq:abort"))
    await arq_redis.delete("arq:abort")
    for _ in range(20):
        await arq_redis.ping()
    assert not await arq_redis.exists("arq:abort")
    await arq_redis.delete(f"arq:in-progress:{job.job_id}")
    assert await abort


# ---------------------------------------------------------------- races


class Interleaved(ArqRedis):
    """Something happens between the two round trips of an abort."""

    meanwhile: Callable[[], Any] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = await super().execute_command(*args, **options)
        if args[0].startswith("EVAL") and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return answer


@pytest.fixture
async def interleaved(redis_settings: RedisSettings) -> Any:
    pool = Interleaved(host=HOST, port=redis_settings.port)
    yield pool
    await pool.aclose()


async def test_a_claim_between_look_and_abort(arq_redis: ArqRedis, interleaved: Interleaved) -> None:
    job = await enqueued(arq_redis, "quick")
    interleaved.meanwhile = lambda: claim(arq_redis, "w")
    with pytest.raises(TimeoutError):
        await Job(job.job_id, interleaved).abort(timeout=0.05)
    assert not await arq_redis.exists(f"arq:result:{job.job_id}")
    assert await arq_redis.zcard("arq:abort") == 1
    await arq_redis.delete("arq:abort")


async def test_another_job_of_the_same_id_between_look_and_abort(
    arq_redis: ArqRedis, interleaved: Interleaved
) -> None:
    """The result says what was really aborted."""

    async def replace() -> None:
        await arq_redis.delete("arq:job:one", QUEUE)
        await enqueued(arq_redis, "other", 2, _job_id="one")

    await enqueued(arq_redis, "quick", 1, _job_id="one")
    interleaved.meanwhile = replace
    assert await Job("one", interleaved).abort()
    found = await info(Job("one", arq_redis))
    assert (found.function, found.args) == ("other", (2,))


async def test_a_plain_worker_between_its_look_and_its_claim(arq_redis: ArqRedis) -> None:
    """It has seen that the job is due and free, and locks it if nobody touched the lock: it must not get the job."""
    job = await enqueued(arq_redis, "quick")
    lock = f"arq:in-progress:{job.job_id}"
    async with arq_redis.pipeline(transaction=True) as pipe:
        await pipe.watch(lock)
        assert not await pipe.exists(lock)
        assert await pipe.zscore(QUEUE, job.job_id)
        assert await job.abort()
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.psetex(lock, 60_000, b"1")
        with pytest.raises(WatchError):
            await pipe.execute()
    await nothing_held(arq_redis)


async def test_aborts_and_workers_at_once(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Each job either ran or was aborted, and its producer knows which."""
    ran: set[str] = set()

    async def work(ctx: Ctx) -> str:
        ran.add(ctx["job_id"])
        return "done"

    workers = [worker([func(work, name="work")], burst=False, poll_delay=0.02) for _ in range(2)]
    async with running(*workers):
        for _ in range(10):
            jobs = [await enqueued(arq_redis, "work") for _ in range(10)]
            aborted = await asyncio.gather(*(job.abort(timeout=PATIENCE_S) for job in jobs))
            for job, was_aborted in zip(jobs, aborted, strict=True):
                assert was_aborted is (job.job_id not in ran)
                assert (await info(job)).success is not was_aborted
    await arq_redis.delete("arq:abort")


# ---------------------------------------------------------------- cron


async def test_a_tick_that_is_aborted_does_not_come_again(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Its id stays taken for as long as other workers may still come to plan it, and no longer."""
    nightly = cron(quick, name="cron:quick", hour=3)
    worker(cron_jobs=[nightly])
    tick = scripts.NewTick(timestamp_ms() + 60_000, 120_000, nightly.schedule_hash(), nightly.schedule_id())
    job_id = f"cron:quick:{tick.due_ms}"
    assert await arq_redis._enqueue_tick("cron:quick", job_id, QUEUE, tick)
    assert await Job(job_id, arq_redis).abort()
    assert await arq_redis.enqueue_job("cron:quick", _job_id=job_id) is None
    assert not await arq_redis._enqueue_tick("cron:quick", job_id, QUEUE, tick)
    assert 0 < await arq_redis.pttl(f"arq:result:{job_id}") <= 60_000


async def test_a_schedule_with_an_id_of_its_own_goes_on(arq_redis: ArqRedis) -> None:
    """No result of an aborted run keeps the next one out; cron jobs keep none unless they say so."""
    job = await enqueued(arq_redis, "cron:quick", _job_id="mine")
    assert await job.abort()
    assert await arq_redis.enqueue_job("cron:quick", _job_id="mine")


# ---------------------------------------------------------------- other formats


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
async def json_pool(redis_settings: RedisSettings) -> Any:
    pool = await create_pool(redis_settings, job_serializer=dumps, job_deserializer=json.loads)
    yield pool
    await pool.aclose()


async def test_with_a_serializer_of_ones_own(json_pool: ArqRedis, arq_redis: ArqRedis) -> None:
    """As a worker of that format writes it: where exceptions can't be written, a text says so."""
    for by_reference in (False, True):
        job = await enqueued(json_pool, "quick", 1)
        assert await (Job(job.job_id, json_pool) if by_reference else job).abort()
        found = await info(job)
        assert (found.function, list(found.args), found.success) == ("quick", [1], False)
        assert str(found.result).startswith("unable to serialize result")
        assert await job.abort() is False  # nothing more is known than what stands there


async def test_a_client_that_does_not_know_the_format(
    json_pool: ArqRedis, arq_redis: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """It writes nothing that others can't read: the job is gone, and those who wait learn that."""
    for job_id, (deserializer, client) in enumerate(
        itertools.product((None, json.loads), (arq_redis, Redis(connection_pool=arq_redis.connection_pool)))
    ):
        job = await enqueued(json_pool, "quick", _job_id=str(job_id))
        caplog.clear()
        assert await Job(job.job_id, client, _deserializer=deserializer).abort()
        assert "is aborted without a result" in caplog.text
        with pytest.raises(ResultNotFound):
            await job.result()
    await nothing_held(arq_redis)


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}], ids=["plain", "decoding"])
async def test_with_a_plain_client(
    arq_redis: ArqRedis, redis_settings: RedisSettings, options: dict[str, Any]
) -> None:
    job = await enqueued(arq_redis, "quick", 1)
    async with Redis(host=HOST, port=redis_settings.port, **options) as plain:
        assert await Job(job.job_id, plain).abort()
        assert not await Job("unknown", plain).abort()
    assert isinstance((await info(job)).result, asyncio.CancelledError)


class NotHere:
    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    raise ModuleNotFoundError("No module named 'nowhere'")


@pytest.mark.parametrize(
    ("payload", "function"),
    [
        (pickle.dumps(["no", "job"]), "<unknown>"),
        (pickle.dumps({"f": "quick"}), "quick"),
        (serialize_job("f", (NotHere(),), {}, None, 1), "f"),
    ],
)
async def test_a_payload_that_can_not_be_read_here(
    arq_redis: ArqRedis, payload: bytes, function: str
) -> None:
    """A pickle all the same: the result says what can be said."""
    await old_enqueue(arq_redis, "odd")
    await arq_redis.set("arq:job:odd", payload, ex=60)
    assert await Job("odd", arq_redis).abort()
    found = await info(Job("odd", arq_redis))
    assert (found.success, found.job_id) == (False, "odd")
    assert isinstance(found.result, asyncio.CancelledError)
    assert found.function == function


@pytest.mark.parametrize("name", ["arq:abort", "arq:in-progress:a", "arq:retry:a", "arq:interrupted:a"])
async def test_keys_of_another_type_do_not_count(arq_redis: ArqRedis, name: str) -> None:
    job = await enqueued(arq_redis, "quick", _job_id="a")
    await arq_redis.rpush(name, "x")
    await arq_redis.expire(name, 60)
    assert await job.abort()
    assert await job.status() is JobStatus.complete
    assert not await arq_redis.exists("arq:job:a", "arq:in-progress:a", QUEUE)


async def test_a_queue_of_another_type_changes_nothing(arq_redis: ArqRedis) -> None:
    job = await enqueued(arq_redis, "quick")
    await arq_redis.delete(QUEUE)
    await arq_redis.rpush(QUEUE, "x")
    with pytest.raises(ResponseError):
        await job.abort()
    assert await arq_redis.exists(f"arq:job:{job.job_id}")
    await arq_redis.delete(QUEUE)
