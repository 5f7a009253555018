"""What the workers of the demonstration do. No Redis address here: `--embedded-redis` brings its own."""

import asyncio
import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

from arq import Retry, cron

MOST_TRIES = 3


def who() -> dict[str, int]:
    """The process that runs this job."""
    return {"slot": int(os.environ.get("ARQ_WORKER_SLOT", "0")), "pid": os.getpid()}


def digest(path: str) -> dict[str, Any]:
    content = Path(path).read_bytes()
    return {
        "bytes": len(content),
        "lines": content.count(b"\n"),
        "compressed": len(zlib.compress(content, 9)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


async def digest_file(ctx: dict[str, Any], path: str) -> dict[str, Any]:
    """Read, hash, compress, count. A thread does it, so that the loop stays free."""
    return await asyncio.to_thread(digest, path) | who()


async def fetch_mirror(ctx: dict[str, Any], name: str, fails: int) -> dict[str, int]:
    """A server that is not there at first: try again, a little later each time; give up when it is never there."""
    if MOST_TRIES <= ctx["job_try"] <= fails:
        raise ConnectionError(f"{name} has not answered in {MOST_TRIES} tries")
    if ctx["job_try"] <= fails:
        raise Retry(defer=0.2 * ctx["job_try"])
    return who()


async def remind(ctx: dict[str, Any], due_s: float) -> dict[str, int]:
    """Deferred to a point in time; the summary shows how close to it this was started."""
    return who()


async def copy_mirror(ctx: dict[str, Any], name: str, seconds: float) -> dict[str, int]:
    """Something that takes its time, so that there is always a job that runs."""
    await asyncio.sleep(seconds)
    return who()


async def look_around(ctx: dict[str, Any]) -> dict[str, int]:
    """Every second, by the clock, in one worker only although all of them know about it."""
    return who()


class WorkerSettings:
    functions = [digest_file, fetch_mirror, remind, copy_mirror]
    cron_jobs = [cron(look_around, second=set(range(60)), keep_result=600)]
    max_jobs = 10
    keep_result = 600
