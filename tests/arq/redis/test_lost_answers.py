"""The connection breaks at each step of a job's journey: nothing is lost, nothing runs twice."""

from __future__ import annotations

import asyncio
import collections
from typing import Any

import pytest

from arq._redis import script_loader
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import Job
from arq.worker import Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, ask_as_upstream, for_ever, keys, nothing_held, running
from tests.support.eventually import wait_until_async
from tests.support.flaky import Fault, FlakyProxy

pytestmark = pytest.mark.usefixtures("restless")
JOBS = 30


def marker(script: str) -> bytes:
    return script_loader.load(script).sha.encode()


class Runs(collections.Counter[str]):
    """Counts the runs of each job."""

    async def quick(self, ctx: dict[str, Any]) -> str:
        self[ctx["job_id"]] += 1
        await asyncio.sleep(0)
        return str(ctx["job_id"])

    async def twice(self, ctx: dict[str, Any]) -> int:
        self[ctx["job_id"]] += 1
        if ctx["job_try"] < 2:
            raise Retry
        return int(ctx["job_try"])

    def worker(self, settings: RedisSettings, **options: Any) -> Worker:
        functions = [func(self.quick, name="quick"), func(self.twice, name="twice")]
        chosen: dict[str, Any] = {
            "redis_settings": settings,
            "poll_delay": 0.05,
            "handle_signals": False,
        } | options
        return Worker(functions, **chosen)


@pytest.fixture
def runs() -> Runs:
    return Runs()


async def all_finished(pool: ArqRedis, count: int = JOBS) -> None:
    async def finished() -> bool:
        return len(await keys(pool, "arq:result:*")) == count and await pool.zcard(QUEUE) == 0

    await wait_until_async(finished, what=f"{count} results")


# ---------------------------------------------------------------- the worker's side


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("step", ["claim", "finish", "sweep", "lease"])
async def test_the_worker_rides_out(
    proxy: FlakyProxy,
    proxied: RedisSettings,
    arq_redis: ArqRedis,
    runs: Runs,
    impatient: None,
    step: str,
    fault: Fault,
) -> None:
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=str(number)) for number in range(JOBS)])
    worker = runs.worker(proxied, max_jobs=4)
    inside.due(worker).sweep_at_s = inside.due(worker).keep_at_s = 0.0
    if step in {
        "sweep",
        "lease",
    }:  # said once at the start, then seldom: let it be said again after the start
        worker.on_ready = lambda: rearm(worker, proxy, fault, step)
    else:
        worker.on_startup = at_startup(lambda: proxy.arm(fault, marker(step)))
    async with running(worker):
        await all_finished(arq_redis)
        await wait_until_async(lambda: proxy.struck == 1)
        if worker.tasks or inside.context(worker).jobs.claimed:
            await wait_until_async(lambda: not worker.tasks)
    assert runs == {str(number): 1 for number in range(JOBS)}
    assert worker.jobs_complete == JOBS
    await nothing_held(arq_redis)


def at_startup(action: Any) -> Any:
    async def on_startup(ctx: dict[Any, Any]) -> None:
        action()

    return on_startup


def rearm(worker: Worker, proxy: FlakyProxy, fault: Fault, step: str) -> None:
    proxy.arm(fault, marker(step))
    inside.due(worker).sweep_at_s = inside.due(worker).keep_at_s = 0.0


@pytest.mark.parametrize("fault", Fault)
async def test_a_retry_whose_writing_broke_uses_up_one_try(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, runs: Runs, impatient: None, fault: Fault
) -> None:
    """The same exchange writes `run it again` and claims it: when its answer is lost, both are repeated."""
    await arq_redis.enqueue_jobs([JobCall("twice", _job_id=str(number)) for number in range(3)])
    worker = runs.worker(proxied, max_tries=2)
    worker.on_startup = at_startup(lambda: proxy.arm(fault, marker("finish")))
    async with running(worker):
        await all_finished(arq_redis, 3)
    assert proxy.struck == 1
    assert runs == {"0": 2, "1": 2, "2": 2}
    assert [result.result for result in await arq_redis.all_job_results()] == [2, 2, 2]
    await nothing_held(arq_redis)


@pytest.mark.parametrize("fault", Fault)
async def test_an_abort_is_not_forgotten(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, impatient: None, fault: Fault
) -> None:
    async def for_ever(ctx: dict[Any, Any]) -> None:
        await asyncio.Event().wait()

    job = await arq_redis.enqueue_job("for_ever")
    assert job is not None
    worker = Worker(
        [func(for_ever, name="for_ever")],
        redis_settings=proxied,
        poll_delay=0.05,
        handle_signals=False,
        allow_abort_jobs=True,
    )
    async with running(worker):
        await wait_until_async(lambda: worker.job_tasks)
        abort = asyncio.create_task(job.abort(timeout=30))
        await wait_until_async(lambda: arq_redis.exists("arq:abort"))
        proxy.arm(fault, marker("aborted"))
        assert await abort


