"""`--check-settings`: import the settings and make a worker of them, connect to nothing, say what was found."""

import asyncio
import math
from typing import Any

import arq.worker
from arq._redis.shard_settings import any_shard, each_of

from ..children.tracebacks import trace_of
from ..console import complain, tell
from ..exit_codes import ExitCode
from ..redis_errors import short
from ..settings import IF_SILENT, load_settings, require_settings, slips_in, where_looked


def check_settings(path: str) -> int:
    """Print a summary on stdout; returns 0, or 4 with the traceback on stderr."""
    try:
        settings = load_settings(path)
        require_settings(path, settings)
        found = asyncio.run(_summary(settings))
    except BaseException as error:  # noqa: BLE001  # a settings module may raise anything, SystemExit too
        complain(f"cannot use {path!r} ({short(error)}{where_looked(path, error)})", trace_of(error))
        return ExitCode.SETTINGS
    if slips := slips_in(settings):
        found["no settings"] = "; ".join(slips)
    width = max(map(len, found))
    is_told = tell("".join(f"{name:<{width}}  {value}\n" for name, value in found.items()))
    return ExitCode.OK if is_told else ExitCode.INTERNAL


async def _summary(settings: Any) -> dict[str, str]:
    given = arq.worker.get_kwargs(settings)
    silent = {name: value for name, value in IF_SILENT.items() if name not in given}
    servers = each_of(given.get("redis_settings"))
    silent |= {"redis_settings": any_shard(given["redis_settings"])} if len(servers) > 1 else {}
    worker = arq.worker.create_worker(settings, handle_signals=False, **silent)
    redis: Any = worker.redis_settings
    return {
        "queue": str(worker.queue_name),
        "functions": ", ".join(worker.functions),
        "cron jobs": ", ".join(job.name for job in worker.cron_jobs or ()) or "-",
        "redis": ", ".join(map(_place, servers if len(servers) > 1 else [redis])),
        "max_jobs": str(worker.max_jobs),
        "longest job": _longest(worker.time_limits_s()),
        "job_completion_wait": _seconds(worker.job_completion_wait or 0)
        + (" (not in the settings; `arq` would not wait)" if "job_completion_wait" in silent else ""),
    }


def _place(redis: Any) -> str:
    return "a pool of its own" if redis is None else f"{redis.host}:{redis.port}/{redis.database}"


def _longest(limits_s: list[float | None]) -> str:
    """The longest of some time limits, of which None is none."""
    return _seconds(max(math.inf if limit_s is None else limit_s for limit_s in limits_s))


def _seconds(seconds: float) -> str:
    return "no limit" if seconds == math.inf else f"{seconds:g} s"
