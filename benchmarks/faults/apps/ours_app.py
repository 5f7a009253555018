# mypy: disable-error-code="import-not-found"
"""Settings for arq-supervise."""

import os
from typing import Any

from arrival import worker_is_up
from jobs import call_async

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

SETTINGS = RedisSettings.from_dsn(os.environ["FAULTS_DSN"])


async def job(ctx: dict[Any, Any], kind: str, *arguments: Any) -> None:
    """Any of the jobs."""
    await call_async(kind, *arguments)


async def startup(ctx: dict[Any, Any]) -> None:
    """Say that this worker is there."""
    worker_is_up()


class Settings:
    """A job may take 10 s, and 5 s when the pool stops."""

    functions = [job]
    redis_settings = SETTINGS
    on_startup = startup
    job_timeout = 10
    job_completion_wait = 5


_pools: list[ArqRedis] = []


async def send(kind: str, *arguments: Any) -> None:
    """Enqueue one."""
    if not _pools:
        _pools.append(await create_pool(SETTINGS))
    await _pools[0].enqueue_job("job", kind, *arguments)
