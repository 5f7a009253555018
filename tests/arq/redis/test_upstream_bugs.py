"""The 21 known bugs of arq 0.28, each with a test that fails on the old behaviour (or says what is kept of it)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
import redis

from arq._redis import membership
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.cron import cron
from arq.jobs import Job, JobStatus
from arq.utils import timestamp_ms
from arq.worker import JobExecutionFailed, Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import (
    QUEUE,
    RoundTrips,
    claim,
    hold_as_upstream,
    ids,
    keys,
    members,
    old_enqueue,
    running,
)
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async
from tests.support.programs import Program
from tests.support.servers import HOST, RedisServer

Ctx = dict[Any, Any]


async def quick(ctx: Ctx) -> str:
    return "quick"


async def for_ever(ctx: Ctx) -> None:
    await asyncio.Event().wait()


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


# ---------------------------------------------------------------- B1, B2, B15: aborting


async def test_B01_requests_to_abort_do_not_stay(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """The set of requests was never cleaned; a request for a finished job killed the next one with its id."""
    job = await enqueued(arq_redis, "quick", _job_id="a")
    await worker([quick], keep_result=0).main()
    assert not await job.abort(timeout=30)
    assert await arq_redis.zcard("arq:abort") == 0

    await arq_redis.zadd("arq:abort", {"a": timestamp_ms(), "long gone": timestamp_ms() - 120_000})
    again = await enqueued(arq_redis, "quick", _job_id="a")
    patient = worker([quick], allow_abort_jobs=True)
    await patient.main()
    assert await again.result(timeout=30) == "quick"
    assert await arq_redis.zcard("arq:abort") == 0


class Interleaved(ArqRedis):
    """Does something else after so many commands of its own."""

    commands_left = -1

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        answer: Any = await super().execute_command(*args, **options)
        self.commands_left -= 1
        if self.commands_left == 0:
            await self.meanwhile()
        return answer

    async def meanwhile(self) -> None:
        """The job `a` ends."""
        async with self.pipeline(transaction=True) as pipe:
            pipe.zrem(QUEUE, "a")
            pipe.delete("arq:job:a")
            pipe.set("arq:result:a", b"", px=60_000)
            await pipe.execute()


@pytest.mark.parametrize("commands", range(5))
async def test_B02_aborting_a_deferred_job_does_not_bring_it_back(
    redis_settings: RedisSettings, arq_redis: ArqRedis, commands: int
) -> None:
    """Wherever in `abort` the job ends: it must not stand in the queue again."""
    pool = Interleaved(host=HOST, port=redis_settings.port)
    job = await enqueued(pool, "quick", _job_id="a", _defer_by=60)
    pool.commands_left = commands
    if commands == 0:
        await pool.meanwhile()
    with contextlib.suppress(Exception):  # the result is no result
        await job.abort(timeout=0.05)
    await wait_until_async(lambda: pool.commands_left != commands or commands == 0)
    ended = await arq_redis.exists("arq:result:a")
    assert await arq_redis.zcard(QUEUE) == (0 if ended else 1)
    await arq_redis.delete("arq:abort")
    await pool.close()


async def test_B15_a_job_that_ignores_its_abort_leaves_nothing(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def stubborn(ctx: Ctx) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "all the same"

    one = worker([func(stubborn, name="stubborn")], allow_abort_jobs=True)
    job = await enqueued(arq_redis, "stubborn")
    main = asyncio.create_task(one.main())
    await wait_until_async(lambda: one.job_tasks)
    assert not await job.abort(timeout=30)
    await main
    assert one.aborting_tasks == set()
    assert await job.result(timeout=30) == "all the same"
    assert await arq_redis.zcard("arq:abort") == 0


# ---------------------------------------------------------------- B3, B4: stopping under load

BUSY = """
import asyncio, os
from pathlib import Path
from arq.connections import RedisSettings

async def busy(ctx):
    await asyncio.sleep(0.04)  # 500 a second at most: the queue is not empty before the signal

async def on_shutdown(ctx):
    print("on_shutdown was called", flush=True)

class WorkerSettings:
    functions = [busy]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_DSN"])
    on_shutdown = on_shutdown
    max_jobs = 20
    poll_delay = 0.05
