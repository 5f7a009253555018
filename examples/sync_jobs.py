"""Code that blocks belongs into an executor, or no other job of the worker moves.

python examples/sync_jobs.py
arq examples.sync_jobs.WorkerSettings --burst
"""

import asyncio
import functools
import hashlib
import multiprocessing
import os
import time
from concurrent import futures
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


def stretch_key(password: str, *, rounds: int) -> str:
    """Busy: it needs a processor, so it gets a process."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", rounds).hex()


def wait_for_modem(pause_s: float) -> str:
    """Idle, but blocking: a thread will do."""
    time.sleep(pause_s)
    return "connected"


async def hash_password(ctx: dict[str, Any], password: str) -> str:
    work = functools.partial(stretch_key, password, rounds=1000)
    key: str = await asyncio.get_running_loop().run_in_executor(ctx["processes"], work)
    print(f"{password} -> {key[:12]}")
    return key


async def dial(ctx: dict[str, Any], pause_s: float) -> str:
    state: str = await asyncio.get_running_loop().run_in_executor(ctx["threads"], wait_for_modem, pause_s)
    print(state)
    return state


async def startup(ctx: dict[str, Any]) -> None:
    # spawn: a fork of a process with threads may inherit a lock that nobody is left to release
    spawn = multiprocessing.get_context("spawn")
    ctx["processes"] = futures.ProcessPoolExecutor(max_workers=2, mp_context=spawn)
    ctx["threads"] = futures.ThreadPoolExecutor(max_workers=4)


async def shutdown(ctx: dict[str, Any]) -> None:
    ctx["processes"].shutdown()
    ctx["threads"].shutdown()


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS)
    await redis.enqueue_job("hash_password", "correct horse")
    await redis.enqueue_job("dial", 0.1)
    await redis.aclose()


class WorkerSettings:
    functions = [hash_password, dial]
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
