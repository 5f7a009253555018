"""Scenarios of throughput: jobs from a full queue, jobs into a queue."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers import Peer
from benchmarks.peers_code import counter
from benchmarks.run import Numbers, Run, running
from benchmarks.server import Server

Measure = Callable[[Peer, Server], Numbers]
#: Seconds after which a run counts with what was done until then.
GIVE_UP_S = 15
#: Jobs in one run at most: a server holds them all.
MOST_JOBS = 120_000

Sample = tuple[float, int, int]  # time, jobs so far, processes at work


def try_to_drain(run: Run, count: int, give_up_s: float = GIVE_UP_S, *, top_up: str = "") -> Numbers:
    """Start the workers on a full queue and watch `count` jobs run; `top_up` replaces those that ran."""
    before = run.server.usage()
    run.start_workers()
    samples, cpu_s = _watch(run, count, give_up_s, top_up)
    used = run.server.usage().since(before)
    ran = max(samples[-1][1], 1)
    return {
        "jobs/s": steady(samples, count),
        "ran": float(samples[-1][1]),
        "worker us/job": cpu_s / ran * 1e6,
        "redis us/job": used.cpu_s / ran * 1e6,
        "commands/job": used.commands / ran,
        "reads/job": used.reads / ran,
    }


def drain(run: Run, count: int, *, top_up: str = "") -> Numbers:
    """The same for a peer that is expected to run jobs.

    Raises:
        RuntimeError: it ran none.
    """
    numbers = try_to_drain(run, count, top_up=top_up)
    if not numbers["ran"]:
        raise RuntimeError(f"no job ran within {GIVE_UP_S} s")
    return numbers


def _watch(run: Run, count: int, give_up_s: float, top_up: str) -> tuple[list[Sample], float]:
    """A sample every few ms until all ran; and the CPU spent since the first."""
    samples: list[Sample] = []
    deadline = time.monotonic() + give_up_s
    cpu_at_first_s: float | None = None
    with open(run.counter_path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as shared:
        while time.monotonic() < deadline:
            slots = counter.parse(shared)
            total = sum(jobs for jobs, _first, _last in slots)
            if top_up and samples:
                run.fill(top_up, total - samples[-1][1])
            samples.append((time.monotonic(), total, len(slots)))
            if total and cpu_at_first_s is None:
                cpu_at_first_s = run.cpu_s()
            if total >= count:
                break
            time.sleep(0.005)
    return samples, run.cpu_s() - (cpu_at_first_s or 0.0)


def steady(samples: list[Sample], count: int) -> float:
    """Jobs per second while every process is at work: from 5 % (or the last one's start) to 95 %."""
    most = max(processes for _when, _total, processes in samples)
    inside = [(when, total) for when, total, at_work in samples if at_work == most and 0.05 * count <= total]
    inside = [(when, total) for when, total in inside if total <= 0.95 * count] or inside
    if len(inside) < 2 or inside[-1][0] <= inside[0][0]:
        return 0.0
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def noop(max_jobs: int, processes: int, seconds: float = 1.0, **extra: Any) -> Measure:
    """Jobs from a full queue; as many as the peer may be expected to do in `seconds`. `extra` are settings."""

    def measure(peer: Peer, server: Server) -> Numbers:
        # several processes do not begin at once: enough for all of them
        count = int(peer.expected_per_s * (seconds if processes == 1 else 1.5 * seconds))
        with running(peer, server, max_jobs, processes, **extra) as run:
            run.fill("noop", count)
            return drain(run, count)

    return measure


def sleeping(limit_per_s: int, max_jobs: int) -> Measure:
    """Jobs that sleep: so many a second are possible at best."""

    def measure(peer: Peer, server: Server) -> Numbers:
        count = min(peer.expected_per_s, 2 * limit_per_s)
        with running(peer, server, max_jobs) as run:
            run.fill("sleep10", count)
            return drain(run, count)

    return measure


def scaling(function: str, limit_per_s: int, max_jobs: int, processes: int) -> Measure:
    """Jobs from a full queue by so many processes, each of which can do `limit_per_s` at best."""

    def measure(peer: Peer, server: Server) -> Numbers:
        # what one process does in 1.5 s, for each of them: all are at work for most of the run
        each = 1.5 * min(limit_per_s, peer.expected_per_s)
        count = int(min(each * processes, MOST_JOBS))
        with running(peer, server, max_jobs, processes) as run:
            run.fill(function, count)
            return drain(run, count)

    return measure


def held(elsewhere: int, max_jobs: int) -> Measure:
    """No-op jobs while `elsewhere` jobs are running under workers of the original."""

    def measure(peer: Peer, server: Server) -> Numbers:
        count = peer.expected_per_s
        with running(peer, server, max_jobs) as run:
            run.queue.hold(elsewhere)
            run.fill("noop", count)
            return try_to_drain(run, count, give_up_s=5)

    return measure


def depth(queued: int) -> Measure:
    """No-op jobs at the head of a queue that stays `queued` jobs long."""

    def measure(peer: Peer, server: Server) -> Numbers:
        count = peer.expected_per_s
        with running(peer, server, 100) as run:
            run.fill("noop", queued)
            return drain(run, count, top_up="noop")

    return measure


def enqueue(mode: str, seconds: float = 0.8) -> Measure:
    """Jobs enqueued per second."""

    def measure(peer: Peer, server: Server) -> Numbers:
        fast = peer.wire == "arq" and peer.name.startswith("ours") and mode != "one"
        count = int(40_000 * seconds) if fast else 3000
        with running(peer, server, 10) as run:
            before = server.usage()
            rate = run.produce("enqueue", mode, count)
            used = server.usage().since(before)
            return {
                "jobs/s": rate,
                "redis us/job": used.cpu_s / count * 1e6,
                "commands/job": used.commands / count,
                "reads/job": used.reads / count,
            }

    return measure
