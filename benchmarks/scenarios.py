"""What is measured. Each scenario runs one peer once and returns named numbers."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.peers import CODE, Peer
from benchmarks.peers_code import counter
from benchmarks.server import Server

Numbers = dict[str, float]
GIVE_UP_S = 40


@dataclass(frozen=True)
class Scenario:
    """A named measurement; `needs` is the ability a peer must have."""

    name: str
    needs: str
    headline: str
    run: Callable[[Peer, Server], Numbers]


class Run:
    """One peer's processes for one measurement, on an empty database."""

    def __init__(self, peer: Peer, server: Server, max_jobs: int, processes: int = 1) -> None:
        self.peer, self.server = peer, server
        self.max_jobs, self.processes = max_jobs, processes
        self.counter_path = tempfile.mktemp(prefix="arq-bench-count-")
        counter.create(self.counter_path)
        self.workers: list[psutil.Process] = []
        server.client.flushall()

    def environment(self) -> dict[str, str]:
        """What the peer's code reads."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ARQ_"))}
        env |= {
            "BENCH_DSN": self.server.dsn,
            "BENCH_COUNTER": self.counter_path,
            "BENCH_MAX_JOBS": str(self.max_jobs),
            "BENCH_PROCESSES": str(self.processes),
            "BENCH_EXTRA": json.dumps(self.peer.extra),
        }
        if "BENCH_PYTHON_OURS" in os.environ and self.peer.name.startswith("ours"):
            env["PYTHONPATH"] = str(CODE.parents[1])
        return env

    def produce(self, operation: str, *arguments: object) -> Any:
        """Let the peer's producer do something and return what it printed."""
        command = [self.peer.python(), self.peer.producer, operation, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=CODE, env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.peer.name} {operation}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)

    def start_workers(self) -> None:
        """Start what runs the jobs. Its output goes to /dev/null, at whatever log level it comes with."""
        commands = 1 if self.peer.many_processes else self.processes
        for _ in range(commands):
            process = subprocess.Popen(
                self.peer.command(self.server.dsn, self.max_jobs, self.processes),
                cwd=CODE, env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.workers.append(psutil.Process(process.pid))

    def family(self) -> list[psutil.Process]:
        """All processes of the workers."""
        found = []
        for worker in self.workers:
            with contextlib.suppress(psutil.Error):
                found += [worker, *worker.children(recursive=True)]
        return found

    def cpu_s(self) -> float:
        """CPU that the worker processes have used so far."""
        total = 0.0
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def pss_mb(self) -> float:
        """Memory of all processes together, shared pages counted once."""
        return sum(process.memory_full_info().pss for process in self.family()) / 1e6

    def close(self) -> None:
        """End everything that this run started."""
        for process in self.workers:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)
        family = self.family()
        _gone, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        Path(self.counter_path).unlink(missing_ok=True)


@contextlib.contextmanager
def running(peer: Peer, server: Server, max_jobs: int, processes: int = 1) -> Iterator[Run]:
    """A Run that is cleaned up."""
    run = Run(peer, server, max_jobs, processes)
    try:
        yield run
    finally:
        run.close()


def drain(run: Run, count: int, give_up_s: float = GIVE_UP_S) -> Numbers:
    """Start the workers on a full queue and watch `count` jobs run."""
    before = run.server.usage()
    run.start_workers()
    samples, cpu_s = _watch(run, count, give_up_s)
    used = run.server.usage().since(before)
    ran = max(samples[-1][1], 1)
    return {
        "jobs/s": _steady(samples, count),
        "ran": float(samples[-1][1]),
        "worker us/job": cpu_s / ran * 1e6,
        "redis us/job": used.cpu_s / ran * 1e6,
        "commands/job": used.commands / ran,
        "reads/job": used.reads / ran,
    }


