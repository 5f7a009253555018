"""Count what a job costs: round trips, Redis commands, Python calls. A program, because pytest would be counted, too.

    python -m tests.perf.measure redis://127.0.0.1:6379       # prints JSON; empties the server

The cost of a job is the difference between a long and a short run, divided by the difference of their jobs: what a
start and a stop cost is not in it. Nothing here looks at a clock.
"""

import asyncio
import json
import logging.config
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from arq._worker import claim_size
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.logs import default_log_config
from arq.worker import Worker

#: Jobs of the short and of the long run. Whole batches, for all `max_jobs` that are measured.
SHORT, LONG = 300, 1300

Counts = dict[str, float]


@dataclass
class Calls:
    """Calls of Python functions; a coroutine that is resumed counts again, that is work as well."""

    count: int = 0

    def __call__(self, _frame: object, event: str, _arg: object) -> None:
        self.count += event == "call"


class Meter:
    """Counts what happens in this process and on the server inside `counting`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.counts: Counts = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what happens in this block."""
        calls = Calls()
        before = self._server()
        sys.setprofile(calls)
        try:
            yield
        finally:
            sys.setprofile(None)
        after = self._server()
        self.counts = {name: after[name] - before[name] for name in after}
        self.counts["round_trips"] -= 1  # our own question
        self.counts["commands"] -= 1
        self.counts["python_calls"] = float(calls.count)

    def _server(self) -> Counts:
        found: Any = self._client.info("everything")
        return {
            "commands": float(found["total_commands_processed"]),
            "round_trips": float(found["total_reads_processed"]),
        }


async def noop(ctx: dict[Any, Any]) -> None:
    """The cheapest job there is."""


async def _producing(meter: Meter, settings: RedisSettings, produce: Callable[[ArqRedis], Any]) -> None:
    pool = await create_pool(settings)
    await pool.enqueue_job("noop")  # the connection is there, the server knows the script
    with meter.counting():
        await produce(pool)
    await pool.close(close_connection_pool=True)


def enqueue_one(meter: Meter, settings: RedisSettings, jobs: int) -> None:
    """Jobs that are awaited one by one."""

    async def produce(pool: ArqRedis) -> None:
        for _ in range(jobs):
            await pool.enqueue_job("noop")

    asyncio.run(_producing(meter, settings, produce))


def enqueue_gather(meter: Meter, settings: RedisSettings, jobs: int) -> None:
    """Jobs of which 100 are awaited at a time."""

    async def produce(pool: ArqRedis) -> None:
        for _ in range(jobs // 100):
            await asyncio.gather(*[pool.enqueue_job("noop") for _ in range(100)])

    asyncio.run(_producing(meter, settings, produce))


def enqueue_bulk(meter: Meter, settings: RedisSettings, jobs: int) -> None:
    """100 jobs a call."""

    async def produce(pool: ArqRedis) -> None:
        for _ in range(jobs // 100):
            await pool.enqueue_jobs(["noop"] * 100)

    asyncio.run(_producing(meter, settings, produce))


def _work(max_jobs: int) -> Callable[[Meter, RedisSettings, int], None]:
    def measure(meter: Meter, settings: RedisSettings, jobs: int) -> None:
        async def fill() -> None:
            pool = await create_pool(settings)
            for _ in range(jobs // 100):
                await pool.enqueue_jobs(["noop"] * 100)
            await pool.close(close_connection_pool=True)

        asyncio.run(fill())
        worker = Worker(
            functions=[noop], redis_settings=settings, max_jobs=max_jobs, burst=True, handle_signals=False
        )
        with meter.counting():
            worker.run()
        assert worker.jobs_complete == jobs, f"{worker.jobs_complete} of {jobs} jobs ran"

    return measure


ROWS: dict[str, Callable[[Meter, RedisSettings, int], None]] = {
    "enqueue-one": enqueue_one,
    "enqueue-gather": enqueue_gather,
    "enqueue-bulk": enqueue_bulk,
    "noop-10": _work(10),
    "noop-100": _work(100),
}


def measure(dsn: str) -> dict[str, Counts]:
    """The cost of a job in each row. Empties the server."""
    claim_size._SHORT_TURN_S = math.inf  # the turn of a loop is long, too, where the machine stands still
    settings = RedisSettings.from_dsn(dsn)
    found: dict[str, Counts] = {}
    with redis.Redis.from_url(dsn) as client:
        meter = Meter(client)
        for name, run in ROWS.items():
            runs = []
            for jobs in (SHORT, SHORT, LONG):  # the first one warms up: imports, caches
                client.flushdb()
                run(meter, settings, jobs)
                runs.append(meter.counts)
            _, short, long = runs
            found[name] = {what: (long[what] - short[what]) / (LONG - SHORT) for what in long}
        client.flushall()
    return found


def main() -> None:
    """Measure with the log on, as it comes, and print."""
    with open(os.devnull, "w") as nowhere:
        standard_error, sys.stderr = sys.stderr, nowhere
        logging.config.dictConfig(default_log_config(verbose=False))
        sys.stderr = standard_error
        found = measure(sys.argv[1])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
