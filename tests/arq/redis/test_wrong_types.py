"""Keys that are not what they should be: one fault fails one job or one duty, and nobody dies, spins or hangs of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from arq._redis import membership, scripts
from arq._redis.scripts import Why
from arq._worker.repeated_errors import Complaints
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.cron import cron
from arq.jobs import JobStatus
from arq.worker import Worker, async_check_health
from tests.arq.redis import inside
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    claim,
    enqueued,
    for_ever,
    hold_as_old,
    idle,
    ids,
    members,
    nothing_held,
    quick,
    running,
)
from tests.support.eventually import wait_until_async

KINDS = ["string", "list", "hash", "set", "zset"]
#: What may stand at a key of a job, and what it should be.
OF_A_JOB = {
    "in-progress": "string",
    "retry": "string",
    "interrupted": "string",
    "left": "string",
    "crashes": "string",
    "result": "string",
}
#: No numbers that anybody could count with.
NO_NUMBERS = ["inf", "-inf", "nan", "text", "1e400", "0x10", "1.5", "", "9" * 40]
#: Our keys that belong to no job; `{worker}` is the worker's id.
OF_A_WORKER = {
    "arq:batches:{worker}": "hash",
    "arq:claims:{worker}": "hash",
    "arq:lapses": "zset",
    "arq:members": "zset",
    "arq:epoch:{worker}": "string",
    "arq:leases": "zset",
    f"arq:quarantine:{QUEUE}": "string",
    f"arq:lookers:{QUEUE}": "zset",
    f"arq:wake:{QUEUE}": "list",
    "arq:abort": "zset",
    f"{QUEUE}:health-check": "string",
}
WRONG_OF_A_JOB = [(name, kind) for name, right in OF_A_JOB.items() for kind in KINDS if kind != right]
WRONG_OF_A_WORKER = [(name, kind) for name, right in OF_A_WORKER.items() for kind in KINDS if kind != right]


async def spoil(pool: ArqRedis, key: str, kind: str) -> None:
    """Put something of a type at a key, for a minute."""
    writes: dict[str, Callable[[], Awaitable[Any]]] = {
        "string": lambda: pool.set(key, "x"),
        "list": lambda: pool.rpush(key, "x"),
        "hash": lambda: pool.hset(key, "x", "y"),
        "set": lambda: pool.sadd(key, "x"),
        "zset": lambda: pool.zadd(key, {"x": 1}),
    }
    await pool.delete(key)
    await writes[kind]()
    await pool.expire(key, 60)


@pytest.fixture
async def pool(redis_settings: RedisSettings) -> AsyncIterator[ArqRedis]:
    """A pool that no worker closes."""
    pool = await create_pool(redis_settings)
    yield pool
    await pool.aclose()


@pytest.fixture
def open_gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def make(redis_settings: RedisSettings, open_gate: asyncio.Event) -> Callable[..., Worker]:
    """Makes workers whose jobs `gated` wait for the gate."""

    async def gated(ctx: Ctx) -> Any:
        await open_gate.wait()
        return ctx["job_try"]

    gated.__qualname__ = "gated"

    def make(**options: Any) -> Worker:
        defaults = {"poll_delay": 0.02, "allow_abort_jobs": True, "handle_signals": False}
        return Worker([quick, gated, for_ever], redis_settings=redis_settings, **defaults | options)

    return make


async def holds(pool: ArqRedis, worker: Worker, count: int) -> None:
    await wait_until_async(
        lambda: len(worker.job_tasks) == count and pool.hlen(f"arq:batches:{worker.worker_id}"),
        what="they run",
    )


# ---------------------------------------------------------------- keys of one job


@pytest.mark.parametrize(("name", "kind"), WRONG_OF_A_JOB)
async def test_a_key_of_a_job_before_it_is_enqueued(
    pool: ArqRedis, make: Callable[..., Worker], name: str, kind: str
) -> None:
    """In one batch with others. What is no lock and no counter is none; at `arq:result:` an id counts as used."""
    await spoil(pool, f"arq:{name}:v", kind)
    jobs = await asyncio.gather(*(pool.enqueue_job("quick", n, _job_id=n) for n in ("a", "v", "b", "c")))
    assert [job is None for job in jobs] == [False, name == "result", False, False]
    async with running(make()):
        for job in filter(None, jobs):
            assert await job.result(timeout=30) == job.job_id
    assert await pool.zcard(QUEUE) == 0


@pytest.mark.parametrize(("name", "kind"), [*WRONG_OF_A_JOB, *(("job", kind) for kind in KINDS[1:])])
async def test_a_key_of_a_job_while_it_runs(
    pool: ArqRedis, make: Callable[..., Worker], open_gate: asyncio.Event, name: str, kind: str
) -> None:
    jobs = [await enqueued(pool, "gated", _job_id=n) for n in ("a", "v", "b")]
    worker = make()
    async with running(worker):
        await holds(pool, worker, 3)
        await spoil(pool, f"arq:{name}:v", kind)
        inside.due(worker).keep_at_s = 0.0
        open_gate.set()
        assert [await job.result(timeout=30) for job in jobs] == [1, 1, 1]
    await nothing_held(pool, [f"arq:{name}:v"])


@pytest.mark.parametrize("why", list(Why))
@pytest.mark.parametrize(("name", "kind"), WRONG_OF_A_JOB)
async def test_a_key_of_a_job_that_is_given_back(pool: ArqRedis, name: str, kind: str, why: Why) -> None:
    for job_id in ("a", "v", "b"):
        await enqueued(pool, "quick", _job_id=job_id)
    await claim(pool, "w")
    await spoil(pool, f"arq:{name}:v", kind)
    released = await scripts.run(pool, scripts.release("w", why))
    assert set(released[0]) >= {b"a", b"b"}
    assert not await pool.exists("arq:batches:w", "arq:in-progress:a", "arq:in-progress:b")
    assert set(ids(await claim(pool, "next"))) == {"a", "v", "b"}


@pytest.mark.parametrize(("name", "kind"), WRONG_OF_A_JOB)
async def test_a_key_of_a_job_that_a_shutdown_interrupts(
    pool: ArqRedis, make: Callable[..., Worker], caplog: pytest.LogCaptureFixture, name: str, kind: str
) -> None:
    for job_id in ("a", "v", "b"):
        await enqueued(pool, "for_ever", _job_id=job_id)
    worker = make()
    async with running(worker):
        await holds(pool, worker, 3)
        await spoil(pool, f"arq:{name}:v", kind)
    assert "leaving without redis" not in caplog.text
    assert not await pool.exists(f"arq:batches:{worker.worker_id}", "arq:in-progress:a", "arq:in-progress:b")
    assert await pool.mget("arq:interrupted:a", "arq:interrupted:b") == [b"1", b"1"]
    assert set(ids(await claim(pool, "next"))) == {"a", "v", "b"}


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("name", ["retry", "interrupted"])
async def test_a_counter_that_is_no_number(
    pool: ArqRedis, make: Callable[..., Worker], name: str, text: str
) -> None:
    await pool.set(f"arq:{name}:v", text, ex=60)
    job = await enqueued(pool, "gated", _job_id="v")
    worker = make()
    async with running(worker):
        await holds(pool, worker, 1)
    assert await pool.mget("arq:retry:v", "arq:interrupted:v") == [b"1", b"1"]
    assert await job.status() is JobStatus.queued


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_a_payload_that_is_none(pool: ArqRedis, make: Callable[..., Worker], kind: str) -> None:
    """That job fails, and is over."""
    jobs = [await enqueued(pool, "quick", _job_id=n) for n in ("a", "v", "b")]
    await spoil(pool, "arq:job:v", kind)
    async with running(make()):
        assert await jobs[0].result(timeout=30) == await jobs[2].result(timeout=30) == "quick"
        with pytest.raises(Exception, match="expired"):
            await jobs[1].result(timeout=30)
    assert await pool.zcard(QUEUE) == 0
    await nothing_held(pool)


# ---------------------------------------------------------------- keys of a worker


@pytest.mark.parametrize(("name", "kind"), WRONG_OF_A_WORKER)
async def test_a_key_of_a_worker(
    pool: ArqRedis, make: Callable[..., Worker], open_gate: asyncio.Event, name: str, kind: str
) -> None:
    """Before it starts, while it is idle, while it has jobs, and while it leaves."""
    worker = make()
    key = name.format(worker=worker.worker_id)
    await spoil(pool, key, kind)
    first = await enqueued(pool, "quick", _job_id="first")
    async with running(worker):
        assert await first.result(timeout=30) == "quick"
        await idle(worker)
        await spoil(pool, key, kind)
        jobs = [await enqueued(pool, "gated", _job_id=n) for n in ("a", "b")]
        await wait_until_async(lambda: len(worker.job_tasks) == 2, what="they run")
        await spoil(pool, key, kind)
        inside.due(worker).keep_at_s = inside.due(worker).present_at_s = inside.due(worker).sweep_at_s = 0.0
        await enqueued(pool, "quick", _job_id="c")
        open_gate.set()
        assert [await job.result(timeout=30) for job in jobs] == [1, 1]
        await enqueued(pool, "for_ever", _job_id="d")
        await wait_until_async(lambda: "d" in worker.job_tasks, what="it runs")
        await spoil(pool, key, kind)
    assert await members(pool, QUEUE) == ["d"]
    assert not await pool.exists("arq:in-progress:d")
    assert await pool.exists("arq:result:c")


@pytest.mark.parametrize("text", NO_NUMBERS)
async def test_an_epoch_that_is_no_number(
    pool: ArqRedis, make: Callable[..., Worker], redis_client: redis.Redis, text: str
) -> None:
    """The worker takes jobs, and does not ask for them over and over."""
    worker = make(poll_delay=600)
    await pool.set(f"arq:epoch:{worker.worker_id}", text, ex=60)
    async with running(worker):
        await idle(worker)
        redis_client.config_resetstat()
        job = await enqueued(pool, "quick")
        assert await job.result(timeout=30) == "quick"
        await idle(worker)
        assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] < 10


@pytest.mark.parametrize("name", ["batches", "claims"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hash"])
async def test_claims_of_a_dead_worker(
    pool: ArqRedis, make: Callable[..., Worker], kind: str, name: str
) -> None:
    """Nobody dies of them, and the jobs of other dead workers are given back."""
    job = await enqueued(pool, "quick", _job_id="a")
    await claim(pool, "dead", lock_ms=600_000)
    await spoil(pool, f"arq:{name}:ghost", kind)
    await pool.zadd("arq:leases", {b"\xff\xfe": 2})
    await pool.zadd("arq:leases", {"ghost": 1, "dead": 3})
    async with running(make()):
        assert await job.result(timeout=30) == "quick"
    await nothing_held(pool, [f"arq:{name}:ghost"])


@pytest.mark.parametrize("note", ["", "x", "1 2 3", "nan x y nowhere", "1 2 3 arq:abort:string"])
async def test_notes_of_claims_that_nobody_can_read(pool: ArqRedis, note: str) -> None:
    """Whatever they say: the worker's jobs are free afterwards, its other jobs are where they were."""
    for job_id in ("a", "v"):
        await enqueued(pool, "quick", _job_id=job_id)
    await claim(pool, "w", job_ids=["a"])
    await hold_as_old(pool, "w", "v")
    await pool.set("arq:abort:string", "x", ex=60)
    await pool.hset("arq:claims:w", "v", note)
    await scripts.run(pool, scripts.extend(QUEUE, "w", 60_000, ["a", "v"]))
    held, _ = scripts.read_jobs(await scripts.run(pool, scripts.reclaim("w", 1)))
    assert "a" in [job.job_id for job in held]
    assert set((await membership.release(pool, "w")).job_ids) == {"a", "v"}
    assert not await pool.exists("arq:in-progress:a", "arq:in-progress:v", "arq:claims:w", "arq:batches:w")
    assert "a" in ids(await claim(pool, "next"))


