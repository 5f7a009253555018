"""Jobs and results that one side of the queue can't read: what the other side learns, and who waits for whom."""

from __future__ import annotations

import pickle
import random
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from arq._endings import Again, Ending, Unbegun
from arq._keys import unreadable_key
from arq._redis import scripts
from arq._worker import unreadable_jobs
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import DeserializationError, Job, JobResult, JobStatus, Unreadable, serialize_job
from arq.utils import to_unix_ms
from arq.worker import FailedJobs, Worker, func
from tests.arq.redis.harness import QUEUE, armed, claim, ids, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

Ctx = dict[Any, Any]
MISSING = "module 'shop' is not there: not installed here?"


class KeywordError(Exception):
    """Needs an argument that pickle does not keep."""

    def __init__(self, message: str, *, request: str) -> None:
        super().__init__(message)
        self.request = request


class Touchy:
    """Is pickled once, by the producer, and never again."""

    def __init__(self) -> None:
        self.lock: Any = None

    def __setstate__(self, state: Any) -> None:
        self.lock = threading.Lock()


class Panic(BaseException):
    """Not even an Exception."""


class Panicking:
    """Panics when it is pickled."""

    def __reduce__(self) -> Any:
        raise Panic("object Series")


async def take(ctx: Ctx, *args: Any) -> int:
    return len(args)


async def give(ctx: Ctx) -> Any:
    return sys.modules["shop"].Money()


async def decline(ctx: Ctx) -> Any:
    raise sys.modules["shop"].Declined("no money")


async def keyword(ctx: Ctx) -> None:
    raise KeywordError("503 from upstream", request="GET /orders")


async def panic(ctx: Ctx, *args: Any) -> Any:
    return Panicking()


async def fail(ctx: Ctx, *args: Any) -> None:
    raise ValueError("boom")


@pytest.fixture
def shop() -> Iterator[types.ModuleType]:
    """A module that a side has while it is in `sys.modules`."""
    module = types.ModuleType("shop")
    exec("class Money: ...\nclass Declined(Exception): ...", vars(module))
    sys.modules["shop"] = module
    yield module
    sys.modules.pop("shop", None)


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


# ---------------------------------------------------------------- what a client can't read


async def test_one_entry_spoils_no_list(
    arq_redis: ArqRedis, worker: WorkerFactory, shop: types.ModuleType
) -> None:
    jobs = [await enqueued(arq_redis, name, _job_id=name) for name in ("take", "give", "decline", "keyword")]
    await worker([take, give, decline, keyword]).main()
    await arq_redis.set("arq:result:garbage", b"?", ex=60)
    await arq_redis.set(b"arq:result:\xff", b"?", ex=60)
    del sys.modules["shop"]
    results = {result.job_id: result for result in await arq_redis.all_job_results()}
    assert set(results) == {"take", "give", "decline", "keyword", "garbage", "\\xff"}
    assert [results[job.job_id].function for job in jobs] == ["take", "give", "decline", "keyword"]
    assert [results[job.job_id].success for job in jobs] == [True, True, False, False]
    assert all(results[job.job_id].start_time.year > 2000 for job in jobs)
    assert isinstance(results["give"].result, Unreadable)
    assert str(results["decline"].result) == "shop.Declined: no money"
    assert type(results["keyword"].result) is KeywordError
    assert (results["garbage"].function, results["garbage"].success) == ("<unknown>", False)
    for job in jobs:
        assert isinstance(await job.info(), JobResult)
        assert await job.status() == JobStatus.complete


async def test_the_result_that_can_not_be_read(
    arq_redis: ArqRedis, worker: WorkerFactory, shop: types.ModuleType
) -> None:
    given, declined = await enqueued(arq_redis, "give"), await enqueued(arq_redis, "decline")
    await worker([give, decline]).main()
    del sys.modules["shop"]
    with pytest.raises(DeserializationError) as caught:
        await given.result(timeout=30)
    assert str(caught.value).startswith("unable to deserialize job result: the job was successful")
    assert MISSING in str(caught.value)
    with pytest.raises(DeserializationError, match="shop.Declined: no money") as caught:
        await declined.result(timeout=30)
    assert caught.value.original_type == "shop.Declined"
    assert MISSING in caught.value.__notes__[-1]


async def test_queued_jobs_that_can_not_be_read(arq_redis: ArqRedis, shop: types.ModuleType) -> None:
    job = await enqueued(arq_redis, "take", 1, shop.Money(), _job_id="a", _defer_by=60)
    await enqueued(arq_redis, "take", 1, _job_id="b", _defer_by=120)
    await enqueued(arq_redis, "take", 1, _job_id="c", _defer_by=180)
    await arq_redis.set("arq:job:c", b"?", ex=60)
    del sys.modules["shop"]
    queued = await arq_redis.queued_jobs()
    assert [(one.job_id, one.function) for one in queued] == [
        ("a", "take"),
        ("b", "take"),
        ("c", "<unknown>"),
    ]
    assert queued[0].args[0] == 1
    assert MISSING in repr(queued[0].args[1])
    info = await job.info()
    assert info is not None
    assert (info.function, info.score, info.job_id) == ("take", queued[0].score, "a")


