"""Code that runs when a worker starts and stops, and around every job.

python examples/hooks.py
arq examples.hooks.WorkerSettings --burst
"""

import asyncio
import os
from time import perf_counter
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def greet(ctx: dict[str, Any], name: str) -> str:
    return f"hello {name}, from {ctx['office']}"


async def startup(ctx: dict[str, Any]) -> None:
    # what is put into ctx here is there for every job of this worker
    ctx["office"] = "the back office"
    print("startup: open what all jobs share")


async def shutdown(ctx: dict[str, Any]) -> None:
    print(f"shutdown: close {ctx['office']}")


async def job_start(ctx: dict[str, Any]) -> None:
    # ctx is the job's own copy: what is put in here stays with this job
    ctx["started"] = perf_counter()
    print(f"job_start: {ctx['job_id']}")


async def job_end(ctx: dict[str, Any]) -> None:
    print(f"job_end: {ctx['job_id']} took less than a minute: {perf_counter() - ctx['started'] < 60}")


async def after_job_end(ctx: dict[str, Any]) -> None:
    print(f"after_job_end: the result of {ctx['job_id']} is in Redis now")


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)
    await redis.enqueue_job("greet", "Ada", _job_id="greet-ada")
    await redis.aclose()


class WorkerSettings:
    functions = [greet]
    on_startup = startup
    on_shutdown = shutdown
    on_job_start = job_start
    on_job_end = job_end
    after_job_end = after_job_end
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
