"""What the workers run whose dashboard is looked at: jobs of each kind, and one that tries to break out of the page."""

import asyncio
import os
from pathlib import Path
from typing import Any

from arq import Retry, cron, func
from arq.connections import RedisSettings

Ctx = dict[str, Any]
MARKUP = "<script>alert('broken out')</script>\u202e\x1b[31m"


async def charge(ctx: Ctx, amount: int, note: str = "") -> str:
    return f"charged {amount}"


async def refuse(ctx: Ctx, amount: int, note: str = "") -> None:
    raise ValueError(f"the bank refuses {amount}: {note}")


async def deliver(ctx: Ctx, place: str) -> None:
    """Fails at first."""
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)


async def pack(ctx: Ctx, gate: str) -> str:
    """Goes on until there is a file of this name, or until it is aborted."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.05)
    return "packed"


async def take_stock(ctx: Ctx) -> None:
    """A schedule that is never due during the tests."""


class Settings:
    functions = [charge, func(refuse, max_tries=1), deliver, pack]
    cron_jobs = [cron(take_stock, month=2, day=29, hour=3)]
    redis_settings = RedisSettings(port=int(os.environ.get("TEST_PORT", "6379")))
    allow_abort_jobs = True
    max_jobs = 5
    keep_result = 3600
