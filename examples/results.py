"""What became of a job: its definition, its status, its result.

arq examples.results.WorkerSettings &     # must be running to get a result
python examples/results.py
"""

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def divide(ctx: dict[str, Any], dividend: int, *, by: int) -> float:
    return dividend / by


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)

    job = await redis.enqueue_job("divide", 84, by=2, _defer_by=0.2)
    assert job is not None, "None is returned only when a job of this id exists"
    info = await job.info()
    assert info is not None
    print(f"{info.function}{info.args} {info.kwargs}: {(await job.status()).value}")

    print(f"result: {await job.result(timeout=30)}")
    done = await job.result_info()
    assert done is not None
    print(f"{(await job.status()).value} on try {done.job_try}, success: {done.success}")

    # an exception of the job is raised where its result is asked for
    job = await redis.enqueue_job("divide", 1, by=0)
    assert job is not None
    try:
        await job.result(timeout=30)
    except ZeroDivisionError as error:
        print(f"failed: {error!r}")
    await redis.aclose()


class WorkerSettings:
    functions = [divide]
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