@pytest.mark.parametrize("fault", Fault)
async def test_an_abort_before_the_start_is_not_forgotten(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, runs: Runs, impatient: None, fault: Fault
) -> None:
    job = await arq_redis.enqueue_job("quick")
    assert job is not None
    await ask_as_upstream(arq_redis, job.job_id)
    worker = runs.worker(proxied, allow_abort_jobs=True)
    worker.on_startup = at_startup(lambda: proxy.arm(fault, marker("claim")))
    async with running(worker):
        with pytest.raises(asyncio.CancelledError):
            await job.result(timeout=30)
    assert proxy.struck == 1
    assert runs == {}


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("step", ["finish", "release"])
async def test_the_last_words_of_a_worker(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, impatient: None, step: str, fault: Fault
) -> None:
    """The connection breaks while the worker stops: the cancelled job is free for others all the same."""

    async def for_ever(ctx: dict[Any, Any]) -> None:
        await asyncio.Event().wait()

    await arq_redis.enqueue_job("for_ever", _job_id="a")
    worker = Worker(
        [func(for_ever, name="for_ever")], redis_settings=proxied, poll_delay=0.05, handle_signals=False
    )
    async with running(worker):
        await wait_until_async(lambda: worker.job_tasks)
        proxy.arm(fault, marker(step))
    assert proxy.struck == 1
    await nothing_held(arq_redis, [QUEUE, "arq:job:a", "arq:retry:a", "arq:interrupted:a"])
    assert await arq_redis.get("arq:interrupted:a") == b"1"


async def test_a_worker_that_is_held_up_while_it_stops_still_says_goodbye(
    proxy: FlakyProxy,
    proxied: RedisSettings,
    arq_redis: ArqRedis,
    runs: Runs,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All its time is over when the first try has failed: it may have been this machine that stood still."""
    for limit in ("_LAST_WRITES_S", "_LAST_WORDS_S"):
        monkeypatch.setattr(f"arq._worker.shutdown.{limit}", 0.0)
    worker = runs.worker(proxied)
    async with running(worker):
        await wait_until_async(lambda: arq_redis.zscore("arq:leases", worker.worker_id))
        proxy.arm(Fault.ANSWER_LOST, marker("release"))
    assert proxy.struck == 1
    await nothing_held(arq_redis)


async def test_connections_that_break_all_the_time(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, runs: Runs
) -> None:
    await arq_redis.enqueue_jobs([JobCall("twice", _job_id=str(number)) for number in range(200)])
    worker = runs.worker(proxied, max_jobs=10, max_tries=2)
    async with running(worker):
        for step in ["claim", "finish"] * 4:
            struck = proxy.struck
            if await arq_redis.zcard(QUEUE) == 0:
                break
            proxy.arm(Fault.ANSWER_LOST, marker(step))
            await wait_until_async(lambda struck=struck: proxy.struck > struck)  # type: ignore[misc]
        await all_finished(arq_redis, 200)
    assert proxy.struck >= 2
    assert set(runs.values()) == {2}
    await nothing_held(arq_redis)


async def test_a_redis_that_is_away_for_a_while(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs go on without Redis; what they returned is written when it is back."""
    go_on = asyncio.Event()
    caplog.set_level("INFO", "arq.worker")

    async def waits(ctx: dict[Any, Any]) -> str:
        await go_on.wait()
        return "done without redis"

    jobs = [await arq_redis.enqueue_job("waits") for _ in range(3)]
    worker = Worker(
        [func(waits, name="waits")], redis_settings=proxied, poll_delay=0.05, handle_signals=False
    )
    async with running(worker):
        await wait_until_async(lambda: len(worker.job_tasks) == 3)
        with proxy.refusing():
            go_on.set()
            await wait_until_async(lambda: "redis trouble" in caplog.text)
            await wait_until_async(lambda: worker.jobs_complete == 3)
            assert await keys(arq_redis, "arq:result:*") == set()
        for job in jobs:
            assert isinstance(job, Job)
            assert await job.result(timeout=30) == "done without redis"
        await wait_until_async(lambda: "redis is back" in caplog.text)
        assert await arq_redis.zscore("arq:leases", worker.worker_id) is not None


async def test_a_worker_without_a_free_place_does_not_take_redis_for_back(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """It has nothing to ask for a while, which is not an answer."""
    caplog.set_level("INFO", "arq.worker")
    await arq_redis.enqueue_job("for_ever")
    worker = Worker(
        [func(for_ever, name="for_ever")],
        redis_settings=proxied,
        max_jobs=1,
        poll_delay=0.05,
        handle_signals=False,
    )
    async with running(worker):
        await wait_until_async(lambda: worker.job_tasks)
        with proxy.refusing():
            await wait_until_async(
                lambda: caplog.text.count("redis trouble") > 4, what="it tries again and again"
            )
            assert "redis is back" not in caplog.text
        await wait_until_async(lambda: "redis is back" in caplog.text)


# ---------------------------------------------------------------- the producer's side

PRODUCER_FAULTS = [
    fault for fault in Fault if fault is not Fault.ANSWER_STALLED
]  # no timeout there by default


@pytest.mark.parametrize("fault", PRODUCER_FAULTS)
async def test_a_producer_enqueues_once(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis, fault: Fault
) -> None:
    pool = await create_pool(proxied)
    proxy.arm(fault, marker("enqueue"))
    jobs = await asyncio.gather(*(pool.enqueue_job("quick", number) for number in range(20)))
    assert proxy.struck == 1
    assert all(isinstance(job, Job) for job in jobs)
    assert await arq_redis.zcard(QUEUE) == 20
    await pool.aclose()


@pytest.mark.parametrize("fault", PRODUCER_FAULTS)
async def test_a_producer_hears_of_the_result(
    proxy: FlakyProxy,
    proxied: RedisSettings,
    arq_redis: ArqRedis,
    runs: Runs,
    redis_settings: RedisSettings,
    fault: Fault,
) -> None:
    pool = await create_pool(proxied)
    job = await pool.enqueue_job("quick", _job_id="a")
    assert job is not None
    proxy.arm(fault, b"arq:result:a")
    async with running(runs.worker(redis_settings)):
        assert await job.result(timeout=30) == "a"
    assert proxy.struck == 1
    await pool.aclose()
