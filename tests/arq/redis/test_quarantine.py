"""A worker and jobs that were in a process that died: it makes room for them, and neither it nor they wait for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from arq._redis import membership, scripts
from arq._redis.membership import Why
from arq._worker import crash_suspects
from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.jobs import Job
from arq.utils import timestamp_ms
from arq.worker import Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, Ctx, armed, claim, ids, running
from tests.support.eventually import wait_until_async


class Jobs:
    """`held` jobs run until `go` is set; what ran at the same time is noted."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.now: set[str] = set()
        self.beside: dict[str, set[str]] = {}

    async def held(self, ctx: Ctx) -> str:
        self._note(ctx["job_id"])
        await self.go.wait()
        self.now.discard(ctx["job_id"])
        return "held"

    async def quick(self, ctx: Ctx) -> str:
        self._note(ctx["job_id"])
        await asyncio.sleep(0)
        self.now.discard(ctx["job_id"])
        return "quick"

    def _note(self, job_id: str) -> None:
        self.now.add(job_id)
        for one in self.now:
            self.beside.setdefault(one, set()).update(self.now)

    def worker(self, settings: RedisSettings, **options: Any) -> Worker:
        chosen: dict[str, Any] = {
            "redis_settings": settings,
            "handle_signals": False,
            "poll_delay": 0.1,
            "max_jobs": 10,
        }
        functions = [func(self.held, name="held"), func(self.quick, name="quick")]
        return Worker(functions, **chosen | options)


@pytest.fixture
async def jobs() -> Jobs:
    return Jobs()


async def suspect(pool: ArqRedis, function: str, *job_ids: str, level: int = 1) -> None:
    """Enqueue jobs and let a process die that runs them; one after the other for a higher level."""
    await pool.enqueue_jobs([JobCall(function, _job_id=job_id) for job_id in job_ids])
    for _ in range(level):
        for job_id in job_ids:
            assert ids(await claim(pool, "dead", job_ids=[job_id])) == [job_id]
        await membership.release(pool, "dead", Why.DIED, "signal 9")
    for job_id in job_ids:
        await pool.expire(f"arq:crashes:{job_id}", 80_000)  # it came back a while ago


async def come_later(pool: ArqRedis, *job_ids: str) -> None:
    await pool.zadd(QUEUE, {job_id: timestamp_ms() + 3_600_000 for job_id in job_ids})


async def come_now(pool: ArqRedis, *job_ids: str) -> None:
    await pool.zadd(QUEUE, dict.fromkeys(job_ids, 1))
    await scripts.run(pool, scripts.pass_on(QUEUE))


@contextlib.asynccontextmanager
async def busy_with(job_id: str, one: Worker, pool: ArqRedis) -> AsyncIterator[None]:
    """Run a worker that has begun a `held` job when `s` comes, which wants to be alone."""
    await suspect(pool, "quick", "s", level=2)
    await come_later(pool, "s")
    async with running(one):
        await pool.enqueue_job("held", _job_id=job_id)
        await wait_until_async(lambda: one.job_tasks)
        await come_now(pool, "s")
        yield


async def awaits_suspect(one: Worker) -> None:
    await wait_until_async(lambda: inside.suspects(one).awaited == "s")


async def result(pool: ArqRedis, job_id: str) -> Any:
    return await Job(job_id, pool).result(timeout=30, poll_delay=0.02)


async def test_suspects_of_one_process_are_run_a_few_at_a_time(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    names = [f"s{n}" for n in range(10)]
    await suspect(arq_redis, "quick", *names)
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=f"p{n}") for n in range(20)])
    async with running(jobs.worker(redis_settings)):
        for job_id in [*names, *(f"p{n}" for n in range(20))]:
            assert await result(arq_redis, job_id) == "quick"
    assert max(len(jobs.beside[job_id] & set(names)) for job_id in names) <= 3
    assert not await arq_redis.keys("arq:crashes:*")


async def test_second_suspects_are_alone(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    names = ["s0", "s1", "s2"]
    await suspect(arq_redis, "quick", *names, level=2)
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=f"p{n}") for n in range(20)])
    async with running(jobs.worker(redis_settings, burst=True)):
        for job_id in [*names, "p0", "p19"]:
            assert await result(arq_redis, job_id) == "quick"
    assert [jobs.beside[job_id] for job_id in names] == [{job_id} for job_id in names]


