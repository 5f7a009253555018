"""What the pools of these tests run. Copied into each test's directory, where a test may change it."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from arq.connections import RedisSettings

Ctx = dict[str, Any]


async def echo(ctx: Ctx, value: Any = None) -> Any:
    return value


async def who(ctx: Ctx) -> int:
    return os.getpid()


async def slow(ctx: Ctx, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()


async def until(ctx: Ctx, name: str) -> int:
    """Goes on until there is a file of this name in the pool's directory: the test decides when that is."""
    while not Path(name).exists():  # noqa: ASYNC110, ASYNC240  # who opens the gate is another process
        await asyncio.sleep(0.02)
    return os.getpid()


async def block(ctx: Ctx, seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251  # that is the fault
    return "blocked"


async def hold_the_gil(ctx: Ctx, seconds: int) -> None:
    sum(itertools.repeat(0, seconds * 500_000_000))  # one call of C code that looks at no signal


async def stubborn(ctx: Ctx, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            continue


async def deaf(ctx: Ctx, seconds: float) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGQUIT, lambda *_: None)
    await asyncio.sleep(seconds)


async def poison(ctx: Ctx) -> None:
    os.abort()


async def kills_itself(ctx: Ctx, seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


async def leave(ctx: Ctx) -> None:
    os._exit(0)


async def exits_in_a_task(ctx: Ctx) -> None:
    async def command_line() -> None:
        sys.exit(2)

    await asyncio.gather(command_line(), asyncio.sleep(0))


async def spawn(ctx: Ctx, seconds: float) -> int:
    child = subprocess.Popen(["sleep", str(seconds)])  # noqa: ASYNC220
    ctx["redis"].__dict__.setdefault("children", []).append(child)
    return child.pid


async def count(ctx: Ctx, n: int, seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)
    await ctx["redis"].hincrby("ran", str(n), 1)
    await ctx["redis"].expire("ran", 120)


kept: list[bytes] = []


async def grow(ctx: Ctx, megabytes: int) -> int:
    kept.extend(os.urandom(1) * 1_000_000 for _ in range(megabytes))
    return os.getpid()


async def signal_state(ctx: Ctx) -> str:
    code = """import signal
print(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), int(signal.getsignal(2) is signal.default_int_handler))"""
    return subprocess.check_output([sys.executable, "-S", "-c", code], text=True).strip()  # noqa: ASYNC221


async def environment(ctx: Ctx) -> dict[str, str]:
    names = ("ARQ_", "_ARQ_", "NOTIFY", "WATCHDOG", "LISTEN", "REDIS_DSN")
    return {name: value for name, value in os.environ.items() if name.startswith(names)}


async def startup(ctx: Ctx) -> None:
    match os.environ.get("TEST_STARTUP"):
        case "raise":
            raise RuntimeError("the start hook is broken")
        case "hang":
            await asyncio.sleep(3600)
        case "crash_soon":
            asyncio.get_running_loop().call_later(0.2, os.abort)


async def shutdown(ctx: Ctx) -> None:
    if os.environ.get("TEST_SHUTDOWN") == "hang":
        await asyncio.sleep(3600)
    print("on_shutdown ran", file=sys.stderr, flush=True)


if os.environ.get("TEST_IMPORT") == "crash_slot_2" and os.environ.get("ARQ_WORKER_SLOT") == "2":
    os.abort()
if os.environ.get("TEST_IMPORT") == "slow":
    time.sleep(60)


class Settings:
    functions = [  # as every user writes it
        echo, who, slow, block, hold_the_gil, stubborn, deaf, poison, leave, spawn, signal_state, environment,
        count, grow, until, exits_in_a_task, kills_itself,
    ]  # fmt: skip
    # who is held up while it connects has not been refused
    redis_settings = RedisSettings(
        port=int(os.environ.get("TEST_PORT", "6379")), conn_timeout=30, conn_retries=0
    )
    on_startup = startup
    on_shutdown = shutdown
    job_completion_wait = int(os.environ.get("TEST_WAIT", "30"))
    max_jobs = 10