@pytest.mark.parametrize(
    "note", ["", "x", "%", "\n\n\n\n", "nan\nnowhere\nv\nx", "1\narq:abort:string\nv\n2", "1\narq:queue\nv"]
)
async def test_notes_of_batches_that_nobody_can_read(pool: ArqRedis, note: str) -> None:
    """The same for the notes of today."""
    for job_id in ("a", "v"):
        await enqueued(pool, "quick", _job_id=job_id)
    await claim(pool, "w", job_ids=["a"])
    await claim(pool, "w", job_ids=["v"])
    await pool.set("arq:abort:string", "x", ex=60)
    latest = max(await pool.hkeys("arq:batches:w"))
    await pool.hset("arq:batches:w", latest, note)
    await scripts.run(pool, scripts.extend(QUEUE, "w", 60_000, ["a", "v"]))
    held, _ = scripts.read_jobs(await scripts.run(pool, scripts.reclaim("w", 1)))
    assert "a" in [job.job_id for job in held]
    assert "a" in (await membership.release(pool, "w")).job_ids
    assert not await pool.exists("arq:in-progress:a", "arq:batches:w")
    assert "a" in ids(await claim(pool, "next"))


@pytest.mark.parametrize("entry", ["", "x", "12 ", "12 w", "x w", "12 nobody"])
async def test_lapsed_claims_that_nobody_can_read(pool: ArqRedis, entry: str) -> None:
    await pool.zadd("arq:lapses", {entry: 1})
    await pool.hset("arq:batches:w", "12", "x")
    await pool.expire("arq:batches:w", 60)
    await enqueued(pool, "quick", _job_id="a")
    assert ids(await claim(pool, "next")) == ["a"]
    assert await pool.zscore("arq:lapses", entry) is None


