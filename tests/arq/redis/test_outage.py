"""Redis stops, dies, refuses; workers die. Each test has a server of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from arq._redis import membership
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import Job
from arq.worker import Worker, func
from tests.arq.redis.harness import QUEUE, claim, keys, nothing_held, quiet, running
from tests.support.eventually import wait_until_async
from tests.support.servers import RedisServer

pytestmark = pytest.mark.usefixtures("restless")
Ctx = dict[Any, Any]


@pytest.fixture
async def pool(own_settings: RedisSettings) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(own_settings)
    yield pool
    await pool.aclose()


class Gated:
    """Jobs that wait until they may go on."""

    def __init__(self, settings: RedisSettings, **options: Any) -> None:
        self.gate = asyncio.Event()
        self.runs: list[str] = []
        chosen: dict[str, Any] = {
            "redis_settings": settings,
            "poll_delay": 0.05,
            "handle_signals": False,
        } | options
        self.worker = Worker([func(self.waits, name="waits"), func(self.quick, name="quick")], **chosen)

    async def waits(self, ctx: Ctx) -> str:
        self.runs.append(ctx["job_id"])
        await self.gate.wait()
        return "done"

    async def quick(self, ctx: Ctx) -> None:
        self.runs.append(ctx["job_id"])


async def tried_in_vain(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until a worker has found twice that Redis does not do what it is asked for."""
    caplog.clear()
    await wait_until_async(lambda: caplog.text.count("redis trouble, next try") >= 2)


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_restart_under_running_jobs(
    own_server: RedisServer, own_settings: RedisSettings, pool: ArqRedis, way: str
) -> None:
    """The server keeps its data: no result is lost, no job runs twice, new jobs run afterwards."""
    gated = Gated(own_settings)
    jobs = [await pool.enqueue_job("waits") for _ in range(5)]
    async with running(gated.worker):
        await wait_until_async(lambda: len(gated.worker.job_tasks) == 5)
        getattr(own_server, way)()
        gated.gate.set()
        await wait_until_async(lambda: gated.worker.jobs_complete == 5)
        own_server.start()
        for job in jobs:
            assert isinstance(job, Job)
            assert await job.result(timeout=30) == "done"
        await pool.enqueue_job("quick", _job_id="after")
        await wait_until_async(lambda: "after" in gated.runs)
    assert len(gated.runs) == 6
    await nothing_held(pool)


async def test_a_restart_that_loses_everything(own_settings: RedisSettings, pool: ArqRedis) -> None:
    """Results of jobs that Redis has forgotten are dropped; the worker goes on, and is known again."""
    gated = Gated(own_settings)
    await pool.enqueue_job("waits")
    async with running(gated.worker):
        await wait_until_async(lambda: gated.worker.job_tasks)
        await pool.flushall()
        gated.gate.set()
        await wait_until_async(lambda: not gated.worker.tasks)
        job = await pool.enqueue_job("waits")
        assert isinstance(job, Job)
        assert await job.result(timeout=30) == "done"
        assert await pool.zscore("arq:leases", gated.worker.worker_id) is not None
    await nothing_held(pool)


async def test_a_server_that_is_stuck(
    own_server: RedisServer,
    own_settings: RedisSettings,
    pool: ArqRedis,
    impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gated = Gated(own_settings)
    await pool.enqueue_jobs([JobCall("waits", _job_id=str(number)) for number in range(3)])
    async with running(gated.worker):
        await wait_until_async(lambda: len(gated.worker.job_tasks) == 3)
        own_server.pause()
        try:
            gated.gate.set()
            await wait_until_async(lambda: gated.worker.jobs_complete == 3)
            await tried_in_vain(caplog)
        finally:
            own_server.resume()
        await wait_until_async(lambda: pool.exists("arq:result:0", "arq:result:1", "arq:result:2"))
    assert sorted(gated.runs) == ["0", "1", "2"]


async def test_a_server_that_refuses_to_write(
    own_settings: RedisSettings, pool: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    gated = Gated(own_settings)
    await pool.enqueue_jobs(["waits", "waits"])
    async with running(gated.worker):
        await wait_until_async(lambda: len(gated.worker.job_tasks) == 2)
        await quiet(gated.worker)
        await pool.enqueue_job("quick", _job_id="later")
        await pool.config_set("min-replicas-to-write", "1")
        gated.worker.allow_pick_jobs = True
        gated.gate.set()
        await wait_until_async(lambda: gated.worker.jobs_complete == 2)
        await tried_in_vain(caplog)
        assert await keys(pool, "arq:result:*") == set()
        await pool.config_set("min-replicas-to-write", "0")
        await wait_until_async(lambda: "later" in gated.runs)
    assert len(gated.runs) == 3
    assert len(await keys(pool, "arq:result:*")) == 3


async def test_a_server_that_became_a_replica(
    own_settings: RedisSettings, pool: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    gated = Gated(own_settings)
    await pool.enqueue_job("waits")
    async with running(gated.worker):
        await wait_until_async(lambda: gated.worker.job_tasks)
        await pool.config_set("replica-serve-stale-data", "yes")
        await pool.replicaof("127.0.0.1", "1")
        gated.gate.set()
        await wait_until_async(lambda: gated.worker.jobs_complete == 1)
        await tried_in_vain(caplog)
        await pool.replicaof("NO", "ONE")
        await wait_until_async(lambda: keys(pool, "arq:result:*"))
    assert len(gated.runs) == 1


async def test_forgotten_scripts(own_settings: RedisSettings, pool: ArqRedis) -> None:
    gated = Gated(own_settings)
    gated.gate.set()
    async with running(gated.worker):
        for _ in range(5):
            await pool.script_flush()
            job = await pool.enqueue_job("waits")
            assert isinstance(job, Job)
            await pool.script_flush()
            assert await job.result(timeout=30) == "done"
            assert await job.status() == "complete"


async def test_a_worker_stops_though_redis_is_gone(
    own_server: RedisServer,
    own_settings: RedisSettings,
    pool: ArqRedis,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arq._worker.shutdown._LAST_WRITES_S", 0.3)
    called = []

    async def on_shutdown(ctx: Ctx) -> None:
        called.append(True)

    gated = Gated(own_settings, on_shutdown=on_shutdown)
    await pool.enqueue_job("waits", _job_id="a")
    async with running(gated.worker):
        await wait_until_async(lambda: gated.worker.job_tasks)
        own_server.stop()
    assert called == [True]
    assert "leaving without redis" in caplog.text
    assert "['a']" in caplog.text
    own_server.start()
    assert (await membership.release(pool, gated.worker.worker_id)).job_ids == ["a"]
    assert [job.job_id for job in (await claim(pool, "next")).jobs] == ["a"]


async def test_a_dead_workers_jobs_are_swept_by_the_living(
    own_settings: RedisSettings, pool: ArqRedis
) -> None:
    gated = Gated(own_settings, poll_delay=30)
    await pool.enqueue_job("quick", _job_id="a")
    await claim(pool, "dead", lock_ms=600_000)
    await membership.register(pool, "dead", 1)
    async with running(gated.worker):
        await wait_until_async(lambda: "a" in gated.runs)
    assert await pool.zcard(QUEUE) == 0
