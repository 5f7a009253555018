"""Producer, worker, supervisor and health check by way of a sentinel; and what a fail-over costs.

Replication does not wait: what a master had acknowledged but not passed on when it died is gone. So these tests let
the replica have the queue before the master goes, and claim no more than: every such job is run, and a job whose claim
or end was not passed on is run again.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import RedisError

from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Worker
from tests.arq.redis.harness import CONNECT_S, quick, running
from tests.supervisor.harness import Pool, pool_in
from tests.support.eventually import wait_until, wait_until_async
from tests.support.sentinels import MASTER, Fleet, running_fleet
from tests.support.servers import HOST, free_port

pytestmark = pytest.mark.slow

SETTINGS = """
import os
from app import echo, slow
from arq.connections import RedisSettings

class Settings:
    functions = [echo, slow]
    redis_settings = RedisSettings(
        host=[("127.0.0.1", int(os.environ["SENTINEL_PORT"]))], sentinel=True, conn_retries=0, conn_timeout=20,
    )
    job_completion_wait = 3
    max_jobs = 5
"""


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with running_fleet() as one:
        yield one


@pytest.fixture
def settings(fleet: Fleet) -> RedisSettings:
    return RedisSettings(
        fleet.addresses, sentinel=True, sentinel_master=MASTER, conn_retries=0, conn_timeout=CONNECT_S
    )


@pytest.fixture
async def pool(settings: RedisSettings) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(settings)
    yield pool
    await pool.aclose()


async def work(ctx: dict[Any, Any]) -> str:
    ctx["runs"][ctx["job_id"]] += 1
    await asyncio.sleep(0.02)
    return "done"


class Counted:
    """A worker whose jobs note that they ran."""

    def __init__(self, settings: RedisSettings, **options: Any) -> None:
        self.runs: Counter[str] = Counter()
        chosen: dict[str, Any] = {"poll_delay": 0.1, "handle_signals": False} | options
        self.worker = Worker([work], redis_settings=settings, ctx={"runs": self.runs}, **chosen)


async def finished(pool: ArqRedis, job_ids: list[str]) -> int:
    """How many of them have a result; a master that is away has none to show."""
    try:
        states = [await Job(job_id, pool).status() for job_id in job_ids]
    except (RedisError, OSError):
        return 0
    return states.count(JobStatus.complete)


# --- finding the master ---------------------------------------------------------------------------------------


async def test_producer_and_worker_find_the_master(pool: ArqRedis, settings: RedisSettings) -> None:
    job = await pool.enqueue_job("quick", "found")
    assert job is not None
    async with running(Worker([quick], redis_settings=settings, handle_signals=False)):
        assert await job.result(timeout=30) == "found"


async def test_one_sentinel_that_answers_is_enough(fleet: Fleet) -> None:
    nobody = (HOST, free_port())
    pool = await create_pool(
        RedisSettings([nobody, *fleet.addresses], sentinel=True, conn_retries=0, conn_timeout=CONNECT_S)
    )
    assert await pool.ping()
    # redis-py would ask each for three seconds
    retries = [one.connection_pool.connection_kwargs["retry"]._retries for one in pool._sentinels]
    assert max(retries) <= 1
    await pool.aclose()


async def test_a_master_that_no_sentinel_knows(fleet: Fleet) -> None:
    with pytest.raises(MasterNotFoundError, match="nobodys"):
        await create_pool(
            RedisSettings(fleet.addresses, sentinel=True, sentinel_master="nobodys", conn_retries=0)
        )


# --- a fail-over under load -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["killed", "stopped", "planned"])
async def test_no_replicated_job_is_lost(
    fleet: Fleet, pool: ArqRedis, settings: RedisSettings, way: str
) -> None:
    """The master dies, or hangs and comes back as a replica, or is told to change places."""
    counted = Counted(settings, max_jobs=10)
    job_ids = [f"job-{number}" for number in range(300)]
    await pool.enqueue_jobs([JobCall("work", _job_id=job_id) for job_id in job_ids])
    fleet.wait_replicated()
    async with running(counted.worker):
        await wait_until_async(lambda: len(counted.runs) >= 60, what="work is under way")
        await asyncio.to_thread(fail_over, fleet, way)
        await wait_until_async(lambda: len(counted.runs) == 300, 120, "every job has run")
        await wait_until_async(lambda: all_finished(pool, job_ids), 120, "every job has a result")
    again = {job_id: runs for job_id, runs in counted.runs.items() if runs > 1}
    # what was claimed or had ended, and was not passed on: what the worker had in hand, and what it ended meanwhile
    assert len(again) < 100, again


async def test_a_worker_leaves_a_master_that_hangs(
    fleet: Fleet, pool: ArqRedis, settings: RedisSettings, impatient: None
) -> None:
    """Also while it writes its health line, and with versions of redis-py that wait for ever."""
    counted = Counted(settings, max_jobs=10, health_check_interval=0.01)
    job_ids = [f"job-{number}" for number in range(100)]
    await pool.enqueue_jobs([JobCall("work", _job_id=job_id) for job_id in job_ids])
    fleet.wait_replicated()
    async with running(counted.worker):
        await wait_until_async(lambda: len(counted.runs) >= 20, what="work is under way")
        fleet.first.pause()
        await asyncio.to_thread(fleet.take_over)
        await wait_until_async(lambda: len(counted.runs) == 100, what="every job has run")
        fresh = await create_pool(settings)  # one of its own: the other one hangs
        await wait_until_async(lambda: all_finished(fresh, job_ids), what="every job has a result")
        await fresh.aclose()


async def all_finished(pool: ArqRedis, job_ids: list[str]) -> bool:
    return await finished(pool, job_ids) == len(job_ids)


def fail_over(fleet: Fleet, way: str) -> None:
    """Make the replica the master."""
    match way:
        case "killed":
            fleet.first.kill()
            fleet.take_over()
        case "stopped":
            fleet.first.pause()
            fleet.take_over()
            fleet.first.resume()
        case "planned":
            fleet.plan_failover()
            fleet.wait_failed_over()


async def test_a_producer_leaves_a_master_that_hangs(fleet: Fleet, settings: RedisSettings) -> None:
    pool = await create_pool(settings)
    pool._lane._answer_s = 1.0  # 5 s would only take longer
    assert await pool.enqueue_job("work", _job_id="before")
    fleet.wait_replicated()
    fleet.first.pause()
    await asyncio.to_thread(fleet.take_over)
    assert await pool.enqueue_job("work", _job_id="after")
    with fleet.client(fleet.second) as client:
        assert client.zcard("arq:queue") == 2
    await pool.aclose()


async def test_a_producer_that_tries_again_enqueues_once(
    fleet: Fleet, pool: ArqRedis, settings: RedisSettings
) -> None:
    """`enqueue_job` looks for the new master for a while, then raises. With an id of one's own it is safe to repeat."""
    assert await pool.enqueue_job("work", _job_id="before")
    fleet.wait_replicated()
    fleet.first.kill()
    await asyncio.to_thread(fleet.take_over)
    await wait_until_async(lambda: enqueued(pool, "after"), 60, "the new master takes jobs")
    assert await pool.enqueue_job("work", _job_id="after") is None
    counted = Counted(settings)
    async with running(counted.worker):
        await wait_until_async(lambda: all_finished(pool, ["before", "after"]), what="both are done")
    assert counted.runs == {"before": 1, "after": 1}