async def test_members_of_the_register_that_are_not_text(pool: ArqRedis) -> None:
    await pool.zadd("arq:leases", {b"\xff": 1})
    assert (await membership.sweep(pool))["\\xff"].job_ids == []
    assert await membership.sweep(pool) == {}


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_a_health_key_of_another_type_is_no_health_line(
    pool: ArqRedis, redis_settings: RedisSettings, kind: str
) -> None:
    await spoil(pool, f"{QUEUE}:health-check", kind)
    assert await async_check_health(redis_settings) == 1


@pytest.mark.parametrize("text", [*NO_NUMBERS, None])
@pytest.mark.parametrize("name", ["cron", "ticks"])
async def test_the_ticks_of_a_schedule(
    pool: ArqRedis, make: Callable[..., Worker], name: str, text: str | None
) -> None:
    job = cron(quick, name="tick", second=None, microsecond=0, keep_result=60)
    key = f"arq:{name}:{QUEUE}:{job.schedule_id() if name == 'cron' else job.schedule_hash()}"
    await (spoil(pool, key, "list") if text is None else pool.set(key, text, ex=60))
    worker = make(cron_jobs=[job])
    async with running(worker):
        await wait_until_async(lambda: worker.jobs_complete, what="a run")


@pytest.mark.parametrize("score", [float("inf"), 9e18])
async def test_a_worker_that_would_look_at_a_queue_for_ever(
    pool: ArqRedis, make: Callable[..., Worker], score: float
) -> None:
    """It is nobody, and leaves the others their share."""
    await pool.zadd(f"arq:lookers:{QUEUE}", {"ghost": score})
    worker = make()
    async with running(worker):
        await idle(worker)
        assert await members(pool, f"arq:lookers:{QUEUE}") == [worker.worker_id]