async def test_run_check_names_the_job_that_failed(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await enqueued(arq_redis, "keyword")
    await arq_redis.set("arq:result:garbage", b"?", ex=60)
    with pytest.raises(FailedJobs, match="503 from upstream"):
        await worker([keyword]).run_check()


async def test_a_plain_reader_reads_what_comes_back(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    job = await enqueued(arq_redis, "keyword")
    await worker([keyword]).main()
    payload: Any = await arq_redis.get(f"arq:result:{job.job_id}")
    back = pickle.loads(payload)["r"]
    assert (type(back), str(back), back.request) == (KeywordError, "503 from upstream", "GET /orders")


# ---------------------------------------------------------------- what a worker can't write


@pytest.mark.parametrize("function", [take, fail, panic])
async def test_arguments_that_can_not_be_written_again_cost_no_outcome(
    arq_redis: ArqRedis, worker: WorkerFactory, function: Any
) -> None:
    job = await enqueued(arq_redis, function.__name__, Touchy(), 2)
    await worker([function]).main()
    assert await job.status() == JobStatus.complete
    info = await job.result_info()
    assert info is not None
    assert (info.function, info.args, info.success) == (function.__name__, (), function is take)
    assert info.enqueue_time.year > 2000
    if function is take:
        assert await job.result(timeout=30) == 2
    else:
        with pytest.raises(Exception, match="boom" if function is fail else "unable to serialize result"):
            await job.result(timeout=30)


# ---------------------------------------------------------------- what a worker can't read


async def unreadable_job(pool: ArqRedis, shop: types.ModuleType, **options: Any) -> Job:
    job = await enqueued(pool, "take", 1, shop.Money(), _job_id="a", **options)
    del sys.modules["shop"]
    return job


async def test_a_job_that_can_not_be_read_keeps_its_name(
    arq_redis: ArqRedis, worker: WorkerFactory, shop: types.ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    job = await unreadable_job(arq_redis, shop)
    await worker([func(take, keep_result=77)]).main()
    info = await job.result_info()
    assert info is not None
    assert (info.function, info.success, info.job_try, info.job_id) == ("take", False, 1, "a")
    assert info.args == (1, "<unreadable: shop.Money()>")
    assert info.start_time >= info.enqueue_time
    assert info.enqueue_time.year > 2000
    assert 70 < await arq_redis.ttl("arq:result:a") <= 77
    with pytest.raises(DeserializationError) as caught:
        await job.result(timeout=30)
    assert str(caught.value) == f"unable to deserialize job: {MISSING}"
    assert "deserializing job a failed" in caplog.messages


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), Panic("read")])
async def test_arguments_that_end_the_program_when_they_are_read(
    arq_redis: ArqRedis, worker: WorkerFactory, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(self: Touchy, state: Any) -> None:
        raise raised

    monkeypatch.setattr(Touchy, "__setstate__", leave)
    job = await enqueued(arq_redis, "take", Touchy())
    other = await enqueued(arq_redis, "take", 1, 2)
    await worker([take]).main()
    assert await other.result(timeout=30) == 2
    info = await job.result_info()
    assert info is not None
    assert (info.function, info.success) == ("take", False)
    assert str(info.result).startswith(f"unable to deserialize job: {type(raised).__name__}")
    queued = await enqueued(arq_redis, "take", Touchy(), _defer_by=60)
    assert [one.job_id for one in await arq_redis.queued_jobs()] == [queued.job_id]


async def test_by_choice_it_waits_for_a_worker_that_can(
    arq_redis: ArqRedis,
    redis_settings: RedisSettings,
    redis_client: redis.Redis,
    shop: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(unreadable_jobs, "_SHORTEST_S", 0.02)
    monkeypatch.setattr(unreadable_jobs, "_HEAD_START_S", 0.05)
    job = await unreadable_job(arq_redis, shop)
    options: Any = {"redis_settings": redis_settings, "handle_signals": False, "poll_delay": 0.02}
    old = Worker([take], unreadable="retry", **options)
    async with running(old):
        await wait_until_async(lambda: old.jobs_retried >= 3)
        assert old.jobs_failed == 0
        assert await job.result_info() is None
    assert (
        f"job a:take can't be read here, it is left to other workers for 0s: unable to deserialize job: {MISSING}"
        in (caplog.messages)
    )
    assert redis_client.exists("arq:retry:a", "arq:in-progress:a") == 0
    assert redis_client.get("arq:interrupted:a") == b"0"
    sys.modules["shop"] = shop
    new = Worker([take], max_tries=1, **options)
    async with running(new):
        assert await job.result(timeout=30) == 2
    info = await job.result_info()
    assert info is not None
    assert info.job_try == 1


async def test_an_earlier_start_still_counts(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis, shop: types.ModuleType
) -> None:
    await unreadable_job(arq_redis, shop)
    redis_client.set("arq:retry:a", 3, ex=60)
    one = worker([take], unreadable="retry")
    await one.main()
    assert (one.jobs_retried, redis_client.get("arq:retry:a")) == (1, b"3")


async def test_a_burst_does_not_wait_for_others(
    arq_redis: ArqRedis, worker: WorkerFactory, shop: types.ModuleType
) -> None:
    job = await unreadable_job(arq_redis, shop)
    await enqueued(arq_redis, "take", 1, _job_id="b")
    one = worker([take], unreadable="retry")
    await one.main()
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (1, 0, 1)
    assert await job.status() in (JobStatus.deferred, JobStatus.queued)


async def test_it_does_not_wait_for_ever(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis, shop: types.ModuleType
) -> None:
    job = await unreadable_job(arq_redis, shop)
    (job_def,) = await arq_redis.queued_jobs()
    key = unreadable_key("a", to_unix_ms(job_def.enqueue_time))
    redis_client.set(key, 99, ex=6 * 3600 - 1)  # it is remembered for twelve hours
    await worker([take], unreadable="retry").main()
    with pytest.raises(DeserializationError, match=MISSING) as caught:
        await job.result(timeout=30)
    (note,) = caught.value.__notes__
    assert note.startswith("workers could not read it 100 times in 2160")


async def test_it_fails_before_it_expires(
    arq_redis: ArqRedis, worker: WorkerFactory, shop: types.ModuleType
) -> None:
    job = await unreadable_job(arq_redis, shop, _expires=1.9)
    await worker([take], unreadable="retry").main()
    with pytest.raises(DeserializationError, match=MISSING):
        await job.result(timeout=30)


async def test_what_nobody_can_run_does_not_wait(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.set(
        "arq:job:odd", pickle.dumps({"t": None, "f": "take", "a": 5, "k": {}, "et": 1}), ex=60
    )
    await arq_redis.zadd(QUEUE, {"odd": 1})
    one = worker([take], unreadable="retry")
    await one.main()
    assert (one.jobs_failed, one.jobs_retried) == (1, 0)


async def test_an_aborted_job_does_not_wait(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis, shop: types.ModuleType
) -> None:
    await unreadable_job(arq_redis, shop)
    redis_client.zadd("arq:abort", {"a": 1})
    one = worker([take], unreadable="retry", allow_abort_jobs=True)
    await one.main()
    assert (one.jobs_failed, one.jobs_retried) == (1, 0)


async def test_other_workers_that_override_the_end_of_a_job(
    arq_redis: ArqRedis, redis_settings: RedisSettings, shop: types.ModuleType
) -> None:
    class Own(Worker):
        ended = 0

        async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
            type(self).ended += 1
            await super().finish_failed_job(job_id, result_data)

    job = await unreadable_job(arq_redis, shop)
    options: Any = {"redis_settings": redis_settings, "burst": True, "handle_signals": False}
    choices: list[tuple[Any, int]] = [("retry", 0), ("fail", 1)]
    for unreadable, ended in choices:
        await arq_redis.zadd(QUEUE, {"a": 1}, xx=True)
        one = Own([take], unreadable=unreadable, **options)
        await one.main()
        await one.close()
        assert Own.ended == ended
    assert isinstance(await job.result_info(), JobResult)


@pytest.mark.parametrize("value", ["maybe", None, True, 1, "RETRY"])
def test_another_value_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(ValueError, match=f"^unreadable must be 'fail' or 'retry', not {value!r}$"):
        Worker([take], unreadable=value)


async def test_a_claim_that_waits_does_not_put_it_off(
    arq_redis: ArqRedis,
    redis_settings: RedisSettings,
    redis_client: redis.Redis,
    shop: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job comes by a look at the queue, while a claim waits for the token that goes with putting it back."""
    monkeypatch.setattr(unreadable_jobs, "_HEAD_START_S", 60.0)  # the machine may stand still
    payload = serialize_job("take", (shop.Money(),), {}, None, 1000)
    del sys.modules["shop"]
    options: Any = {"redis_settings": redis_settings, "handle_signals": False, "poll_delay": 0.05}
    one = Worker([take], unreadable="retry", **options)
    async with running(one):
        await armed(one)
        await arq_redis.set("arq:job:a", payload, ex=60)
        await arq_redis.zadd(QUEUE, {"a": 1000})
        await wait_until_async(lambda: one.jobs_retried)
        await armed(one)
        assert await (await enqueued(arq_redis, "take", 1)).result(timeout=30) == 1
        assert one.jobs_retried <= 2
        assert await arq_redis.zscore(QUEUE, "a") == 1000  # a worker that can read it takes it at once


async def test_workers_with_the_same_gap_try_once_in_a_while(
    arq_redis: ArqRedis,
    redis_settings: RedisSettings,
    redis_client: redis.Redis,
    shop: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each meets the job once, then they all leave it alone; whoever can read it has it at once."""
    monkeypatch.setattr(unreadable_jobs, "_HEAD_START_S", 60.0)  # the machine may stand still
    job = await unreadable_job(arq_redis, shop)
    options: Any = {"redis_settings": redis_settings, "handle_signals": False, "poll_delay": 0.02}
    old = [Worker([take, keyword], unreadable="retry", **options) for _ in range(3)]
    async with running(*old):
        await wait_until_async(lambda: sum(one.jobs_retried for one in old) >= 1)
        for _ in range(5):  # life goes on
            await (await enqueued(arq_redis, "take", 1)).result(timeout=30)
        assert sum(one.jobs_retried for one in old) <= 3
        sys.modules["shop"] = shop
        new = Worker([take], **options)
        async with running(new):
            assert await job.result(timeout=30) == 2


def test_pauses_grow_and_end() -> None:
    assert unreadable_jobs.pauses_s(1, 0, -1) == (0, 5)
    assert unreadable_jobs.pauses_s(2, 0.01, -1) == (0, 5)
    assert unreadable_jobs.pauses_s(3, 0.01, -1) == (1, 6)
    assert unreadable_jobs.pauses_s(3, 30, -1) == (15, 20)
    assert unreadable_jobs.pauses_s(9, 3600, -1) == (60, 65)
    assert unreadable_jobs.pauses_s(9, 6 * 3600, -1) is None
    assert unreadable_jobs.pauses_s(1, 0, 4) == (0, 2)
    assert unreadable_jobs.pauses_s(1, 0, 1.9) is None
    assert unreadable_jobs.pauses_s(3, 30, 31.9) is None


EVENTS = ("unread", "unread", "interrupted", "died", "unbegun", "again")


@pytest.mark.parametrize("seed", range(12))
async def test_counters_through_random_histories(
    arq_redis: ArqRedis, redis_client: redis.Redis, seed: int
) -> None:
    """Only starts count, whoever could not read the job in between, and however often."""
    dice = random.Random(seed)
    await enqueued(arq_redis, "take", 1, _job_id="a")
    starts = interrupted = 0
    for number in range(20):
        redis_client.zadd(QUEUE, {"a": 1}, xx=True)
        worker_id = f"worker-{number}"
        (job,) = (await claim(arq_redis, worker_id)).jobs
        assert (job.job_try, job.interrupted) == (starts + 1, interrupted)
        event = dice.choice(EVENTS)
        if event in ("interrupted", "died", "again"):
            starts += 1
        interrupted += event == "interrupted"
        if event == "died":
            await scripts.run(arq_redis, scripts.release(worker_id, scripts.Why.DIED))
            continue
        endings: dict[str, Ending] = {
            "unread": Unbegun("a", job.stamp, None if dice.random() < 0.5 else 100, "unread:x", 1000),
            "unbegun": Unbegun("a", job.stamp),
            "interrupted": Again("a", job.stamp, None, job.job_try, interrupted=True),
            "again": Again("a", job.stamp, None, job.job_try),
        }
        ending = endings[event]
        assert await scripts.run(arq_redis, scripts.finish(QUEUE, worker_id, [ending])) == []
        assert await scripts.run(arq_redis, scripts.finish(QUEUE, worker_id, [ending])) == [1]
        assert int(redis_client.get("arq:retry:a") or 0) == starts


async def test_a_job_is_left_alone_by_those_that_have_met_it(
    arq_redis: ArqRedis, redis_client: redis.Redis
) -> None:
    for job_id in ("a", "b"):
        await enqueued(arq_redis, "take", 1, _job_id=job_id)
    (first, second) = (await claim(arq_redis, "old")).jobs
    left = Unbegun(first.job_id, first.stamp, None, "unread:x", 60_000)
    await scripts.run(arq_redis, scripts.finish(QUEUE, "old", [left]))
    for cohorts in (" unread:x ", " pool unread:y unread:x "):
        answer = await claim(arq_redis, "older", cohorts=cohorts)
        assert answer.jobs == []
        assert 50_000 < answer.wait_ms <= 60_000
    assert redis_client.exists(f"arq:in-progress:{first.job_id}") == 0
    assert ids(await claim(arq_redis, "newer", cohorts=" pool unread:y ")) == [first.job_id]
    assert second.job_id == "b"
