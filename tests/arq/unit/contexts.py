"""The context of a worker that there is not, for tests of its parts."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from arq._redis.scripts import ClaimedJob
from arq._worker.context import Context
from arq._worker.options import WorkerOptions


async def nothing(ctx: dict[Any, Any]) -> None: ...


def no_exchange() -> NoReturn:
    raise AssertionError("this part has nothing to say to Redis")


def context(**options: Any) -> Context:
    """Without Redis: a part that asks it for something fails the test."""
    return Context(WorkerOptions([nothing], **options), no_exchange)


def claimed(job_id: str = "id") -> ClaimedJob:
    """A job as a claim brings it."""
    return ClaimedJob(job_id, 1, b"payload", 1, 0, False, b"stamp")


def run_beside(part: Context, job_id: str, body: Any) -> asyncio.Task[Any]:
    """A job of a worker that runs."""
    task = asyncio.get_running_loop().create_task(body)
    part.jobs.tasks[job_id] = part.jobs.job_tasks[job_id] = task
    task.add_done_callback(
        lambda _: (part.jobs.tasks.pop(job_id, None), part.jobs.job_tasks.pop(job_id, None))
    )
    return task
