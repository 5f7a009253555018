"""Subclasses that override the steps of a worker, and code that patches or calls them, as with arq 0.26 - 0.28."""

from __future__ import annotations

import asyncio
import os
from signal import Signals
from typing import Any
from unittest.mock import patch

import pytest
from redis.exceptions import WatchError

from arq import Retry, cron
from arq.connections import ArqRedis, RedisSettings
from arq.constants import in_progress_key_prefix
from arq.jobs import JobDef, JobResult, deserialize_result
from arq.utils import timestamp_ms
from arq.worker import Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import Ctx, broken, commands, enqueued, hold_as_upstream, nothing_held, quick
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async

BURST: dict[str, Any] = {"burst": True, "poll_delay": 0.01, "handle_signals": False}


HEALTH = ["arq:queue:health-check"]


async def shaky(ctx: Ctx) -> str:
    if ctx["job_try"] == 1:
        raise Retry(0.05)
    return "done"


class Noting(Worker):
    """Notes the arguments of each end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends: list[tuple[Any, ...]] = []

    async def finish_job(self, job_id: str, *args: Any) -> None:
        await super().finish_job(job_id, *args)
        self.ends.append((job_id, args, await self.pool.exists(f"arq:result:{job_id}")))

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        await super().finish_failed_job(job_id, result_data)
        assert result_data is not None
        self.ends.append((job_id, deserialize_result(result_data).result, None))


# ---------------------------------------------------------------- finish_job


async def test_finish_job_gets_arqs_arguments(arq_redis: ArqRedis) -> None:
    """And when the original method returns, the end is written."""
    one = Noting([func(quick, name="quick", keep_result=7), broken], redis_pool=arq_redis, **BURST)
    await enqueued(arq_redis, "quick", 5, _job_id="good")
    await enqueued(arq_redis, "broken", _job_id="bad")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    ends = {job_id: (args, written) for job_id, args, written in one.ends}
    (finish, data, timeout_s, forever, incr_score, hold), written = ends["good"]
    assert (finish, timeout_s, forever, incr_score, hold, written) == (True, 7, False, None, None, 1)
    assert deserialize_result(data).result == 5
    assert ends["bad"][0][2:] == (3600, False, None, None)
    assert 5 <= await arq_redis.ttl("arq:result:good") <= 7
    await nothing_held(arq_redis, HEALTH)


async def test_what_finish_job_changes_is_written(arq_redis: ArqRedis) -> None:
    class Forever(Worker):
        async def finish_job(self, job_id: str, finish: bool, result_data: bytes | None, *rest: Any) -> None:
            await super().finish_job(job_id, finish, result_data, 50, False, *rest[2:])

    one = Forever([quick], redis_pool=arq_redis, keep_result_forever=True, **BURST)
    await enqueued(arq_redis, "quick", _job_id="one")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert 40 <= await arq_redis.ttl("arq:result:one") <= 50


async def test_a_retry_says_by_how_much_the_score_moves(arq_redis: ArqRedis) -> None:
    one = Noting([shaky], redis_pool=arq_redis, **BURST)
    job = await enqueued(arq_redis, "shaky", _job_id="one")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    first, last = one.ends
    assert first[1][:2] == (False, None)
    assert first[1][4] >= 50
    assert last[1][0] is True
    assert await job.result(timeout=PATIENCE_S) == "done"
    assert (one.jobs_complete, one.jobs_retried) == (1, 1)


async def test_a_cron_job_says_how_long_its_id_is_taken(arq_redis: ArqRedis) -> None:
    one = Noting(cron_jobs=[cron(quick, name="tick", hour=3, keep_result=5)], redis_pool=arq_redis, **BURST)
    await enqueued(arq_redis, "tick", _job_id="tick:123")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert one.ends[0][1][5] == 60
    assert 0 < await arq_redis.pttl(in_progress_key_prefix + one.ends[0][0]) <= 60_000


async def test_finish_failed_job_for_what_could_not_start(arq_redis: ArqRedis) -> None:
    one = Noting([quick], redis_pool=arq_redis, **BURST)
    await enqueued(arq_redis, "missing", _job_id="unknown")
    await arq_redis.zadd("arq:queue", {"gone": 1})
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert {job_id: str(result) for job_id, result, _ in one.ends} == {
        "unknown": "function 'missing' not found",
        "gone": "job expired",
    }
    assert one.jobs_failed == 2
    await nothing_held(arq_redis, HEALTH)


async def test_after_job_end_comes_after_an_overridden_end(arq_redis: ArqRedis) -> None:
    order: list[str] = []

    class Last(Noting):
        async def finish_job(self, job_id: str, *args: Any) -> None:
            await super().finish_job(job_id, *args)
            order.append("finish_job")

    async def after(ctx: Ctx) -> None:
        order.append("after_job_end")

    one = Last([quick], redis_pool=arq_redis, after_job_end=after, **BURST)
    await enqueued(arq_redis, "quick")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert order == ["finish_job", "after_job_end"]


async def test_the_last_job_of_a_burst_has_its_hook(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """`after_job_end` waits for a write, and the worker for the job."""
    seen: list[str] = []

    async def after(ctx: Ctx) -> None:
        seen.append(ctx["job_id"])

    await enqueued(arq_redis, "quick", _job_id="one")
    await asyncio.wait_for(worker([quick], max_burst_jobs=1, after_job_end=after).main(), PATIENCE_S)
    assert seen == ["one"]


@pytest.mark.parametrize("calls_first", [False, True])
async def test_an_end_that_raises_is_told_and_loses_nothing(
    arq_redis: ArqRedis, caplog: pytest.LogCaptureFixture, calls_first: bool
) -> None:
    class Raising(Worker):
        async def finish_job(self, *args: Any) -> None:
            if calls_first:
                await super().finish_job(*args)
            raise ValueError("boom")

    one = Raising([quick], redis_pool=arq_redis, **BURST)
    job = await enqueued(arq_redis, "quick", 3, _job_id="one")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert "finish_job of job one failed" in caplog.text
    assert await job.result(timeout=PATIENCE_S) == 3
    await nothing_held(arq_redis, HEALTH)


async def test_an_end_that_writes_by_itself(arq_redis: ArqRedis) -> None:
    """As a copy of arq's method does."""

    class Own(Worker):
        async def finish_job(self, job_id: str, finish: bool, result_data: Any, *args: Any) -> None:
            async with self.pool.pipeline(transaction=True) as pipe:
                pipe.set(f"arq:result:{job_id}", result_data, px=5000)
                pipe.zrem(self.queue_name, job_id)
                pipe.delete(f"arq:job:{job_id}", f"arq:retry:{job_id}", f"arq:in-progress:{job_id}")
                await pipe.execute()

    one = Own([quick], redis_pool=arq_redis, **BURST)
    job = await enqueued(arq_redis, "quick", 4)
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert await job.result(timeout=PATIENCE_S) == 4
    await nothing_held(arq_redis, HEALTH)


