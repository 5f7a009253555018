"""A job that does not let the event loop go on: its neighbours do not pay for it, and the log names it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import Any

import pytest
import redis

from arq import jobs
from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import func
from tests.arq.redis.harness import Ctx, enqueued, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

#: Seconds that jobs of these tests may take, and for which one of them blocks the loop.
LIMIT_S, BLOCK_S = 1, 2.5


async def block(ctx: Ctx) -> str:
    await ctx["all_run"].wait()
    time.sleep(BLOCK_S)  # noqa: ASYNC251  (that is the fault)
    return "blocked"


async def block_and_wait(ctx: Ctx) -> None:
    await block(ctx)
    await asyncio.Event().wait()


async def waits(ctx: Ctx) -> str:
    """Needs some turns of the loop after the block, and some of its time."""
    await ctx["all_run"].wait()
    for _ in range(4):
        await asyncio.sleep(0.05)
    return "in time"


async def is_endless(ctx: Ctx) -> None:
    await asyncio.Event().wait()


async def outcomes(worker: WorkerFactory, pool: ArqRedis, *names: str) -> list[object]:
    """Results of jobs that run at the same time, one of which blocks the loop for longer than the limit."""
    ctx: Ctx = {"all_run": asyncio.Event(), "started": set()}
    functions = [func(one, name=one.__name__) for one in (block, block_and_wait, waits, is_endless)]

    async def count(job_ctx: Ctx) -> None:
        job_ctx["started"].add(job_ctx["job_id"])
        if len(job_ctx["started"]) == len(names):
            job_ctx["all_run"].set()

    one = worker(functions, job_timeout=LIMIT_S, max_jobs=len(names), ctx=ctx, on_job_start=count)
    enqueued_jobs = [await enqueued(pool, name) for name in names]
    async with running(one):
        return [await outcome(job) for job in enqueued_jobs]


async def outcome(job: Job) -> object:
    try:
        return await job.result(timeout=60)
    except Exception as exc:
        return type(exc)


async def test_neighbours_get_the_time_back(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    found = await outcomes(worker, arq_redis, "waits", "waits", "block", "waits")
    assert found == ["in time", "in time", "blocked", "in time"]
    (line,) = [record for record in caplog.records if "blocked the event loop" in record.message]
    assert line.levelno == logging.WARNING
    assert ":block blocked the event loop for " in line.message
    assert "in block)" in line.message


async def test_a_job_that_is_really_over_its_limit_ends_by_it(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    found = await outcomes(worker, arq_redis, "is_endless", "block_and_wait", "waits")
    assert found == [TimeoutError, TimeoutError, "in time"]


async def test_whatever_was_told_that_its_time_is_over_and_returns_is_told_of(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def ignores(ctx: Ctx) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "all the same"
        raise AssertionError

    job = await enqueued(arq_redis, "ignores")
    await worker([func(ignores, name="ignores", timeout=0.05)]).main()
    assert await job.result(timeout=60) == "all the same"
    assert f"{job.job_id}:ignores was cancelled at its timeout, ignored that and returned" in caplog.text


async def test_nothing_of_the_watch_stays(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Its thread rests while no job runs, and ends with the worker and before a fork."""

    def watching() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "arq-standstill"]

    seen: list[int] = []

    async def forks(ctx: Ctx) -> None:
        await wait_until_async(lambda: len(watching()) == 1, what="the watch has begun")
        pid = os.fork()
        if pid == 0:
            os._exit(len(watching()))
        seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # noqa: ASYNC222  (it ends at once)
        seen.append(len(watching()))

    job = await enqueued(arq_redis, "forks")
    one = worker([func(forks, name="forks")], burst=False)
    async with running(one):
        await job.result(timeout=60)
    assert seen == [0, 0]
    assert not watching()


async def test_a_job_that_was_cancelled_has_its_time_to_clean_up(
    arq_redis: ArqRedis, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a neighbour blocks the loop until it would be told once more."""
    told: list[str] = []

    async def cleans_up(ctx: Ctx) -> None:
        try:
            ctx["begun"].append(1)
            await asyncio.Event().wait()
        finally:
            told.append("told")
            for _ in range(4):
                await asyncio.sleep(0.05)
            told.append("clean")

    async def blocks(ctx: Ctx) -> None:
        try:
            ctx["begun"].append(1)
            await asyncio.Event().wait()
        finally:
            time.sleep(1)  # noqa: ASYNC251  (that is the fault)

    monkeypatch.setattr("arq._worker.shutdown.CANCEL_AGAIN_S", 0.5)
    for name in ("cleans_up", "blocks"):
        await enqueued(arq_redis, name)
    begun: list[int] = []
    functions = [func(cleans_up, name="cleans_up"), func(blocks, name="blocks")]
    async with running(worker(functions, burst=False, ctx={"begun": begun})):
        await wait_until_async(lambda: len(begun) == 2, what="both run")
    assert told == ["told", "clean"]


async def test_a_producer_that_stood_still_looks_once_more(
    arq_redis: ArqRedis, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result came while nobody could see it, after the last look had gone out."""
    job = await enqueued(arq_redis, "quick")
    look = jobs.look
    payload = jobs.serialize_result("quick", (), {}, 1, 0, True, "there", 0, 0, "", "arq:queue", job.job_id)
    assert payload is not None

    async def look_and_stand_still(*args: Any) -> tuple[bytes | None, bool]:
        found = await look(*args)
        redis_client.set(f"arq:result:{job.job_id}", payload, ex=60)
        redis_client.blpop(["nothing"], 0.3)  # the loop stands still
        return found

    monkeypatch.setattr(jobs, "look", look_and_stand_still)
    assert await job.result(timeout=0.2) == "there"
