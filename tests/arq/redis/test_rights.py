"""Users of Redis with just the rights that docs/how-to/redis-acl.md names, and with one right too few."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from arq import cron
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Worker, async_check_health, func
from tests.arq.redis.harness import CONNECT_S, enqueued, for_ever, quick, running
from tests.supervisor.harness import pool_in
from tests.support.eventually import wait_until, wait_until_async
from tests.support.servers import HOST, RedisServer

MANUAL = Path(__file__).parents[3] / "docs/how-to/redis-acl.md"
NAME, PASSWORD = "app", "secret"
Grant = Callable[..., RedisSettings]


def rules_of(heading: str) -> list[str]:
    """The first rules under a heading of the manual."""
    section = MANUAL.read_text().partition(f"## {heading}\n")[2]
    found = re.search(r"^\s*ACL SETUSER \S+ on >\S+ (.*)$", section, re.MULTILINE)
    assert found, heading
    return found[1].split()


WORKERS, PRODUCERS = rules_of("Workers"), rules_of("Producers")


@pytest.fixture
def grant(own_server: RedisServer) -> Grant:
    """Make a user that has these rights; settings that use it."""

    def grant(*rules: str) -> RedisSettings:
        with redis.Redis(HOST, own_server.port) as client:
            client.acl_deluser(NAME)
            client.execute_command("ACL", "SETUSER", NAME, "on", f">{PASSWORD}", *rules)
        return RedisSettings(
            HOST, own_server.port, username=NAME, password=PASSWORD, conn_retries=0, conn_timeout=CONNECT_S
        )

    return grant


@pytest.fixture
async def as_worker(grant: Grant) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(grant(*WORKERS))
    yield pool
    await pool.aclose()


def denied(server: RedisServer) -> list[str]:
    """What was refused to anybody."""
    with redis.Redis(HOST, server.port) as client:
        return [entry["object"] for entry in client.acl_log()]


async def test_everything_that_workers_and_producers_do(
    own_server: RedisServer, as_worker: ArqRedis, grant: Grant
) -> None:
    """Jobs, aborts, cron jobs, health and lists: nothing of it is refused."""
    ticks: list[str] = []

    async def tick(ctx: dict[Any, Any]) -> None:
        ticks.append(ctx["job_id"])

    functions: list[Any] = [quick, func(for_ever, name="for_ever")]
    settings = grant(*WORKERS)
    worker = Worker(
        functions,
        cron_jobs=[cron(tick, second=set(range(60)))],
        redis_settings=settings,
        allow_abort_jobs=True,
        poll_delay=0.05,
        handle_signals=False,
    )
    async with running(worker):
        done, never = await enqueued(as_worker, "quick"), await enqueued(as_worker, "for_ever")
        deferred = await enqueued(as_worker, "quick", _defer_by=3600)
        assert await done.result(timeout=30) == "quick"
        await wait_until_async(lambda: worker.job_tasks, what="it runs")
        assert await never.abort(timeout=30)
        assert await deferred.status() is JobStatus.deferred
        assert await as_worker.queued_jobs()
        assert await as_worker.all_job_results()
        await wait_until_async(lambda: ticks, what="the cron job runs")
        assert await async_check_health(settings) == 0
    assert denied(own_server) == []


async def test_another_queue_needs_its_own_names(own_server: RedisServer, grant: Grant) -> None:
    """They stand in the manual, too."""
    settings = grant(*WORKERS, *rules_of("Queues of other names"))
    pool = await create_pool(settings, default_queue_name="shop")
    worker = Worker([quick], redis_settings=settings, queue_name="shop", handle_signals=False)
    async with running(worker):
        assert await (await enqueued(pool, "quick")).result(timeout=30) == "quick"
    await pool.aclose()
    assert denied(own_server) == []
    pool = await create_pool(settings)
    with pytest.raises(NoPermissionError, match=r"arq needs: the keys .*other"):
        await pool.enqueue_job("quick", _queue_name="other")
    await pool.aclose()


async def test_what_a_producer_alone_needs(own_server: RedisServer, grant: Grant) -> None:
    pool = await create_pool(grant(*PRODUCERS))
    job = await enqueued(pool, "quick", _defer_by=3600)
    assert await job.status() is JobStatus.deferred
    assert await job.info()
    assert await job.result_info() is None
    assert await pool.queued_jobs()
    assert await pool.all_job_results() == []
    assert await job.abort(timeout=30)
    await pool.aclose()
    assert denied(own_server) == ["info"]  # asked once, for its version; nobody has to answer


async def test_a_worker_without_info(grant: Grant, caplog: pytest.LogCaptureFixture) -> None:
    """It is only for a line of the log, which is left out."""
    settings = grant("~arq:*", "+@all", "-@dangerous")
    caplog.set_level(logging.INFO)
    pool = await create_pool(settings)
    async with running(Worker([quick], redis_settings=settings, handle_signals=False)):
        assert await (await enqueued(pool, "quick")).result(timeout=30) == "quick"
    await pool.aclose()
    assert "Starting worker" in caplog.text
    assert "redis_version" not in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        (["-time"], r"\+time"),
        (["-@scripting"], r"\+evalsha"),
        (["-set"], r"\+set"),
        (["-ping"], r"\+ping"),
        (["resetkeys", "~other:*"], "the keys .*arq:queue"),
    ],
)
async def test_a_right_that_is_missing_is_named(
    own_server: RedisServer, grant: Grant, rules: list[str], missing: str
) -> None:
    """In one line."""
    settings = grant(*WORKERS, *rules)
    text = rf"^the user of Redis lacks rights that arq needs: {missing}.* \(it says: .*see docs/how-to/redis-acl.md$"
    with pytest.raises(NoPermissionError, match=text):
        await enqueue_one(settings)


@pytest.mark.parametrize("rules", [["-time"], ["-@scripting"], ["-ping"], ["resetkeys", "~other:*"]])
async def test_a_worker_that_can_do_nothing_ends(grant: Grant, rules: list[str]) -> None:
    settings = grant(*WORKERS, *rules)
    worker = Worker([quick], redis_settings=settings, handle_signals=False, burst=True)
    with pytest.raises(NoPermissionError, match="lacks rights that arq needs"):
        await worker.main()
    await worker.close()


async def enqueue_one(settings: RedisSettings) -> None:
    pool = await create_pool(settings)
    try:
        await pool.enqueue_job("quick")
    finally:
        await pool.aclose()


async def test_without_blocking_it_polls_and_says_so(grant: Grant, caplog: pytest.LogCaptureFixture) -> None:
    settings = grant(*WORKERS, "-@blocking")
    pool = await create_pool(settings)
    worker = Worker([quick], redis_settings=settings, poll_delay=0.05, handle_signals=False)
    async with running(worker):
        for _ in range(3):
            assert await (await enqueued(pool, "quick")).result(timeout=30) == "quick"
        await wait_until_async(lambda: "no wake-up tokens" in caplog.text, what="it is told")
    await pool.aclose()
    assert caplog.text.count("no wake-up tokens, new jobs wait for poll_delay: NoPermissionError") == 1


# --- arq-supervise ----------------------------------------------------------------------------------------------------

SETTINGS = """
import os
from app import echo
from arq.connections import RedisSettings

