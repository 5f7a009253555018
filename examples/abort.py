"""Call a job back, whether it is still in the queue or running already.

arq examples.abort.WorkerSettings &     # needs allow_abort_jobs
python examples/abort.py
"""

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job, JobStatus

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def brew(ctx: dict[str, Any], what: str) -> str:
    print(f"brewing {what}")
    await asyncio.sleep(60)
    return f"{what} is ready"


async def started(job: Job) -> None:
    while await job.status() != JobStatus.in_progress:
        await asyncio.sleep(0.05)


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)
    tea = await redis.enqueue_job("brew", "tea")
    coffee = await redis.enqueue_job("brew", "coffee", _defer_by=60)
    assert tea is not None
    assert coffee is not None
    await started(tea)
    print(f"tea, running: aborted {await tea.abort(timeout=30)}")
    print(f"coffee, not started: aborted {await coffee.abort(timeout=30)}")
    await redis.aclose()


class WorkerSettings:
    functions = [brew]
    allow_abort_jobs = True
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