# ---------------------------------------------------------------- the queue


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "zset"])
async def test_a_queue_of_another_type(
    pool: ArqRedis,
    make: Callable[..., Worker],
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    """Enqueueing fails and leaves nothing; a worker says so once, and works when the key is gone."""
    caplog.set_level(logging.INFO)
    await spoil(pool, QUEUE, kind)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await pool.enqueue_job("quick", _job_id="a")
    assert not await pool.exists("arq:job:a")
    worker = make()
    async with running(worker):
        await wait_until_async(lambda: f"queue '{QUEUE}': redis refuses" in caplog.text, what="it is said")
        await wait_until_async(
            lambda: inside.main_loop(worker).complaints.backoff.tries > 2, what="some tries"
        )
        assert caplog.text.count(f"queue '{QUEUE}': redis refuses") == 1
        assert await pool.exists(QUEUE)
        await pool.delete(QUEUE)
        job = await enqueued(pool, "quick")
        assert await job.result(timeout=30) == "quick"
        assert f"queue '{QUEUE}': redis refuses no more" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_queue_that_becomes_something_else_while_its_jobs_run(
    pool: ArqRedis, make: Callable[..., Worker], open_gate: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """What runs is finished, what is interrupted has no place to go back to, and the stop does not hang."""
    job = await enqueued(pool, "gated", _job_id="a")
    await enqueued(pool, "for_ever", _job_id="b")
    worker = make()
    async with running(worker):
        await holds(pool, worker, 2)
        await spoil(pool, QUEUE, "list")
        inside.due(worker).keep_at_s = 0.0
        await wait_until_async(lambda: "redis refuses" in caplog.text, what="it is noticed")
        open_gate.set()
        await wait_until_async(job.result_info, what="the result")
    assert "leaving without redis" not in caplog.text
    assert not await pool.exists("arq:in-progress:a", "arq:in-progress:b", f"arq:claims:{worker.worker_id}")
    assert await pool.lrange(QUEUE, 0, -1) == [b"x"]


async def test_a_worker_in_burst_mode_does_not_wait_for_a_queue_to_become_one(
    pool: ArqRedis, make: Callable[..., Worker]
) -> None:
    await spoil(pool, QUEUE, "list")
    worker = make(burst=True)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await worker.main()
    await worker.close()


@pytest.mark.parametrize("score", ["inf", "-inf", "1e300"])
async def test_scores_that_are_no_times(pool: ArqRedis, make: Callable[..., Worker], score: str) -> None:
    await enqueued(pool, "quick", _job_id="v")
    await pool.zadd(QUEUE, {"v": float(score)})
    worker = make()
    async with running(worker):
        job = await enqueued(pool, "quick")
        assert await job.result(timeout=30) == "quick"
        if score == "-inf":
            await wait_until_async(lambda: pool.exists("arq:result:v"), what="it is run")
    assert await members(pool, QUEUE) == ([] if score == "-inf" else ["v"])


# ---------------------------------------------------------------- ids that are not text


async def test_an_id_that_is_not_text_is_removed(
    pool: ArqRedis, make: Callable[..., Worker], caplog: pytest.LogCaptureFixture
) -> None:
    """With its payload and its lock, and with one line in the log; its neighbours run."""
    nameless = b"\xff\xfe"
    await pool.set(b"arq:job:" + nameless, b"x", ex=60)
    await pool.zadd(QUEUE, {nameless: 1})
    jobs = [await enqueued(pool, "quick") for _ in range(3)]
    assert len(await pool.queued_jobs()) == 3
    async with running(make()):
        for job in jobs:
            assert await job.result(timeout=30) == "quick"
        await wait_until_async(lambda: _is_gone(pool, nameless), what="it is gone")
    assert caplog.text.count("is not UTF-8") == 1
    await nothing_held(pool)


async def _is_gone(pool: ArqRedis, job_id: bytes) -> bool:
    keys = [b"arq:" + name + job_id for name in (b"job:", b"in-progress:", b"retry:")]
    return await pool.zcard(QUEUE) == 0 and await pool.exists(*keys) == 0


async def test_an_id_that_is_not_text_and_comes_with_a_token(
    pool: ArqRedis, make: Callable[..., Worker]
) -> None:
    worker = make(poll_delay=600)
    async with running(worker):
        await idle(worker)
        await pool.zadd(QUEUE, {b"\xff": 1})
        await pool.rpush(f"arq:wake:{QUEUE}", "1")
        await wait_until_async(lambda: _is_gone(pool, b"\xff"), what="it is gone")
        job = await enqueued(pool, "quick")
        assert await job.result(timeout=30) == "quick"
    await nothing_held(pool)


async def test_an_id_that_is_not_text_of_a_dead_worker(
    pool: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.zadd(QUEUE, {b"\xff": 1})
    await claim(pool, "dead")
    assert (await membership.release(pool, "dead")).job_ids == ["\\xff"]
    assert not caplog.records


@pytest.mark.keeps_keys
async def test_lists_with_ids_that_are_not_text(pool: ArqRedis, make: Callable[..., Worker]) -> None:
    job = await enqueued(pool, "quick", _job_id="a")
    async with running(make()):
        assert await job.result(timeout=30) == "quick"
    payload: Any = await pool.get("arq:result:a")
    await pool.set(b"arq:result:\xff", payload, ex=60)
    found = {result.job_id for result in await pool.all_job_results()}
    assert found == {"a", "\\xff"}


def test_a_reason_is_said_once_in_whatever_words(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for text in (
        "WRONGTYPE so it is",
        "WRONGTYPE so it is script: 12",
        "user_script:1: WRONGTYPE",
        "no code",
        "no code",
    ):
        complaints.failed("this", ResponseError(text))
    complaints.failed("that", ResponseError("WRONGTYPE so it is"))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["this", "this", "that"]
    complaints.went_well("this")
    complaints.failed("this", ResponseError("no code"))
    assert len(caplog.records) == 4


async def test_a_duty_that_fails_is_said_once(
    pool: ArqRedis,
    make: Callable[..., Worker],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is done again when it works; the jobs run meanwhile."""
    caplog.set_level(logging.INFO)
    tries = []

    class Faulty(Worker):
        async def record_health(self) -> None:
            tries.append(self)
            if len(tries) < 10:
                raise ResponseError("WRONGTYPE so it is")

    worker = Faulty([quick], redis_settings=make().redis_settings, poll_delay=0.01, handle_signals=False)
    async with running(worker):
        job = await enqueued(pool, "quick")
        assert await job.result(timeout=30) == "quick"
        await wait_until_async(lambda: len(tries) > 10, what="it goes on")
    assert caplog.text.count("health line: redis refuses, ") == 1
    assert caplog.text.count("health line: redis refuses no more") == 1
