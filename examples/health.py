"""Is a worker there? It leaves a line in Redis that expires soon after the worker has stopped writing it.

arq examples.health.WorkerSettings &
arq examples.health.WorkerSettings --check && echo healthy     # exit code 0 or 1, for a probe
python examples/health.py                                      # the same from Python
"""

import asyncio
import os
import sys
from typing import Any

from arq.connections import RedisSettings
from arq.worker import async_check_health

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def nap(ctx: dict[str, Any]) -> None:
    """Something to register: a worker needs at least one function or cron job."""


class WorkerSettings:
    functions = [nap]
    health_check_interval = 10  # seconds; the default of an hour is for patient people
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    exit_code = asyncio.run(async_check_health(REDIS_SETTINGS))
    print("healthy" if exit_code == 0 else "no worker")
    sys.exit(exit_code)
