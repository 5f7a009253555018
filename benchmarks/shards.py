"""How many no-op jobs a second 1, 2, 3 servers carry: `python -m benchmarks scale --shards`.

Each server has workers of its own and the same number of jobs, enqueued beforehand. What is measured is the time from
the start signal until all are done, and what it took of the CPU: of the servers, which is the limit of one server, and
of the workers, which is the limit of a machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

import psutil
import redis

from arq.connections import RedisSettings
from arq.shards import ArqShards
from benchmarks.report import row
from benchmarks.server import binaries

HOST = "127.0.0.1"
_WORKER = """
import asyncio, sys
from arq.connections import RedisSettings
from arq.worker import Worker

async def noop(ctx):
    pass

port = int(sys.argv[1])
worker = Worker(
    [noop], redis_settings=RedisSettings("127.0.0.1", port), burst=True, max_jobs=100, log_results=False,
    keep_result=60, poll_delay=0.01, handle_signals=False,
)
sys.stdin.readline()
asyncio.run(worker.main())
"""


class Measured(NamedTuple):
    """One run: jobs a second, and µs of CPU a job of the servers and of the workers."""

    rate: float
    servers_us: float
    workers_us: float


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale --shards", description=__doc__)
    parser.add_argument("--counts", default="1,2,3", help="how many servers (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of each server (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=20_000, help="on each server (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", default=next(iter(binaries())), help="which one (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.server not in binaries():
        parser.error(f"no server {options.server!r} here: use {' '.join(binaries())}")
    return options


@contextlib.contextmanager
def servers(binary: str, count: int) -> Iterator[list[tuple[int, psutil.Process]]]:
    """Ports and processes of so many servers."""
    started: list[tuple[int, subprocess.Popen[bytes]]] = []
    try:
        for _ in range(count):
            port = _free_port()
            words = [binary, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
            started.append((port, subprocess.Popen(words, stdout=subprocess.DEVNULL)))
        for port, _ in started:
            _wait_for(port)
        yield [(port, psutil.Process(process.pid)) for port, process in started]
    finally:
        for _, process in started:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    with redis.Redis(HOST, port) as client:
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                return
            time.sleep(0.05)


async def _enqueue(ports: list[int], jobs: int) -> None:
    async with ArqShards([RedisSettings(HOST, port) for port in ports]) as shards:
        for _ in range(0, jobs * len(ports), 5000):
            await shards.enqueue_jobs(["noop"] * 5000)


def measure(binary: str, count: int, workers: int, jobs: int) -> Measured:
    """One run with so many servers."""
    with servers(binary, count) as started:
        ports = [port for port, _ in started]
        asyncio.run(_enqueue(ports, jobs))
        todo = sum(_left(port) for port in ports)
        command = [sys.executable, "-c", _WORKER]
        children = [
            subprocess.Popen([*command, str(port)], stdin=subprocess.PIPE)
            for port in ports
            for _ in range(workers)
        ]
        time.sleep(1.0)  # they import
        before = _cpu_s([process for _, process in started])
        began_s, children_s = time.monotonic(), os.times().children_user + os.times().children_system
        for child in children:
            child.stdin.write(b"\n")  # type: ignore[union-attr]
            child.stdin.close()  # type: ignore[union-attr]
        for child in children:
            child.wait()
        took_s = time.monotonic() - began_s
        used_s = _cpu_s([process for _, process in started]) - before
        others_s = os.times().children_user + os.times().children_system - children_s
        assert not sum(_left(port) for port in ports), "jobs are left"
    return Measured(todo / took_s, used_s / todo * 1e6, others_s / todo * 1e6)


def _left(port: int) -> int:
    with redis.Redis(HOST, port) as client:
        found: Any = client.zcard("arq:queue")
        return int(found)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def main(arguments: list[str]) -> None:
    """Measure, and print a table."""
    options = parse(arguments)
    binary = binaries()[options.server]
    print(
        f"benchmarks: {os.cpu_count()} cores, {options.server}, {options.workers} workers a server",
        file=sys.stderr,
    )
    counts = [int(count) for count in options.counts.split(",")]
    found: dict[int, list[Measured]] = {count: [] for count in counts}
    for _ in range(options.rounds):
        for count in counts:  # they take turns
            found[count].append(measure(binary, count, options.workers, options.jobs))
    print(row(["servers", "jobs a second", "of one", "servers, µs a job", "workers, µs a job"]))
    print(row(["---"] * 5))
    one = median(run.rate for run in found[counts[0]])
    for count, runs in found.items():
        rate = median(run.rate for run in runs)
        cpu = (f"{median(getattr(run, name) for run in runs):.1f}" for name in ("servers_us", "workers_us"))
        print(row([str(count), f"{rate:,.0f}", f"{rate / one:.2f}", *cpu]))