"""
Arq = Callable[..., Program]


async def held_by_nobody(pool: ArqRedis) -> set[str]:
    found = (
        await keys(pool, "arq:in-progress:*")
        | await keys(pool, "arq:batches:*")
        | await keys(pool, "*health-check")
    )
    return found | set(await members(pool, "arq:leases"))


async def busy_worker(arq: Arq, pool: ArqRedis, directory: Path, jobs: int = 2500) -> Program:
    (directory / "busy_settings.py").write_text(BUSY)
    await pool.enqueue_jobs(["busy"] * jobs)
    program = arq("busy_settings.WorkerSettings")

    async def has_begun() -> bool:
        return await pool.zcard(QUEUE) < jobs - 100

    await wait_until_async(has_begun)
    return program


@pytest.mark.processes
@pytest.mark.parametrize("run", range(2))
async def test_B03_sigterm_under_load_is_a_clean_end(
    arq: Arq, arq_redis: ArqRedis, tmp_path: Path, run: int
) -> None:
    """22 of 25 ended with status 1, without on_shutdown, and left jobs locked for 310 s."""
    program = await busy_worker(arq, arq_redis, tmp_path)
    assert await arq_redis.zcard(QUEUE) > 0
    assert program.stop() == 0, program.stderr
    assert program.lines == ["on_shutdown was called"]
    assert "Traceback" not in program.stderr
    assert await held_by_nobody(arq_redis) == set()


@pytest.mark.processes
async def test_B04_more_signals_change_nothing(arq: Arq, arq_redis: ArqRedis, tmp_path: Path) -> None:
    """A second SIGTERM a millisecond later broke the first, one 10 ms later killed the process."""
    program = await busy_worker(arq, arq_redis, tmp_path)

    def ended_by_now() -> bool:
        with contextlib.suppress(ProcessLookupError):
            program.process.send_signal(SIGTERM)
        return program.process.poll() is not None

    await wait_until_async(ended_by_now, what="the end, under a hail of signals")
    assert program.ended() == 0, program.stderr
    assert program.lines == ["on_shutdown was called"]
    assert await held_by_nobody(arq_redis) == set()


# ---------------------------------------------------------------- B5: hooks that raise


@pytest.mark.parametrize("hook", ["on_job_start", "on_job_end", "after_job_end"])
async def test_B05_a_hook_that_raises_does_not_end_the_worker(
    arq_redis: ArqRedis, worker: WorkerFactory, hook: str
) -> None:
    runs = []

    async def work(ctx: Ctx) -> str:
        runs.append(ctx["job_id"])
        return "worked"

    async def broken(ctx: Ctx) -> None:
        if ctx["job_id"] == "a":
            raise ValueError("the hook is broken")

    await arq_redis.enqueue_jobs([JobCall("work", _job_id="a"), JobCall("work", _job_id="b")])
    one = worker([func(work, name="work")], **{hook: broken})
    await one.main()
    results = {result.job_id: result for result in await arq_redis.all_job_results()}
    assert results["b"].result == "worked"
    assert results["a"].success == (hook == "after_job_end")
    if hook != "after_job_end":
        assert str(results["a"].result) == "the hook is broken"
    assert runs.count("a") == (0 if hook == "on_job_start" else 1)
    assert await keys(arq_redis, "arq:in-progress:*") == set()


# ---------------------------------------------------------------- B6, B7: results and orphans


@pytest.mark.keeps_keys("arq:result:*")
async def test_B06_keep_result_forever_and_a_job_that_never_starts(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    job = await enqueued(arq_redis, "unknown")
    one = worker([quick], keep_result_forever=True)
    await one.main()
    with pytest.raises(JobExecutionFailed, match="function 'unknown' not found"):
        await job.result(timeout=30)
    assert await arq_redis.pttl(f"arq:result:{job.job_id}") == -1


async def test_B07_a_time_long_past_leaves_no_orphan(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """The payload was refused because of its negative expiry, its queue entry was not."""
    job = await enqueued(arq_redis, "quick", _defer_until=datetime.now(UTC) - timedelta(days=3))
    assert await arq_redis.pttl(f"arq:job:{job.job_id}") > 0
    await worker([quick]).main()
    assert await job.result(timeout=30) == "quick"


# ---------------------------------------------------------------- B8, B18: looking at what others run


async def test_B08_running_jobs_do_not_hide_the_next_one(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """With 100 jobs running elsewhere a worker with the default read limit never saw the next."""
    for number in range(150):
        await old_enqueue(arq_redis, f"held{number}", score=1000 + number)
        await hold_as_upstream(arq_redis, f"held{number}")
    job = await enqueued(arq_redis, "quick")
    async with running(worker([quick], burst=False, poll_delay=0.05)):
        assert await job.result(timeout=30) == "quick"


async def test_B18_a_claim_is_one_round_trip_for_all(arq_redis: ArqRedis, redis_client: redis.Redis) -> None:
    """100 jobs took 400 round trips, one after the other, before anything else happened."""
    await arq_redis.enqueue_jobs(["quick"] * 100)
    await claim(arq_redis, "w", 1)
    trips = RoundTrips(redis_client)
    assert len((await claim(arq_redis, "w", 99)).jobs) == 99
    assert trips.so_far() <= 2  # and one to be announced


# ---------------------------------------------------------------- B9


async def test_B09_max_burst_jobs_are_counted_once(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """max_jobs=1 and max_burst_jobs=4 ran 3 of 6."""
    await arq_redis.enqueue_jobs(["quick"] * 6)
    one = worker([quick], max_jobs=1, max_burst_jobs=4)
    await one.main()
    assert one.jobs_complete == 4
    assert await arq_redis.zcard(QUEUE) == 2


# ---------------------------------------------------------------- B10: cron


async def test_B10_a_cron_job_with_an_id_can_be_enqueued_again_at_once(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """The lock that stayed for 60 s after each run held the next one back."""
    ticks = []

    async def tick(ctx: Ctx) -> None:
        ticks.append(ctx["job_id"])

    yearly: dict[str, Any] = {"name": "tick", "job_id": "own", "month": 1, "day": 1, "hour": 0, "minute": 0}
    runner = worker(cron_jobs=[cron(tick, **yearly)])
    planner = worker(cron_jobs=[cron(tick, name="tick", job_id="own", second=None)])
    for second in range(1, 4):
        await planner.run_cron(datetime(2020, 1, 1, 0, 0, second, tzinfo=UTC), 0.5)
        await runner.main()
    assert len(ticks) >= 2
    assert set(ticks) == {"own"}


async def test_B10_a_retry_in_a_cron_job_comes_when_it_says(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    tries = []

    async def tick(ctx: Ctx) -> None:
        tries.append(ctx["job_try"])
        if len(tries) == 1:
            raise Retry(0.05)

    one = worker(
        cron_jobs=[
            cron(tick, name="tick", run_at_startup=True, max_tries=3, month=1, day=1, hour=0, minute=0)
        ]
    )
    async with running(one):
        await wait_until_async(lambda: len(tries) == 2)
    assert tries == [1, 2]


# ---------------------------------------------------------------- B11, B16, B19: locks


async def test_B11_a_run_that_outlasts_its_lock_is_not_run_again_meanwhile(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """The lock was never renewed; the first run to end deleted the lock of the second."""
    started, go_on = [], asyncio.Event()

    async def slow(ctx: Ctx) -> None:
        started.append(ctx["job_id"])
        await go_on.wait()

    workers = [worker([func(slow, name="slow")], burst=False, poll_delay=0.02) for _ in range(2)]
    for one in workers:
        one.in_progress_timeout_s = 60.0
    job = await enqueued(arq_redis, "slow")
    lock = f"arq:in-progress:{job.job_id}"

    async def renewed() -> bool:
        return await arq_redis.pttl(lock) > 30_000

    async with running(*workers):
        await wait_until_async(lambda: started)
        (holder,) = (one for one in workers if one.job_tasks)
        for _ in range(6):  # a third of the lock passes, then it is kept
            assert inside.due(holder).keep_at_s - inside.clock_s(holder) <= 20.0
            await arq_redis.pexpire(lock, 20_000)
            inside.due(holder).keep_at_s = 0.0
            inside.wake_up(holder)
            await wait_until_async(renewed)
        go_on.set()
        await job.result(timeout=30)
    assert started == [job.job_id]


async def test_B11_no_timeout_is_allowed(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """job_timeout=None with two functions was a TypeError, with one a lock of 10 s."""
    one = worker([quick, for_ever], job_timeout=None)
    assert one.in_progress_timeout_s > 60
    await arq_redis.enqueue_job("quick")
    await one.main()
    assert one.jobs_complete == 1


async def test_B16_the_jobs_of_a_dead_worker_are_free_at_once(arq_redis: ArqRedis) -> None:
    """The lock named nobody: for 310 s nobody could tell."""
    await arq_redis.enqueue_job("quick", _job_id="a")
    await claim(arq_redis, "dead", lock_ms=310_000)
    assert await arq_redis.get("arq:in-progress:a") == b"dead"
    assert (await membership.release(arq_redis, "dead")).job_ids == ["a"]
    assert ids(await claim(arq_redis, "alive")) == ["a"]


def has_pool(worker: Worker) -> bool:
    return worker.pool is not None


async def test_B19_a_worker_cancelled_in_the_middle_of_a_claim_leaves_no_lock(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    for steps in range(0, 40, 3):
        await arq_redis.enqueue_jobs(["for_ever"] * 5)
        one = Worker([for_ever], redis_settings=redis_settings, handle_signals=False)
        main = asyncio.create_task(one.main())
        await wait_until_async(functools.partial(has_pool, one))
        for _ in range(steps):
            await asyncio.sleep(0)
        main.cancel()
        ended, _ = await asyncio.wait([main], timeout=30)
        await one.close()
        assert ended, f"still running after being cancelled at step {steps}"
        assert await held_by_nobody(arq_redis) == set()


# ---------------------------------------------------------------- B12, B13, B14, B20: producers


async def test_B12_a_job_whose_namesake_vanishes_meanwhile_is_enqueued(arq_redis: ArqRedis) -> None:
    """WATCH also fired when the key was deleted: nothing was queued and None returned."""
    for _ in range(20):
        await arq_redis.set("arq:job:a", b"", px=50_000)
        gone, job = await asyncio.gather(
            arq_redis.delete("arq:job:a"), arq_redis.enqueue_job("quick", _job_id="a")
        )
        queued = await arq_redis.zscore(QUEUE, "a") is not None
        assert gone
        assert queued == (job is not None)
        assert queued == bool(await arq_redis.exists("arq:job:a"))
        await arq_redis.delete("arq:job:a", QUEUE)


async def test_B13_kept_a_job_that_nobody_here_knows_is_failed(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """Kept: a worker can not know whether another one has the function, and a misspelt name must not wait for ever."""
    job = await enqueued(arq_redis, "misspelt")
    one = worker([quick])
    await one.main()
    assert one.jobs_failed == 1
    with pytest.raises(JobExecutionFailed, match="function 'misspelt' not found"):
        await job.result(timeout=30)


async def test_B14_what_is_said_of_a_job_is_of_one_moment(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Three reads, one after the other, could miss a job that finished between them."""
    jobs = [await enqueued(arq_redis, "quick") for _ in range(200)]
    stop = asyncio.Event()

    async def ask() -> int:
        asked = 0
        while not stop.is_set():
            infos = await asyncio.gather(*(job.info() for job in jobs))
            assert all(info is not None for info in infos)
            statuses = set(await asyncio.gather(*(job.status() for job in jobs)))
            assert JobStatus.not_found not in statuses
            await arq_redis.queued_jobs()
            await arq_redis.all_job_results()
            asked += 1
        return asked

    asking = asyncio.create_task(ask())
    one = worker([quick])
    await one.main()
    stop.set()
    assert await asking >= 1
    assert one.jobs_complete == 200


