"""Worker settings and producer for arq: the original and ours run this same file.

As a module it is a worker's settings (`arq arq_peer.WorkerSettings`), as a program the producer:

    python arq_peer.py fill|held|holding|victim|enqueue|pickup|lateness|roundtrip ... (see `main`)
"""

import asyncio
import json
import os
import pickle
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from counter import counter  # type: ignore[import-not-found,unused-ignore]

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
    await asyncio.sleep(1)


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = {
        "functions": [
            noop,
            sleep10,
            started,
            victim,
            func(hold, timeout=int(os.environ.get("BENCH_HOLD_TIMEOUT", "300"))),
        ],
        "redis_settings": SETTINGS,
        "max_jobs": int(os.environ.get("BENCH_MAX_JOBS", "10")),
    }
    return {**settings, **json.loads(os.environ.get("BENCH_EXTRA", "{}"))}


WorkerSettings = type("WorkerSettings", (), {"__doc__": "Settings from the environment."})
for _name, _value in _settings().items():
    setattr(WorkerSettings, _name, _value)

QUIET_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"arq": {"handlers": ["stderr"], "level": "WARNING"}},
}


async def fill(pool: ArqRedis, function: str, count: int) -> float:
    """Put `count` jobs in as fast as possible; not a measurement. The payload is that of enqueue_job."""
    now_ms = int(time.time() * 1000)
    job = pickle.dumps({"t": None, "f": function, "a": (), "k": {}, "et": now_ms}, protocol=4)
    for start in range(0, count, 1000):
        async with pool.pipeline(transaction=False) as pipe:
            names = [os.urandom(16).hex() for _ in range(min(1000, count - start))]
            for name in names:
                pipe.set(f"arq:job:{name}", job, px=86_400_000)
            pipe.zadd("arq:queue", dict.fromkeys(names, now_ms))
            await pipe.execute()
    return float(count)


async def held_elsewhere(pool: ArqRedis, count: int) -> float:
    """Make it look as if arq 0.28 workers ran `count` jobs: due in the past, locked, payload present."""
    now_ms = int(time.time() * 1000)
    job = pickle.dumps({"t": None, "f": "noop", "a": (), "k": {}, "et": now_ms}, protocol=4)
    async with pool.pipeline(transaction=False) as pipe:
        for number in range(count):
            pipe.set(f"arq:job:held{number}", job, px=86_400_000)
            pipe.set(f"arq:in-progress:held{number}", b"1", px=310_000)
            pipe.zadd("arq:queue", {f"held{number}": now_ms - 60_000})
        await pipe.execute()
    return float(count)


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
    return [await _answer(pool, 0.0) for _ in range(count)]


async def lateness(pool: ArqRedis, count: int) -> list[float]:
    """Milliseconds that a deferred job begins after its time."""
    return [await _answer(pool, 0.3 + number % 7 / 20) for number in range(count)]


async def _answer(pool: Any, defer_s: float) -> float:
    await asyncio.sleep(0.05)
    due_ns = time.monotonic_ns() + int(defer_s * 1e9)
    options: dict[str, Any] = {"_defer_by": defer_s} if defer_s else {}
    await pool.enqueue_job("started", due_ns, **options)
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
    "fill": fill,
    "held": held_elsewhere,
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
