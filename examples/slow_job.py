"""A job that a stopping worker cancels, and that the next worker runs again.

python examples/slow_job.py
arq examples.slow_job.WorkerSettings     # Ctrl-C while the job runs; then start it again
"""

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def digest(ctx: dict[str, Any]) -> str:
    print(f"try {ctx['job_try']}")
    try:
        await asyncio.sleep(20 if ctx["job_try"] == 1 else 0.5)  # time enough to press Ctrl-C
    except asyncio.CancelledError:
        print("cancelled: put things in order, then let go")
        raise
    return "digested"


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)
    await redis.enqueue_job("digest")
    await redis.aclose()


class WorkerSettings:
    functions = [digest]
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
