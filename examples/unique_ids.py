"""One job at a time for each id: a second backup of the same disk is not queued while the first one is.

python examples/unique_ids.py
arq examples.unique_ids.WorkerSettings --burst
"""

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def back_up(ctx: dict[str, Any], disk: str) -> None:
    print(f"backing up {disk} as job {ctx['job_id']}")


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)

    # without an id each job gets a random one
    print(await redis.enqueue_job("back_up", "/tmp"))

    # an id of one's own is free until the job has ended and its result has expired
    print(await redis.enqueue_job("back_up", "/home", _job_id="backup:/home"))
    print(await redis.enqueue_job("back_up", "/home", _job_id="backup:/home"))

    # anybody who knows the id can ask for the job
    job = Job("backup:/home", redis)
    print(f"{job} is {(await job.status()).value}")
    await redis.aclose()


class WorkerSettings:
    functions = [back_up]
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
