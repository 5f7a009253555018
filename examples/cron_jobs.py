"""Jobs by the clock. Nobody enqueues them; the worker does.

    arq examples.cron_jobs.WorkerSettings

A field that is left out means "every", as `*` in a crontab does; a set means "each of these". Two fields are
not left open: `second` is 0, so that nothing runs every second by accident, and `microsecond` is 123456, away
from the top of the second when everybody else is busy.
"""

import os
from typing import Any

from arq import cron
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


async def send_report(ctx: dict[str, Any]) -> None:
    print("at 9:12, 12:12 and 18:12")


async def warm_cache(ctx: dict[str, Any]) -> None:
    print("once at the start, then on Mondays at 6:00")


async def tick(ctx: dict[str, Any]) -> None:
    print("every second")


class WorkerSettings:
    cron_jobs = [
        cron(send_report, hour={9, 12, 18}, minute=12),
        cron(warm_cache, weekday="mon", hour=6, minute=0, run_at_startup=True),
        cron(tick, second=set(range(60))),
    ]
    redis_settings = REDIS_SETTINGS
