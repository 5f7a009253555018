"""The application of this example: jobs, settings, and a producer (`python -m shop 100`)."""

import asyncio
import os
import sys
from typing import Any

from arq import Retry, create_pool
from arq.connections import RedisSettings

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def pack(ctx: dict[str, Any], order: int, seconds: float = 0.1) -> str:
    """Takes its time; a stop lets it finish."""
    await asyncio.sleep(seconds)
    return f"order {order} packed"


async def charge(ctx: dict[str, Any], order: int) -> str:
    """The bank does not answer every time: again a little later. Safe to run twice, as every job should be."""
    if ctx["job_try"] < 2:
        raise Retry(defer=0.5)
    return f"order {order} charged"


class Settings:
    functions = [pack, charge]
    redis_settings = REDIS
    max_jobs = 20
    job_timeout = 60
    # every time limit of the deployment follows from this one: docs/operations.md, "the time budget of a stop"
    job_completion_wait = 30


async def main(orders: int) -> None:
    """Enqueue two jobs for each order; an order that is there already is left alone."""
    redis = await create_pool(REDIS)
    for order in range(orders):
        await redis.enqueue_job("charge", order, _job_id=f"charge:{order}")
        await redis.enqueue_job("pack", order, _job_id=f"pack:{order}")
    print(f"{orders} orders")
    await redis.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
