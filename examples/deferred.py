"""Jobs for later: after a number of seconds, after a timedelta, at a point in time.

python examples/deferred.py
arq examples.deferred.WorkerSettings
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def report(ctx: dict[str, Any], name: str) -> None:
    waited = datetime.now(UTC) - ctx["enqueue_time"]
    print(f"{name} ran {waited.total_seconds():.1f} s after it was enqueued")


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)
    await redis.enqueue_job("report", "half a second", _defer_by=0.5)
    await redis.enqueue_job("report", "a timedelta", _defer_by=timedelta(seconds=1))
    # the worker leaves this one in the queue for some years
    await redis.enqueue_job("report", "a leap day", _defer_until=datetime(2032, 2, 29, tzinfo=UTC))
    for job in await redis.queued_jobs():
        print(f"queued: {job.args[0]}")
    await redis.aclose()


class WorkerSettings:
    functions = [report]
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