@pytest.mark.parametrize("on_instance", [False, True])
async def test_patched_ends_are_called(arq_redis: ArqRedis, worker: WorkerFactory, on_instance: bool) -> None:
    """`patch.object` on the class, or on one worker, also while it runs."""
    one = worker([quick], burst=False, poll_delay=60)
    original, seen = Worker.finish_job, []

    async def patched(*args: Any) -> None:
        seen.append(args[-7])
        await (original(one, *args) if on_instance else original(*args))

    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: inside.is_in_main(one))
    with patch.object(one if on_instance else Worker, "finish_job", patched):
        job = await enqueued(arq_redis, "quick", _job_id="one")
        await job.result(timeout=PATIENCE_S, poll_delay=0.01)
    await one.close()
    await task
    assert seen == ["one"]


async def test_a_wrapper_that_claims_to_be_equal(
    arq_redis: ArqRedis, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wrapt's do, with which tracers wrap."""
    seen: list[str] = []

    class Wrapper:
        def __init__(self, method: Any) -> None:
            self._method = method

        def __eq__(self, other: object) -> bool:
            return other is self._method

        def __hash__(self) -> int:
            return hash(self._method)

        def __get__(self, instance: Any, owner: Any) -> Any:
            async def traced(job_id: str, *args: Any) -> None:
                seen.append(job_id)
                await self._method(instance, job_id, *args)

            return self if instance is None else traced

    monkeypatch.setattr(Worker, "finish_job", Wrapper(Worker.finish_job))
    await enqueued(arq_redis, "quick", _job_id="one")
    await asyncio.wait_for(worker([quick]).main(), PATIENCE_S)
    assert seen == ["one"]


async def test_a_job_that_is_cancelled_by_a_stop_ends_through_it(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    async def held(ctx: Ctx) -> None:
        await asyncio.Event().wait()

    one = Noting(
        [func(held, name="held")], redis_settings=redis_settings, poll_delay=60, handle_signals=False
    )
    await enqueued(arq_redis, "held", _job_id="kept")
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: bool(one.job_tasks))
    pool = one.pool
    await one.close()
    await task
    assert [(job_id, args[0]) for job_id, args, _ in one.ends] == [("kept", False)]
    assert await arq_redis.zscore("arq:queue", "kept") is not None
    assert pool is not None
    await nothing_held(arq_redis, ["arq:queue", "arq:job:kept", "arq:retry:kept", "arq:interrupted:kept"])


async def test_finish_job_called_for_a_job_that_is_not_here(
    worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    await worker([quick]).finish_job("other", True, None, 1, False, None, None)
    assert "job other is not run by this worker (any more), its ending is not written" in caplog.text


async def test_a_run_job_of_its_own(arq_redis: ArqRedis) -> None:
    """It calls `finish_job` with arq's arguments, and nothing else of ours."""

    class Own(Worker):
        async def run_job(self, job_id: str, score: int) -> None:
            self.jobs_complete += 1
            await self.finish_job(job_id, True, None, None, False, None, None)

    one = Own([quick], redis_pool=arq_redis, **BURST)
    await enqueued(arq_redis, "quick")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert one.jobs_complete == 1
    await nothing_held(arq_redis, HEALTH)


# ---------------------------------------------------------------- start_jobs and _poll_iteration


async def test_start_jobs_gets_what_is_due(arq_redis: ArqRedis) -> None:
    pages: list[list[bytes]] = []

    class Picking(Worker):
        async def start_jobs(self, job_ids: list[bytes]) -> None:
            pages.append(job_ids)
            await super().start_jobs(sorted(job_ids, reverse=True))

    one = Picking([quick], redis_pool=arq_redis, max_jobs=2, **BURST)
    for number in range(9):
        await enqueued(arq_redis, "quick", _job_id=f"job{number}")
    await enqueued(arq_redis, "quick", _job_id="later", _defer_by=0.2)
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert pages[0] == [f"job{number}".encode() for number in range(9)]
    assert pages[-1] == [b"later"]
    assert one.jobs_complete == 10


async def test_start_jobs_that_leaves_some(arq_redis: ArqRedis) -> None:
    """A limit of its own: the others wait, and the loop does not spin over them."""
    calls = []

    class Limited(Worker):
        async def start_jobs(self, job_ids: list[bytes]) -> None:
            calls.append(len(job_ids))
            await super().start_jobs([job_id for job_id in job_ids if job_id != b"never"])

    one = Limited([quick], redis_pool=arq_redis, poll_delay=0.2, handle_signals=False)
    await enqueued(arq_redis, "quick", _job_id="never")
    job = await enqueued(arq_redis, "quick", _job_id="now")
    task = asyncio.create_task(one.main())
    await job.result(timeout=PATIENCE_S, poll_delay=0.01)
    before = len(calls)
    await wait_until_async(lambda: len(calls) >= before + 3)
    asked = one.jobs_complete
    await one.close()
    await task
    assert asked == 1
    assert len(calls) < 50


async def test_an_idle_worker_with_its_own_start_jobs_is_woken(arq_redis: ArqRedis) -> None:
    started = []

    class Picking(Worker):
        async def start_jobs(self, job_ids: list[bytes]) -> None:
            started.extend(job_ids)
            await super().start_jobs(job_ids)

    one = Picking([quick], redis_pool=arq_redis, poll_delay=60, handle_signals=False)
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: inside.listens(one))
    job = await enqueued(arq_redis, "quick", _job_id="one")
    await job.result(timeout=PATIENCE_S, poll_delay=0.01)
    await one.close()
    await task
    assert started == [b"one"]


async def test_held_jobs_at_the_head_do_not_hide_free_ones(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """`start_jobs` goes on to the next id, as arq's does."""
    for number in range(4):
        await enqueued(arq_redis, "quick", _job_id=f"job{number}")
    await hold_as_upstream(arq_redis, "job0", "job1", "job2")
    one = worker([quick], max_jobs=2)
    await one.start_jobs([b"job0", b"job1", b"job2", b"job3"])
    await asyncio.gather(*one.tasks.values())
    assert one.jobs_complete == 1


class OwnPick(Worker):
    """A `_poll_iteration` as arq has it."""

    async def _poll_iteration(self) -> None:
        count = self.queue_read_limit
        if self.burst and self.max_burst_jobs >= 0:
            count = min(self.max_burst_jobs - self._jobs_started(), count)
        if self.allow_pick_jobs and self.job_counter < self.max_jobs:
            due: list[Any] = await self.pool.zrangebyscore(
                self.queue_name, "-inf", timestamp_ms(), start=self._queue_read_offset, num=count
            )
            await self.start_jobs(due)
        if self.allow_abort_jobs:
            await self._cancel_aborted_jobs()
        for job_id, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[job_id]
                task.result()
        await self.heart_beat()


class OwnStart(OwnPick):
    """And a `start_jobs` as arq has it: its own locks, its own tasks, its own counting."""

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        for job_id_b in job_ids:
            await self.sem.acquire()
            if self.job_counter >= self.max_jobs:
                self.sem.release()
                return
            self.job_counter = self.job_counter + 1
            job_id = job_id_b.decode()
            lock = in_progress_key_prefix + job_id
            async with self.pool.pipeline(transaction=True) as pipe:
                await pipe.watch(lock)
                taken = await pipe.exists(lock)
                score = await pipe.zscore(self.queue_name, job_id)
                if not taken and score and score <= timestamp_ms():
                    pipe.multi()  # type: ignore[no-untyped-call]
                    pipe.psetex(lock, 60_000, b"1")
                    try:
                        await pipe.execute()
                    except WatchError:
                        taken = 1
            if taken or not score or score > timestamp_ms():
                self.job_counter = self.job_counter - 1
                self.sem.release()
                continue
            task = self.loop.create_task(self.run_job(job_id, int(score)))
            task.add_done_callback(lambda _: self._release_sem_dec_counter_on_complete())
            self.tasks[job_id] = task


@pytest.mark.parametrize("kind", [OwnPick, OwnStart])
@pytest.mark.parametrize("most", [-1, 7])
async def test_arqs_own_steps_copied_into_a_subclass(
    arq_redis: ArqRedis, kind: type[Worker], most: int
) -> None:
    """Each job runs once, never more than `max_jobs` at a time, and the burst ends."""
    running, peak, runs = 0, 0, []

    async def job(ctx: Ctx) -> str:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.002)
        running -= 1
        runs.append(ctx["job_id"])
        return "done"

    jobs = [await enqueued(arq_redis, "job", _job_id=f"job{number}") for number in range(7)]
    one = kind([func(job, name="job")], redis_pool=arq_redis, max_jobs=3, max_burst_jobs=most, **BURST)
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert sorted(runs) == [job.job_id for job in jobs]
    assert peak <= 3
    assert [await job.result(timeout=PATIENCE_S) for job in jobs] == ["done"] * 7
    assert (one.jobs_complete, one.job_counter) == (7, 0)
    await one.close()
    await nothing_held(arq_redis, HEALTH)


async def test_its_own_steps_do_not_spin(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    rounds = 0

    class Counting(OwnPick):
        async def _poll_iteration(self) -> None:
            nonlocal rounds
            rounds += 1
            await super()._poll_iteration()

    one = Counting([quick], redis_settings=redis_settings, poll_delay=0.2, handle_signals=False)
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: rounds >= 3)
    one.poll_delay_s = 60
    await wait_until_async(lambda: inside.listens(one) and inside.listener(one)._task is not None)
    assert rounds < 20
    job = await enqueued(arq_redis, "quick")
    await job.result(timeout=PATIENCE_S, poll_delay=0.01)
    await one.close()
    await task


async def test_a_poll_iteration_that_adds_to_ours(arq_redis: ArqRedis) -> None:
    class Adding(Worker):
        rounds = 0

        async def _poll_iteration(self) -> None:
            self.rounds += 1
            await super()._poll_iteration()

    one = Adding([quick], redis_pool=arq_redis, **BURST)
    for _ in range(20):
        await enqueued(arq_redis, "quick")
    await asyncio.wait_for(one.main(), PATIENCE_S)
    assert one.jobs_complete == 20
    assert one.rounds >= 2


async def test_the_semaphore_takes_places_away(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    one = worker([quick], max_jobs=2, burst=False, poll_delay=60)
    for _ in range(3):
        await one.sem.acquire()
    await enqueued(arq_redis, "quick")
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: inside.is_in_main(one))
    assert inside.room(one) == 0
    for _ in range(3):
        one.sem.release()
    one.allow_pick_jobs = True  # wakes the loop
    await wait_until_async(lambda: one.jobs_complete == 1)
    with pytest.raises(ValueError, match="released too many"):
        one.sem.release()
    await one.close()
    await task


async def test_an_overridden_signal_handler_is_asked(redis_settings: RedisSettings) -> None:
    asked: list[str] = []

    class Quiet(Worker):
        def _add_signal_handler(self, signum: Signals, handler: Any) -> None:
            asked.append(signum.name)

    one = Quiet([quick], redis_settings=redis_settings, burst=True)
    await one.main()
    await one.close()
    assert asked == ["SIGINT", "SIGTERM"]


async def test_job_completion_wait_by_its_old_name(worker: WorkerFactory) -> None:
    one = worker([quick], job_completion_wait=3)
    one._job_completion_wait += 1
    assert one.job_completion_wait == 4
    await asyncio.wait_for(one._sleep_until_tasks_complete(), PATIENCE_S)


@pytest.mark.parametrize(
    "name",
    ["_poll_iteration", "heart_beat", "record_health", "run_cron", "run_job", "main", "_cancel_aborted_jobs"],
)
@pytest.mark.parametrize("where", ["class", "object"])
async def test_each_method_is_looked_up_on_the_worker(
    arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    """Instrumentation and tests replace it, in the class or in one worker, also after that was made."""
    calls: list[Any] = []
    one = Worker([quick], redis_pool=arq_redis, allow_abort_jobs=True, **BURST)
    original = getattr(Worker, name)

    async def replaced(self: Worker, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return await original(self, *args, **kwargs)

    if where == "class":
        monkeypatch.setattr(Worker, name, replaced)
    else:
        monkeypatch.setattr(one, name, replaced.__get__(one))
    await enqueued(arq_redis, "quick", _job_id="one")
    await asyncio.wait_for(one.async_run(), PATIENCE_S)
    await one.close()
    assert calls
    assert one.jobs_complete == 1


@pytest.mark.parametrize("name", ["handle_sig", "handle_sig_wait_for_completion"])
async def test_a_signal_goes_by_way_of_the_worker(
    arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls: list[Signals] = []
    wait_s = 60 if name == "handle_sig_wait_for_completion" else 0
    one = Worker([quick], redis_pool=arq_redis, job_completion_wait=wait_s)
    main = asyncio.create_task(one.main())
    await wait_until_async(lambda: inside.is_in_main(one))
    monkeypatch.setattr(one, name, calls.append)
    os.kill(os.getpid(), Signals.SIGTERM)
    await wait_until_async(lambda: calls)
    monkeypatch.undo()
    await one.close()
    await main
    assert calls == [Signals.SIGTERM]


# ---------------------------------------------------------------- the client


async def test_overridden_readers_of_the_client_are_used(redis_settings: RedisSettings) -> None:
    seen: list[Any] = []

    class Reading(ArqRedis):
        async def _get_job_def(self, job_id: bytes, score: int) -> JobDef:
            seen.append((job_id, type(score)))
            return await super()._get_job_def(job_id, score)

        async def _get_job_result(self, key: bytes) -> JobResult:
            seen.append(key)
            return await super()._get_job_result(key)

    async with Reading(host=redis_settings.host, port=redis_settings.port) as pool:
        await enqueued(pool, "quick", 1, _job_id="one")
        (queued,) = await pool.queued_jobs()
        assert (queued.job_id, queued.args) == ("one", (1,))
        assert queued.score is not None
        with pytest.raises(RuntimeError, match='job "arq:job:none" not found'):
            await pool._get_job_def(b"none", 1)
        await Worker([quick], redis_pool=ArqRedis(pool.connection_pool), **BURST).main()
        assert [result.result for result in await pool.all_job_results()] == [1]
        assert seen == [(b"one", int), (b"none", int), b"arq:result:one"]


async def test_a_plain_worker_pays_nothing(
    redis_client: Any, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """No look at the queue of its own, no write for each job."""
    for _ in range(50):
        await enqueued(arq_redis, "quick")
    with commands(redis_client) as used:
        await worker([quick], max_jobs=100).main()
    assert "zrangebyscore" not in used or used["zrangebyscore"] <= 6
    assert used["evalsha"] + used.get("eval", 0) < 15