async def test_B20_results_are_read_without_KEYS_and_on_one_connection(
    arq_redis: ArqRedis, redis_client: redis.Redis, worker: WorkerFactory
) -> None:
    await arq_redis.enqueue_jobs(["quick"] * 300)
    one = worker([quick])
    await one.main()
    pool = one.pool
    redis_client.config_resetstat()
    before = redis_client.info("clients")["connected_clients"]
    assert len(await pool.all_job_results()) == 300
    stats = redis_client.info("commandstats")
    assert "cmdstat_keys" not in stats
    assert stats["cmdstat_scan"]["calls"] + stats["cmdstat_mget"]["calls"] < 20
    assert redis_client.info("clients")["connected_clients"] <= before + 1


# ---------------------------------------------------------------- B17, B21


async def test_B17_addresses_with_encoded_passwords_and_no_database(redis_server: RedisServer) -> None:
    settings = RedisSettings.from_dsn("redis://:p%40ss%2Fword@host/")
    assert (settings.password, settings.database) == ("p@ss/word", 0)
    pool = await create_pool(RedisSettings.from_dsn(f"redis://{HOST}:{redis_server.port}/"))
    assert await pool.ping()
    await pool.aclose()


async def test_B21_nothing_deprecated_is_called(redis_settings: RedisSettings) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool = await create_pool(redis_settings)
        await pool.enqueue_job("quick")
        one = Worker([quick], redis_settings=redis_settings, burst=True, handle_signals=False)
        await one.main()
        await one.close()
        await pool.close()
    assert os.getpid()
