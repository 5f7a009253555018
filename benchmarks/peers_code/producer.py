# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""What the producers of all peers do: fill a queue, enqueue against the clock, measure latency.

Used by files named `<peer>_peer.py`, which are modules of jobs for the worker and programs for the driver:

    python <peer>_peer.py fill|enqueue|pickup|roundtrip|lateness|victim ...
"""

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any

import redis
from counter import counter

DSN = os.environ.get("BENCH_DSN", "redis://127.0.0.1:6379")
MAX_JOBS = int(os.environ.get("BENCH_MAX_JOBS", "10"))
PROCESSES = int(os.environ.get("BENCH_PROCESSES", "1"))
ANSWERS = "bench:answers"
STARTS = "bench:starts"
#: Seconds that the job runs whose process is killed.
VICTIM_S = 2

_client: Any = redis.Redis.from_url(DSN)
_lock = threading.Lock()


def hit() -> None:
    """Count a job of a peer that runs them in threads."""
    with _lock:
        counter.hit()


def answer(due_ns: int) -> None:
    """Tell the producer how long after `due_ns` (CLOCK_MONOTONIC) this job began."""
    _client.rpush(ANSWERS, (time.monotonic_ns() - due_ns) / 1e6)


def tell_start() -> None:
    """Tell the driver which process runs this job since when."""
    _client.rpush(STARTS, f"{os.getpid()} {time.monotonic_ns()}")


def pause_s(number: int) -> float:
    """A pause before the job of this number: evenly over half a second, the period at which some workers look."""
    return number * 0.618 % 1 * 0.5


class Producer:
    """One peer's way to enqueue. Subclasses say how; everything else is the same for all."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job and return what `result` needs."""
        raise NotImplementedError

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due in `delay_s`."""
        raise NotImplementedError

    async def send_many(self, function: str, count: int) -> None:
        """Enqueue `count` jobs in one call, if the peer can."""
        raise NotImplementedError

    async def result(self, handle: Any) -> None:
        """Wait for the result of a job, as it comes."""
        raise NotImplementedError

    async def fill(self, function: str, count: int) -> float:
        """Put `count` jobs in; not a measurement."""
        for start in range(0, count, 100):
            await asyncio.gather(*[self.send(function) for _ in range(min(100, count - start))])
        return float(count)

    async def enqueue(self, mode: str, count: int) -> float:
        """Jobs per second by `mode`: one (awaited one by one), gather (100 at once), bulk (100 a call)."""
        began = time.perf_counter()
        if mode == "one":
            for _ in range(count):
                await self.send("noop")
        else:
            for _ in range(count // 100):
                await (self.send_many("noop", 100) if mode == "bulk" else self.fill("noop", 100))
        return count / (time.perf_counter() - began)

    async def pickup(self, count: int) -> list[float]:
        """Milliseconds from before the enqueue to the first line of the job, on an idle worker."""
        took = []
        for number in range(count):
            await asyncio.sleep(pause_s(number))
            await self.send("started", time.monotonic_ns())
            took.append(await _next_answer())
        return took

    async def lateness(self, count: int) -> list[float]:
        """Milliseconds that deferred jobs begin after their time, on an idle worker."""
        for number in range(count):
            delay_s = 0.5 + number * 0.07
            await self.send_later("started", delay_s, time.monotonic_ns() + int(delay_s * 1e9))
        return [await _next_answer() for _ in range(count)]

    async def victim(self) -> int:
        """Enqueue the job whose process is to be killed."""
        await self.send("victim")
        return 1

    async def roundtrip(self, count: int) -> list[float]:
        """Milliseconds from before the enqueue to the result in hand, as it comes."""
        took = []
        for _ in range(count):
            await asyncio.sleep(0.03)
            began = time.perf_counter()
            await self.result(await self.send("noop"))
            took.append((time.perf_counter() - began) * 1000)
        return took


async def _next_answer() -> float:
    while (found := _client.lpop(ANSWERS)) is None:
        await asyncio.sleep(0.002)
    return float(found)


async def _main(producer: Producer, operation: str, *arguments: str) -> None:
    typed = [int(one) if one.isdigit() else one for one in arguments]
    await producer.open()
    print(json.dumps(await getattr(producer, operation)(*typed)))
    await producer.close()


def main(producer: Producer) -> None:
    """Run the operation of the command line and print its result as JSON."""
    asyncio.run(_main(producer, *sys.argv[1:]))
