"""One peer's processes for one measurement."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.arq_wire import ArqQueue
from benchmarks.peers import CODE, Peer
from benchmarks.peers_code import counter
from benchmarks.server import Server

Numbers = dict[str, float]
GIVE_UP_S = 40


class Run:
    """One peer's processes for one measurement.

    Args:
        peer: whose.
        server: the Redis they use.
        max_jobs: jobs at a time in each process.
        processes: how many processes run jobs.
        host: tells pools of the same peer on one machine apart.
        extra: settings of the worker beside those of all.
    """

    def __init__(
        self, peer: Peer, server: Server, max_jobs: int, processes: int = 1, host: str = "a", **extra: Any
    ) -> None:
        self.peer, self.server, self.host = peer, server, host
        self.max_jobs, self.processes = max_jobs, processes
        handle, self.counter_path = tempfile.mkstemp(prefix="arq-bench-count-")
        os.close(handle)
        counter.create(self.counter_path)
        self.queue = ArqQueue(server.client)
        self.workers: list[psutil.Process] = []
        #: all that was ever seen: whose parent was killed is nobody's child any more
        self._known: set[psutil.Process] = set()
        self._extra = peer.extra | extra

    def environment(self) -> dict[str, str]:
        """What the peer's code reads."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ARQ_"))}
        env |= {
            "BENCH_DSN": self.server.dsn,
            "BENCH_COUNTER": self.counter_path,
            "BENCH_MAX_JOBS": str(self.max_jobs),
            "BENCH_PROCESSES": str(self.processes),
            "BENCH_EXTRA": json.dumps(self._extra),
        }
        if "BENCH_PYTHON_OURS" in os.environ and self.peer.name.startswith("ours"):
            env["PYTHONPATH"] = str(CODE.parents[1])
        if self.peer.path:
            env["PYTHONPATH"] = self.peer.path
        return env

    def produce(self, operation: str, *arguments: object) -> Any:
        """Let the peer's producer do something and return what it printed.

        Raises:
            RuntimeError: it failed, or took longer than a minute.
        """
        command = [self.peer.python(), self.peer.producer, operation, *map(str, arguments)]
        try:
            done = subprocess.run(
                command,
                cwd=CODE,
                env=self.environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{operation} took longer than 60 s") from None
        if done.returncode:
            raise RuntimeError(f"{operation}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)

    def fill(self, function: str, count: int) -> None:
        """Put jobs into the queue; not a measurement."""
        if self.peer.wire == "arq":
            self.queue.fill(function, count, self._extra.get("serializer", "pickle"))
        else:
            self.produce("fill", function, count)

    def start_workers(self) -> None:
        """Start what runs the jobs. Its output goes to /dev/null, at whatever log level it comes with."""
        commands = 1 if self.peer.many_processes else self.processes
        for _ in range(commands):
            process = subprocess.Popen(
                self.peer.command(self.server.dsn, self.max_jobs, self.processes, self.host),
                cwd=CODE, env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.workers.append(psutil.Process(process.pid))

    def family(self) -> list[psutil.Process]:
        """All processes of the workers."""
        found = []
        for worker in self.workers:
            with contextlib.suppress(psutil.Error):
                found += [worker, *worker.children(recursive=True)]
        self._known.update(found)
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

    def kill(self) -> None:
        """What the death of a host does to its processes: all at once, and none learns of the others' end."""
        family = self.family()
        for sent in (signal.SIGSTOP, signal.SIGKILL):
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(sent)
        psutil.wait_procs(family, timeout=5)

    def close(self) -> None:
        """End everything that this run started."""
        self.family()
        for process in self.workers:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)
        _gone, alive = psutil.wait_procs(list(self._known), timeout=1.5)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        Path(self.counter_path).unlink(missing_ok=True)


@contextlib.contextmanager
def running(peer: Peer, server: Server, max_jobs: int, processes: int = 1, **extra: Any) -> Iterator[Run]:
    """A Run on an empty database that is cleaned up."""
    server.client.flushall()
    run = Run(peer, server, max_jobs, processes, **extra)
    try:
        yield run
    finally:
        run.close()


def until(condition: Callable[[], Any], what: str, give_up_s: float = GIVE_UP_S) -> None:
    """Wait until `condition()` is true.

    Raises:
        RuntimeError: it did not become true in time.
    """
    deadline = time.monotonic() + give_up_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {give_up_s:.0f} s: {what}")
        time.sleep(0.005)
