"""Scenarios of latency, of what a worker costs while it has nothing to do, and of recovery."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.peers import PEERS, Peer
from benchmarks.run import Numbers, Run, running, until
from benchmarks.server import Server

Measure = Callable[[Peer, Server], Numbers]
STARTS = "bench:starts"
#: Seconds after which a job that does not come back is given up.
RECOVERY_LIMIT_S = 90
#: Dozens of programs that start at once would not be there before the job is over.
_FEW_AT_A_TIME = threading.Semaphore(3)
#: Seconds until all processes of a pool are there: one that starts later may find the job by chance.
_SETTLE_S = 2.5


def latency(operation: str, count: int) -> Measure:
    """Milliseconds, one job at a time, on an idle worker."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10) as run:
            run.start_workers()
            run.produce(operation, 2)
            took = sorted(run.produce(operation, count))
            return {"ms median": median(took), "ms p95": took[int(len(took) * 0.95)], "ms max": took[-1]}

    return measure


def mixed_pickup(poll_delay: float, count: int) -> Measure:
    """Pick-up of jobs that a producer of the original enqueues, who leaves no token; and the price when idle."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with (
            running(peer, server, 10, poll_delay=poll_delay) as run,
            contextlib.closing(Run(PEERS["arq"], server, 10)) as original,
        ):
            run.start_workers()
            original.produce("pickup", 2)
            took = sorted(original.produce("pickup", count))
            before, began = server.usage(), time.monotonic()
            time.sleep(3)
            used = server.usage().since(before)
            idle_per_s = (used.commands - 1) / (time.monotonic() - began)
            return {"ms median": median(took), "ms max": took[-1], "idle commands/s": idle_per_s}

    return measure


def idle(elsewhere: int, processes: int = 1, settle_s: float = 3.0, seconds: float = 5.0) -> Measure:
    """What a worker without work costs, and its memory."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10, processes) as run:
            if elsewhere:
                run.queue.hold(elsewhere)
            run.start_workers()
            time.sleep(settle_s)
            before, cpu_s, began = server.usage(), run.cpu_s(), time.monotonic()
            time.sleep(seconds)
            took_s = time.monotonic() - began
            used = server.usage().since(before)
            return {
                "commands/s": (used.commands - 1) / took_s,
                "cpu %": (run.cpu_s() - cpu_s) / took_s * 100,
                "PSS MB": run.pss_mb(),
                "processes": float(len(run.family())),
            }

    return measure


def idle_beside(count: int) -> Measure:
    """A worker without work while another of the same kind runs `count` jobs: the commands of both."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, count) as run:
            run.produce("holding", count)
            run.start_workers()
            until(lambda: server.matching("arq:in-progress:*") == count, f"{count} jobs run")
            run.max_jobs = 10
            run.start_workers()
            time.sleep(3)
            before, began = server.usage(), time.monotonic()
            time.sleep(6)
            used = server.usage().since(before)
            return {"commands/s": (used.commands - 1) / (time.monotonic() - began)}

    return measure


def killed_process(count: int) -> Measure:
    """From the SIGKILL of the process that runs a job to the job's next start in another process."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10, 2) as run:
            run.start_workers()
            took = sorted(_wait_s(run, _killed(run, _kill_process)) for _ in range(count))
            return {"s": median(took), "s max": took[-1], "came back": 1.0}

    return measure


def killed_process_once(peer: Peer, server: Server) -> Numbers:
    """The same once, given up after a while."""
    with running(peer, server, 10, 2) as run:
        with _FEW_AT_A_TIME:
            run.start_workers()
            time.sleep(_SETTLE_S)
            killed_ns = _killed(run, _kill_process)
        return _until_back(run, killed_ns)


def killed_host(peer: Peer, server: Server) -> Numbers:
    """From the SIGKILL of everything on one of two hosts to the job's next start on the other."""
    with running(peer, server, 10, 2) as first, contextlib.closing(Run(peer, server, 10, 2, "b")) as second:

        def kill_host(pid: int) -> None:
            (dying,) = [run for run in (first, second) if pid in {one.pid for one in run.family()}]
            dying.kill()

        with _FEW_AT_A_TIME:
            first.start_workers()
            second.start_workers()
            time.sleep(_SETTLE_S)
            killed_ns = _killed(first, kill_host)
        return _until_back(first, killed_ns)


def _kill_process(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _killed(run: Run, kill: Callable[[int], None]) -> int:
    """Enqueue a job and kill what runs it; returns when, in ns."""
    client: Any = run.server.client
    client.delete(STARTS)
    run.produce("victim")
    until(lambda: client.llen(STARTS) == 1, "the job runs")
    pid = int(client.lindex(STARTS, 0).split()[0])
    run.family()  # to be ended later, also those whose parent is killed now
    killed_ns = time.monotonic_ns()
    kill(pid)
    return killed_ns


def _until_back(run: Run, killed_ns: int) -> Numbers:
    try:
        return {"s": _wait_s(run, killed_ns), "came back": 1.0}
    except TimeoutError:
        return {"s": float(RECOVERY_LIMIT_S), "came back": 0.0}


def _wait_s(run: Run, killed_ns: int) -> float:
    """Seconds until the job starts again.

    Raises:
        TimeoutError: it does not within `RECOVERY_LIMIT_S`.
    """
    client: Any = run.server.client
    deadline_ns = killed_ns + RECOVERY_LIMIT_S * 10**9
    while client.llen(STARTS) < 2:
        if time.monotonic_ns() > deadline_ns:
            raise TimeoutError
        time.sleep(0.005)
    took_s = (int(client.lindex(STARTS, 1).split()[1]) - killed_ns) / 1e9
    if run.peer.wire == "arq":
        until(lambda: client.zcard("arq:queue") == 0, "the job ends")
    return took_s