class Settings:
    functions = [echo]
    redis_settings = RedisSettings(
        port=int(os.environ["TEST_PORT"]), username="app", password="secret", conn_timeout=30
    )
"""


@pytest.mark.processes
async def test_a_pool_with_just_these_rights(
    own_server: RedisServer, as_worker: ArqRedis, tmp_path: Path
) -> None:
    (tmp_path / "allowed.py").write_text(SETTINGS)
    with pool_in(tmp_path, own_server.port) as pool:
        pool.start("--procs", "2", settings="allowed.Settings").ready()
        job = await as_worker.enqueue_job("echo", "here")
        assert isinstance(job, Job)
        assert await job.result(timeout=60) == "here"
        await wait_until_async(lambda: as_worker.exists("arq:queue:health-check"), what="health is written")
        await asyncio.to_thread(wait_until, lambda: not pool.events("redis.lost"))
        assert await asyncio.to_thread(pool.stop) == 0
    assert denied(own_server) == []


@pytest.mark.processes
@pytest.mark.parametrize("right", ["time", "@scripting"])
def test_a_pool_that_lacks_a_right(own_server: RedisServer, grant: Grant, tmp_path: Path, right: str) -> None:
    grant(*WORKERS, f"-{right}")
    (tmp_path / "allowed.py").write_text(SETTINGS)
    with pool_in(tmp_path, own_server.port) as pool:
        assert pool.start("--procs", "2", settings="allowed.Settings").wait() == 3
        named = {"time": "+time", "@scripting": "+evalsha"}[right]
        assert (
            f"workers cannot start (NoPermissionError: the user of Redis lacks rights that arq needs: {named}"
            in pool.text()
        )
        assert "Traceback" not in pool.text()
