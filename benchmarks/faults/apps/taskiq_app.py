# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Tasks for taskiq on Redis streams, the broker of its plugin that acknowledges."""

import os
from typing import Any

import jobs
from arrival import redelivery_s, worker_is_up
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = RedisStreamBroker(
    url=os.environ["FAULTS_DSN"], idle_timeout=round(1000 * redelivery_s(600))
).with_result_backend(RedisAsyncResultBackend(redis_url=os.environ["FAULTS_DSN"]))


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _up(state: TaskiqState) -> None:
    worker_is_up()


@broker.task(task_name="job", timeout=10)
async def job(kind: str, arguments: list[Any]) -> None:
    """Any of the jobs."""
    await jobs.call_async(kind, *arguments)


_started: list[bool] = []


async def send(kind: str, *arguments: Any) -> None:
    """Enqueue one."""
    if not _started:
        _started.append(True)
        await broker.startup()
    await job.kiq(kind, list(arguments))