async def enqueued(pool: ArqRedis, job_id: str) -> bool:
    """Try once."""
    try:
        await pool.enqueue_job("work", _job_id=job_id)
    except (RedisError, OSError):
        return False
    return True


@pytest.fixture
def supervised(tmp_path: Path, fleet: Fleet) -> Iterator[Pool]:
    """A pool that finds its Redis by the sentinel, not started yet."""
    (tmp_path / "watched.py").write_text(SETTINGS)
    with pool_in(tmp_path, fleet.first.port) as one:
        yield one


@pytest.mark.processes
async def test_a_pool_follows_the_master(fleet: Fleet, pool: ArqRedis, supervised: Pool) -> None:
    """No process ends; jobs, leases and health go on at the new master."""
    environ: dict[str, Any] = {"SENTINEL_PORT": str(fleet.port)}
    supervised.start("--procs", "2", "--name", "shop", settings="watched.Settings", **environ).ready()
    job_ids = [f"job-{number}" for number in range(60)]
    await pool.enqueue_jobs([JobCall("slow", 0.2, _job_id=job_id) for job_id in job_ids])
    fleet.wait_replicated()
    supervised.wait_started("job-5")
    await asyncio.to_thread(fail_over, fleet, "killed")
    await wait_until_async(lambda: all_finished(pool, job_ids), 120, "every job has a result")
    assert not supervised.events("child.exit")
    with fleet.client(fleet.second) as client:
        wait_until(lambda: client.zcard("arq:leases") == 2, 60, "leases are renewed")
        wait_until(lambda: client.exists("arq:queue:health-check"), 60, "health is written")
    wait_until(lambda: is_healthy(supervised, environ), 60, "healthy")
    assert supervised.stop() == 0


def is_healthy(pool: Pool, environ: dict[str, str]) -> bool:
    command = [
        sys.executable,
        "-m",
        "supervisor",
        "watched.Settings",
        "--check",
        "--name",
        "shop",
        "--control",
        "off",
    ]
    environ = pool.environ | environ
    outcome = subprocess.run(command, env=environ, cwd=pool.directory, capture_output=True, check=False)
    return outcome.returncode == 0
