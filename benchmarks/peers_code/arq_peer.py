"""Worker settings and producer for arq: the original and ours run this same file.

As a module it is a worker's settings (`arq arq_peer.WorkerSettings`), as a program the producer:

    python arq_peer.py holding|victim|enqueue|pickup|lateness|roundtrip ... (see `main`)
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from counter import burn, counter  # type: ignore[import-not-found,unused-ignore]

from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings

SETTINGS = RedisSettings.from_dsn(os.environ.get("BENCH_DSN", "redis://127.0.0.1:6379"))
ANSWERS = "bench:answers"


async def noop(ctx: dict[Any, Any]) -> None:
    """The cheapest job there is."""
    counter.hit()


async def sleep10(ctx: dict[Any, Any]) -> None:
    """A job that waits for 10 ms of something."""
    await asyncio.sleep(0.01)
    counter.hit()


async def cpu1ms(ctx: dict[Any, Any]) -> None:
    """A job that needs a core for 1 ms."""
    burn()
    counter.hit()


async def started(ctx: dict[Any, Any], due_ns: int) -> None:
    """Tell the producer how long after `due_ns` (CLOCK_MONOTONIC) this began."""
    late_ms = (time.monotonic_ns() - due_ns) / 1e6
    await ctx["redis"].rpush(ANSWERS, late_ms)


async def hold(ctx: dict[Any, Any], seconds: float) -> None:
    """Keep a slot busy."""
    await asyncio.sleep(seconds)


async def victim(ctx: dict[Any, Any]) -> None:
    """Say which process runs this since when; the driver kills it."""
    await ctx["redis"].rpush("bench:starts", f"{os.getpid()} {time.monotonic_ns()}")
    await asyncio.sleep(2)


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = {
        "functions": [
            noop,
            sleep10,
            cpu1ms,
            started,
            victim,
            func(hold, timeout=int(os.environ.get("BENCH_HOLD_TIMEOUT", "300"))),
        ],
        "redis_settings": SETTINGS,
        "max_jobs": int(os.environ.get("BENCH_MAX_JOBS", "10")),
    }
    settings |= json.loads(os.environ.get("BENCH_EXTRA", "{}"))
    if settings.pop("serializer", "pickle") == "json":
        settings |= {"job_serializer": _as_json, "job_deserializer": json.loads}
    return settings


def _as_json(job: dict[str, Any]) -> bytes:
    return json.dumps(job).encode()


WorkerSettings = type("WorkerSettings", (), {"__doc__": "Settings from the environment."})
for _name, _value in _settings().items():
    setattr(WorkerSettings, _name, _value)

QUIET_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"arq": {"handlers": ["stderr"], "level": "WARNING"}},
}


async def holding(pool: ArqRedis, count: int) -> float:
    """Enqueue `count` jobs that take a minute."""
    for _ in range(count):
        await pool.enqueue_job("hold", 60)
    return float(count)


async def one_victim(pool: ArqRedis) -> float:
    """Enqueue the job that is to be killed."""
    await pool.enqueue_job("victim")
    return 1.0


async def enqueue(pool: ArqRedis, mode: str, count: int) -> float:
    """Jobs per second by `mode`: one (awaited one by one), gather (100 at once), bulk (100 a call)."""
    began = time.perf_counter()
    if mode == "one":
        for _ in range(count):
            await pool.enqueue_job("noop")
    elif mode == "gather":
        for _ in range(count // 100):
            await asyncio.gather(*[pool.enqueue_job("noop") for _ in range(100)])
    else:
        many: Callable[[list[Any]], Awaitable[Any]] = pool.enqueue_jobs
        for _ in range(count // 100):
            await many(["noop"] * 100)
    return count / (time.perf_counter() - began)


async def pickup(pool: ArqRedis, count: int) -> list[float]:
    """Milliseconds from before the enqueue to the first line of the job, on an idle worker."""
    took = []
    for number in range(count):
        await asyncio.sleep(number * 0.618 % 1 * 0.5)  # evenly over the period at which some workers look
        await pool.enqueue_job("started", time.monotonic_ns())
        took.append(await _next_answer(pool))
    return took


async def lateness(pool: ArqRedis, count: int) -> list[float]:
    """Milliseconds that deferred jobs begin after their time, on an idle worker."""
    for number in range(count):
        delay_s = 0.5 + number * 0.07
        await pool.enqueue_job("started", time.monotonic_ns() + int(delay_s * 1e9), _defer_by=delay_s)
    return [await _next_answer(pool) for _ in range(count)]


async def _next_answer(pool: Any) -> float:
    while (answer := await pool.lpop(ANSWERS)) is None:
        await asyncio.sleep(0.002)
    return float(answer)


async def roundtrip(pool: ArqRedis, count: int) -> list[float]:
    """Milliseconds from before the enqueue to the result in hand, as it comes."""
    took = []
    for _ in range(count):
        await asyncio.sleep(0.03)
        began = time.perf_counter()
        job = await pool.enqueue_job("noop")
        assert job is not None
        await job.result(timeout=20)
        took.append((time.perf_counter() - began) * 1000)
    return took


OPERATIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    "holding": holding,
    "victim": one_victim,
    "enqueue": enqueue,
    "pickup": pickup,
    "lateness": lateness,
    "roundtrip": roundtrip,
}


async def main(operation: str, *arguments: str) -> None:
    """Run one operation and print its result as JSON."""
    pool = await create_pool(SETTINGS)
    typed = [int(one) if one.isdigit() else one for one in arguments]
    print(json.dumps(await OPERATIONS[operation](pool, *typed)))
    await pool.close(close_connection_pool=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
