"""Aborts that a worker carries out: of jobs that wait, run or are over."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import func
from tests.arq.redis.harness import (
    Ctx,
    ask_as_upstream,
    broken,
    enqueued,
    for_ever,
    info,
    quick,
    running,
)
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async


@pytest.mark.parametrize("defer_by", [0, 60])
async def test_abort_before_the_start(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture, defer_by: float
) -> None:
    caplog.set_level(logging.INFO)
    job = await enqueued(arq_redis, "quick", _defer_by=defer_by)
    await ask_as_upstream(arq_redis, job.job_id)
    one = worker([quick], allow_abort_jobs=True)
    await one.main()
    assert isinstance((await info(job)).result, asyncio.CancelledError)
    assert re.search(rf"⊘ {job.job_id}:quick aborted before start", caplog.text)
    assert one.jobs_complete == 0


async def test_a_deferred_job_that_a_plain_producer_aborts_is_not_run_early(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """It has made the job due at once, so that workers see it: also one that is to obey no aborts must not run it."""
    ran: list[str] = []

    async def pay(ctx: Ctx) -> None:
        ran.append(ctx["job_id"])

    job = await enqueued(arq_redis, "pay", _defer_by=3600)
    due = await enqueued(arq_redis, "pay")
    for one_job in (job, due):
        await ask_as_upstream(arq_redis, one_job.job_id)
    one = worker([func(pay, name="pay")])
    await one.main()
    assert ran == [due.job_id]
    assert isinstance((await info(job)).result, asyncio.CancelledError)
    assert not await arq_redis.exists("arq:abort")


async def test_abort_while_running(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = await enqueued(arq_redis, "for_ever")
    one = worker([for_ever], burst=False, poll_delay=0.02, allow_abort_jobs=True)
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        assert await job.abort(timeout=30)
    assert re.search(rf"⊘ {job.job_id}:for_ever aborted", caplog.text)
    assert isinstance((await info(job)).result, asyncio.CancelledError)
    assert one.aborting_tasks == set()
    with pytest.raises(asyncio.CancelledError):
        await job.result()


async def test_abort_is_not_obeyed_where_it_is_not_allowed(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    job = await enqueued(arq_redis, "for_ever")
    one = worker([for_ever], burst=False, poll_delay=0.02)
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        with pytest.raises(TimeoutError):
            await job.abort(timeout=0.2)
        assert one.job_tasks
    await arq_redis.delete("arq:abort")


async def test_abort_of_what_is_not_there_or_over(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    assert not await Job("unknown", arq_redis).abort()
    job = await enqueued(arq_redis, "quick")
    failed = await enqueued(arq_redis, "broken")
    await worker([quick, broken]).main()
    assert not await job.abort()
    with pytest.raises(ValueError, match="boom"):
        await failed.abort()
    assert not await arq_redis.exists("arq:abort")
