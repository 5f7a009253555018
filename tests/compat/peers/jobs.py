"""Jobs and settings that run under either implementation: only names that the original arq has are used.

The settings come from the environment, so that one module serves every test: COMPAT_DSN, COMPAT_QUEUE,
COMPAT_NAME (who ran it; also the health check key), COMPAT_CRON and COMPAT_SETTINGS (JSON, further Worker
arguments).
"""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

from arq import cron, func
from arq.connections import RedisSettings
from arq.worker import Retry

try:
    from arq import Backoff, Snooze
except ImportError:  # the original has no such thing: what ours tries again fails there
    SOON: dict[str, Any] = {}
    LATER: dict[str, Any] = {}
else:
    SOON = {"retry_on": (ConnectionError,), "backoff": Backoff(0.1)}
    LATER = {"retry_on": (ConnectionError,), "backoff": lambda tries, exc: 3600}

NAME = os.environ.get("COMPAT_NAME", "nobody")
QUEUE = os.environ.get("COMPAT_QUEUE", "nowhere")

Ctx = dict[Any, Any]


class CustomError(Exception):
    """An exception of the user's, known to both sides."""


class KeywordError(Exception):
    """Needs an argument that pickle does not keep."""

    def __init__(self, message: str, *, request: str) -> None:
        super().__init__(message)
        self.request = request


async def note(ctx: Ctx, what: str) -> None:
    """Write down that this worker starts this job now: `job id|try|worker|what`."""
    await ctx["redis"].rpush(f"ran:{QUEUE}", f"{ctx['job_id']}|{ctx['job_try']}|{NAME}|{what}")


async def add(ctx: Ctx, a: int, b: int = 0) -> int:
    """Return a sum."""
    await note(ctx, "add")
    return a + b


async def echo(ctx: Ctx, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return everything that came in."""
    await note(ctx, "echo")
    return {"args": args, "kwargs": kwargs, "try": ctx["job_try"], "id": ctx["job_id"], "by": NAME}


async def fail(ctx: Ctx, message: str) -> None:
    """Raise a plain exception."""
    await note(ctx, "fail")
    raise ValueError(message)


async def fail_custom(ctx: Ctx) -> None:
    """Raise an exception of the user's own class."""
    raise CustomError("mine", 7)


async def unpicklable(ctx: Ctx) -> Callable[[], None]:
    """Return what no serializer can write."""
    return lambda: None


async def fail_keyword(ctx: Ctx) -> None:
    """Raise what pickles and can't be rebuilt."""
    raise KeywordError("503 from upstream", request="GET /orders")


async def fail_local(ctx: Ctx) -> None:
    """Raise what can't be pickled."""

    class LocalError(Exception): ...

    raise LocalError("made in a job")


async def again(ctx: Ctx, until_try: int, defer_s: float | None = None) -> int:
    """Ask for a retry until the given try."""
    await note(ctx, "again")
    if ctx["job_try"] < until_try:
        raise Retry(defer=defer_s)
    return int(ctx["job_try"])


async def flaky(ctx: Ctx, until_try: int) -> int:
    """Fail until the given try."""
    await note(ctx, "flaky")
    if ctx["job_try"] < until_try:
        raise ConnectionError(NAME)
    return int(ctx["job_try"])


async def sleepy(ctx: Ctx, times: int) -> int:
    """Snooze so many times, if there is such a thing."""
    await note(ctx, "sleepy")
    if SOON and await ctx["redis"].incr(f"snoozed:{ctx['job_id']}") <= times:
        raise Snooze(0.1)
    return int(ctx["job_try"])


async def nap(ctx: Ctx, seconds: float) -> str:
    """Sleep, so that it can be aborted, timed out or cancelled."""
    await note(ctx, "nap")
    await asyncio.sleep(seconds)
    return "rested"


async def until_told(ctx: Ctx) -> str:
    """Go on until the test opens the gate."""
    await note(ctx, "until_told")
    while not await ctx["redis"].exists(f"gate:{QUEUE}"):  # noqa: ASYNC110  # another process opens it
        await asyncio.sleep(0.02)
    return "rested"


async def tick(ctx: Ctx) -> None:
    """What the cron jobs run."""
    await note(ctx, "tick")


async def startup(ctx: Ctx) -> None:
    """Leave a mark that the hook ran."""
    await ctx["redis"].set(f"started:{NAME}", 1, ex=600)


async def shutdown(ctx: Ctx) -> None:
    """Leave a mark that the hook ran."""
    await ctx["redis"].set(f"stopped:{NAME}", 1, ex=600)


def _cron_jobs() -> list[Any]:
    wanted = os.environ.get("COMPAT_CRON")
    if wanted == "startup":
        return [cron(tick, hour=3, run_at_startup=True, job_id="at-startup", keep_result=60)]
    if wanted == "seconds":
        return [cron(tick, second=set(range(60)), keep_result=60)]
    return []


def _redis_settings() -> RedisSettings:
    settings = RedisSettings.from_dsn(os.environ["COMPAT_DSN"])
    settings.conn_timeout = 30  # the machine may stand still for longer than the usual second
    return settings


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = {
        "functions": [
            add,
            echo,
            fail,
            fail_custom,
            unpicklable,
            fail_keyword,
            fail_local,
            func(again, max_tries=4),
            func(flaky, **SOON),
            func(flaky, name="flaky_later", **LATER),
            sleepy,
            nap,
            until_told,
            func(nap, name="short_nap", timeout=0.2),
            func(add, name="forgotten_add", keep_result=0),
            func(add, name="eternal_add", keep_result_forever=True),
        ],
        "cron_jobs": _cron_jobs(),
        "redis_settings": _redis_settings(),
        "queue_name": QUEUE,
        "health_check_key": f"health:{NAME}",
        "on_startup": startup,
        "on_shutdown": shutdown,
        "allow_abort_jobs": True,
        "poll_delay": 0.05,
    }
    settings.update(json.loads(os.environ.get("COMPAT_SETTINGS", "{}")))
    return settings


if "COMPAT_DSN" in os.environ:
    WorkerSettings = _settings()
