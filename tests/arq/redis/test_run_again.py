"""Jobs that ask to be run again, and jobs that are cancelled by nobody who is meant to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arq import Retry
from arq.connections import ArqRedis
from arq.worker import JobExecutionFailed, RetryJob, func
from tests.arq.redis.harness import Ctx, enqueued, info, nothing_held
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S


async def asks(exc: Exception) -> None:
    raise exc


@pytest.mark.parametrize("wishes", [[Retry(0.05)], [Retry(), RetryJob()], [RetryJob(), RetryJob()]])
async def test_a_retry_in_a_task_group_is_a_retry(
    arq_redis: ArqRedis, worker: WorkerFactory, wishes: list[Exception]
) -> None:
    async def grouped(ctx: Ctx) -> int:
        if ctx["job_try"] == 1:
            async with asyncio.TaskGroup() as outer:

                async def inner() -> None:
                    async with asyncio.TaskGroup() as group:
                        for wish in wishes:
                            group.create_task(asks(wish))

                outer.create_task(inner())
        return int(ctx["job_try"])

    job = await enqueued(arq_redis, "grouped")
    one = worker([func(grouped, name="grouped")])
    await one.main()
    assert await job.result(timeout=PATIENCE_S) == 2
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (1, 0, 1)


async def test_a_retry_beside_an_error_is_an_error(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def mixed(ctx: Ctx) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asks(Retry()))
            group.create_task(asks(ValueError("boom")))

    job = await enqueued(arq_redis, "mixed")
    await worker([func(mixed, name="mixed")]).main()
    with pytest.raises(ExceptionGroup) as caught:
        await job.result(timeout=PATIENCE_S)
    assert caught.value.subgroup(ValueError) is not None


async def test_a_job_that_is_cancelled_from_inside_says_so_in_the_end(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Run again as often as it may be, as ever; but the failure says why, and the log says where."""
    runs: list[Any] = []

    async def gives_up(ctx: Ctx) -> None:
        runs.append(ctx["job_try"])
        inside = asyncio.create_task(asyncio.Event().wait())
        inside.cancel()
        await inside

    job = await enqueued(arq_redis, "gives_up")
    one = worker([func(gives_up, name="gives_up", max_tries=3)])
    await one.main()
    assert runs == [1, 2, 3]
    with pytest.raises(
        JobExecutionFailed, match="^max 3 retries exceeded: the job was cancelled, neither by"
    ):
        await job.result(timeout=PATIENCE_S)
    assert (await info(job)).job_try == 3
    assert (one.jobs_failed, one.jobs_retried) == (1, 2)
    assert "await inside" in caplog.text
    await one.close()
    await nothing_held(arq_redis)