async def test_a_busy_worker_makes_room_and_goes_on_as_ever(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = jobs.worker(redis_settings, poll_delay=60)
    async with busy_with("p0", one, arq_redis):
        await awaits_suspect(one)
        await arq_redis.enqueue_job("quick", _job_id="p1")
        assert inside.room(one) <= 0
        assert "taking no more jobs until there is room for s" in caplog.text
        jobs.go.set()
        assert await result(arq_redis, "s") == "quick"
        assert await result(arq_redis, "p1") == "quick"
        await armed(one)
    assert jobs.beside["s"] == {"s"}
    assert "job s is tried alone: a process died that ran it (signal 9)" in caplog.text
    assert not await arq_redis.keys("arq:quarantine:*")


async def test_a_suspect_does_not_wait_for_ever(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash_suspects, "MAKE_ROOM_S", 0.3)
    async with busy_with("long", jobs.worker(redis_settings), arq_redis):
        assert await result(arq_redis, "s") == "quick"
        jobs.go.set()
        assert await result(arq_redis, "long") == "held"
    assert jobs.beside["s"] == {"s", "long"}


async def test_a_long_suspect_does_not_hold_up_the_others(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash_suspects, "TRIAL_S", 0.3)
    await suspect(arq_redis, "held", "s", level=2)
    await arq_redis.enqueue_job("quick", _job_id="p")
    async with running(jobs.worker(redis_settings)):
        assert await result(arq_redis, "p") == "quick"
        assert jobs.now == {"s"}
        jobs.go.set()
        assert await result(arq_redis, "s") == "held"


async def test_long_suspects_take_turns_with_other_jobs(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRIAL_S", "MAKE_ROOM_S", "REST_S"):
        monkeypatch.setattr(crash_suspects, name, 0.3)
    names = ["s0", "s1", "s2"]
    await suspect(arq_redis, "held", *names, level=2)
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=f"p{n}") for n in range(30)])
    async with running(jobs.worker(redis_settings)):
        assert await result(arq_redis, "p29") == "quick"
        await wait_until_async(lambda: jobs.now == set(names))
        jobs.go.set()
        for job_id in names:
            assert await result(arq_redis, job_id) == "held"


async def test_an_idle_worker_takes_what_a_busy_one_waits_for(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    busy, idle = jobs.worker(redis_settings), jobs.worker(redis_settings)
    async with busy_with("p0", busy, arq_redis):
        await awaits_suspect(busy)
        async with running(idle):
            assert await result(arq_redis, "s") == "quick"
            await wait_until_async(lambda: not inside.suspects(busy).awaited)
        await arq_redis.enqueue_job("quick", _job_id="p1")
        assert await result(arq_redis, "p1") == "quick"
        jobs.go.set()


@pytest.mark.parametrize("stop", ["quiet", "stop"])
async def test_who_takes_no_jobs_makes_no_room(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, stop: str
) -> None:
    one = jobs.worker(redis_settings, job_completion_wait=30)
    async with busy_with("p0", one, arq_redis):
        await awaits_suspect(one)
        one.allow_pick_jobs = False
        await wait_until_async(lambda: not inside.suspects(one).awaited)
        jobs.go.set()
        assert await result(arq_redis, "p0") == "held"
        if stop == "quiet":
            one.allow_pick_jobs = True
            assert await result(arq_redis, "s") == "quick"


@pytest.mark.parametrize("options", [{"max_jobs": 1}, {"max_burst_jobs": 5, "burst": True}, {"burst": True}])
async def test_workers_of_other_kinds(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, options: dict[str, Any]
) -> None:
    await suspect(arq_redis, "quick", "s0", "s1", level=2)
    await suspect(arq_redis, "quick", "s2", "s3")
    await arq_redis.enqueue_job("quick", _job_id="p")
    async with running(jobs.worker(redis_settings, **options)):
        for job_id in ("s0", "s1", "s2", "s3", "p"):
            assert await result(arq_redis, job_id) == "quick"


async def test_start_jobs_by_hand_leaves_suspects_that_have_no_room(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    await arq_redis.enqueue_job("held", _job_id="p")
    await suspect(arq_redis, "quick", "s", level=2)
    one = jobs.worker(redis_settings)
    one._pool = arq_redis
    await one.start_jobs([b"p"])
    await one.start_jobs([b"s"])
    assert set(one.tasks) == {"p"}
    jobs.go.set()
    await asyncio.gather(*one.tasks.values())
    await wait_until_async(lambda: not inside.has_endings(one))
    await one.start_jobs([b"s"])
    assert set(one.tasks) == {"s"}
    await asyncio.gather(*one.tasks.values())
    await wait_until_async(lambda: not inside.has_endings(one))
    await inside.exchange(one).leave()
    await inside.exchange(one).close()


async def test_the_failure_says_how_often_and_of_what_the_process_died(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    await suspect(arq_redis, "quick", "s", level=3)
    async with running(jobs.worker(redis_settings, max_tries=3, burst=True)):
        with pytest.raises(Exception, match=r"max 3 retries exceeded: its process died 3 times \(signal 9\)"):
            await result(arq_redis, "s")
    assert "s:quick max retries 3 exceeded: its process died 3 times (signal 9)" in caplog.text


async def test_only_deaths_that_it_is_blamed_for_cost_a_job_its_only_try(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    await suspect(arq_redis, "quick", "s", "t", level=4)
    async with running(jobs.worker(redis_settings, max_tries=1)):
        assert await result(arq_redis, "s") == await result(arq_redis, "t") == "quick"
    info = await Job("s", arq_redis).result_info()
    assert info is not None
    assert info.job_try == 5