def _watch(run: Run, count: int, give_up_s: float) -> tuple[list[tuple[float, int, int]], float]:
    """(time, jobs so far, processes at work) every few ms until all ran; and the CPU spent since the first."""
    samples: list[tuple[float, int, int]] = []
    deadline = time.monotonic() + give_up_s
    cpu_at_first_s: float | None = None
    with open(run.counter_path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as shared:
        while time.monotonic() < deadline:
            slots = counter.parse(shared)
            total = sum(jobs for jobs, _first, _last in slots)
            samples.append((time.monotonic(), total, len(slots)))
            if total and cpu_at_first_s is None:
                cpu_at_first_s = run.cpu_s()
            if total >= count:
                break
            time.sleep(0.005)
    return samples, run.cpu_s() - (cpu_at_first_s or 0.0)


def _steady(samples: list[tuple[float, int, int]], count: int) -> float:
    """Jobs per second while every process is at work: from 5 % (or the last one's start) to 95 %."""
    most = max(processes for _when, _total, processes in samples)
    inside = [(when, total) for when, total, at_work in samples if at_work == most and 0.05 * count <= total]
    inside = [(when, total) for when, total in inside if total <= 0.95 * count] or inside
    if len(inside) < 2 or inside[-1][0] <= inside[0][0]:
        return 0.0
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def noop(
    function: str, max_jobs: int, processes: int, seconds: float = 2.0
) -> Callable[[Peer, Server], Numbers]:
    """Jobs from a full queue; as many as the peer may be expected to do in `seconds`."""

    def measure(peer: Peer, server: Server) -> Numbers:
        count = int(peer.expected_per_s * seconds)
        with running(peer, server, max_jobs, processes) as run:
            run.produce("fill", function, count)
            return drain(run, count)

    return measure


def held(elsewhere: int, max_jobs: int) -> Callable[[Peer, Server], Numbers]:
    """No-op jobs while `elsewhere` jobs are running under workers of the original."""

    def measure(peer: Peer, server: Server) -> Numbers:
        count = int(peer.expected_per_s * 2)
        with running(peer, server, max_jobs) as run:
            run.produce("held", elsewhere)
            run.produce("fill", "noop", count)
            return drain(run, count, give_up_s=8)

    return measure


def depth(queued: int) -> Callable[[Peer, Server], Numbers]:
    """No-op jobs at the head of a very long queue."""

    def measure(peer: Peer, server: Server) -> Numbers:
        count = int(peer.expected_per_s * 2)
        with running(peer, server, 100) as run:
            run.produce("fill", "noop", queued)
            return drain(run, count)

    return measure


def enqueue(mode: str, count: int) -> Callable[[Peer, Server], Numbers]:
    """Jobs enqueued per second."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10) as run:
            before = server.usage()
            rate = run.produce("enqueue", mode, count)
            used = server.usage().since(before)
            return {"jobs/s": rate, "commands/job": used.commands / count, "reads/job": used.reads / count}

    return measure


def latency(operation: str, count: int) -> Callable[[Peer, Server], Numbers]:
    """Milliseconds, one job at a time, on an idle worker."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10) as run:
            run.start_workers()
            run.produce(operation, 2)
            took = sorted(run.produce(operation, count))
            return {"ms median": median(took), "ms p95": took[int(len(took) * 0.95)], "ms max": took[-1]}

    return measure


def idle(elsewhere: int, processes: int = 1) -> Callable[[Peer, Server], Numbers]:
    """What a worker without work costs, and its memory."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10, processes) as run:
            if elsewhere:
                run.produce("held", elsewhere)
            run.start_workers()
            time.sleep(3)
            before, cpu_s, began = server.usage(), run.cpu_s(), time.monotonic()
            time.sleep(6)
            took_s = time.monotonic() - began
            used = server.usage().since(before)
            return {
                "commands/s": (used.commands - 1) / took_s,
                "cpu %": (run.cpu_s() - cpu_s) / took_s * 100,
                "PSS MB": run.pss_mb(),
                "processes": float(len(run.family())),
            }

    return measure


def idle_beside(count: int) -> Callable[[Peer, Server], Numbers]:
    """A worker without work while another of the same kind runs `count` jobs: the commands of both."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, count) as run:
            run.produce("holding", count)
            run.start_workers()
            _until(lambda: run.server.matching("arq:in-progress:*") == count, f"{count} jobs run")
            run.max_jobs = 10
            run.start_workers()
            time.sleep(3)
            before, began = server.usage(), time.monotonic()
            time.sleep(6)
            used = server.usage().since(before)
            return {"commands/s": (used.commands - 1) / (time.monotonic() - began)}

    return measure


def recovery(count: int) -> Callable[[Peer, Server], Numbers]:
    """Seconds from the SIGKILL of the process that runs a job to the job's next start in another process."""

    def measure(peer: Peer, server: Server) -> Numbers:
        with running(peer, server, 10, 2) as run:
            run.start_workers()
            took = sorted(_recover(run) for _ in range(count))
            return {"ms median": median(took), "ms max": took[-1]}

    return measure


def _recover(run: Run) -> float:
    client: Any = run.server.client
    starts = "bench:starts"
    client.delete(starts)
    run.produce("victim")
    _until(lambda: client.llen(starts) == 1, "the job runs")
    killed_ns = time.monotonic_ns()
    os.kill(int(client.lindex(starts, 0).split()[0]), signal.SIGKILL)
    _until(lambda: client.llen(starts) == 2, "the job runs again")
    took_ms = (int(client.lindex(starts, 1).split()[1]) - killed_ns) / 1e6
    _until(lambda: client.zcard("arq:queue") == 0, "the job ends")
    return took_ms


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {GIVE_UP_S} s: {what}")
        time.sleep(0.005)


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("noop100", "noop", "jobs/s", noop("noop", 100, 1)),
        Scenario("noop10", "noop", "jobs/s", noop("noop", 10, 1)),
        Scenario("noop100x2", "noop", "jobs/s", noop("noop", 100, 2)),
        Scenario("noop100x4", "noop", "jobs/s", noop("noop", 100, 4)),
        Scenario("sleep10", "sleep10", "jobs/s", noop("sleep10", 100, 1)),
        Scenario("held0", "held", "jobs/s", held(0, 100)),
        Scenario("held500", "held", "jobs/s", held(500, 100)),
        Scenario("held2000", "held", "jobs/s", held(2000, 100)),
        Scenario("enqueue-one", "enqueue", "jobs/s", enqueue("one", 3000)),
        Scenario("depth1m", "depth", "jobs/s", depth(1_000_000)),
        Scenario("enqueue-gather", "gather", "jobs/s", enqueue("gather", 10_000)),
        Scenario("enqueue-bulk", "bulk", "jobs/s", enqueue("bulk", 20_000)),
        Scenario("pickup", "pickup", "ms median", latency("pickup", 40)),
        Scenario("roundtrip", "roundtrip", "ms median", latency("roundtrip", 25)),
        Scenario("lateness", "lateness", "ms median", latency("lateness", 20)),
        Scenario("idle", "noop", "commands/s", idle(0)),
        Scenario("idle600", "held", "commands/s", idle(600)),
        Scenario("idle600-same", "held-by-ours", "commands/s", idle_beside(600)),
        Scenario("memory4", "noop", "PSS MB", idle(0, 4)),
        Scenario("recovery", "recovery", "ms median", recovery(5)),
    )
}
