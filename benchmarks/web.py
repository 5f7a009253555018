"""What a dashboard with many viewers costs a pool that works at its full rate, and how fast its pages are meanwhile:
`python -m benchmarks web --help`.

Windows with viewers and without them take turns on one pool. A window with them is compared with the mean of the two
beside it. On a machine that is busy with other things the rate says little: then CPU a job, of workers, supervisor,
dashboard and Redis together, says by how much the rate would fall where nothing else is left to give.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import psutil

from arq._dead_letters import DeadLetter
from benchmarks.arq_wire import QUEUE, payload_of
from benchmarks.peers import PEERS, ROOT
from benchmarks.peers_code import counter
from benchmarks.report import number, row
from benchmarks.run import Run, until
from benchmarks.server import Server
from benchmarks.viewers import Took

#: Of all jobs: those that wait for their time, have a result, have failed for good. The others are due.
SHARES = {"deferred": 0.3, "done": 0.35, "dead": 0.05}
RUNNING = 20
PAGE = 5000
TOKEN = secrets.token_urlsafe(32)
#: One job of each state that is not worked off, many times.
_PUT = """
for n = tonumber(ARGV[4]), tonumber(ARGV[5]) do
  local id = KEYS[2] .. string.format('%06d', n)
  if KEYS[2] == 'done' then
    redis.call('SET', 'arq:result:' .. id, ARGV[1], 'PX', 86400000)
  elseif KEYS[2] == 'dead' then
    redis.call('ZADD', KEYS[1] .. ':dead', ARGV[3] - n, id)
    redis.call('HSET', 'arq:dead:' .. id, 'payload', ARGV[1], 'entry', ARGV[2], 'queue', KEYS[1])
    redis.call('PEXPIRE', 'arq:dead:' .. id, 86400000)
  else
    redis.call('SET', 'arq:job:' .. id, ARGV[1], 'PX', 864000000)
    redis.call('ZADD', KEYS[1], ARGV[3] + 3600000 + n, id)
  end
end
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks web", description=__doc__)
    parser.add_argument(
        "--procs", type=int, default=max(1, (os.cpu_count() or 1) - 1), help="worker processes"
    )
    parser.add_argument("--jobs", type=int, default=200_000, help="jobs of all states (default: 200,000)")
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between two looks of each viewer"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a window")
    parser.add_argument("--rounds", type=int, default=8, help="windows with viewers")
    return parser.parse_args(arguments)


class WatchedRun(Run):
    """A pool with a dashboard whose viewers may see everything."""

    def __init__(self, server: Server, processes: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        peer = PEERS["ours-supervised"]
        words = (*peer.worker, "--web", self.address, "--web-allow", "all")
        super().__init__(replace(peer, worker=words), server, max_jobs=100, processes=processes)

    def environment(self) -> dict[str, str]:
        """What the pool reads."""
        return super().environment() | {"ARQ_WEB_TOKEN": TOKEN}

    def count(self) -> int:
        """Jobs that ran so far."""
        return sum(jobs for jobs, _, _ in counter.parse(Path(self.counter_path).read_bytes()))

    def cpu_of_web_s(self) -> float:
        """CPU that the dashboard has used so far."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if process.name().startswith("arq:we:"):
                    times = process.cpu_times()
                    return float(times.user + times.system)
        return 0.0


def populate(server: Server, jobs: int) -> None:
    """Jobs that stay as they are."""
    put = server.client.register_script(_PUT)
    payload, now_ms = payload_of("noop")
    dead = DeadLetter(
        "noop", "ValueError('no')", "builtins.ValueError", "Traceback ...\n", 3, now_ms, now_ms, now_ms
    )
    entry = dead.encoded()
    values = {"deferred": payload, "dead": payload, "done": result_of("noop")}
    for state, share in SHARES.items():
        count = int(jobs * share)
        for start in range(0, count, PAGE):
            args = (values[state], entry, now_ms, start, min(start + PAGE, count) - 1)
            put(keys=[QUEUE, state], args=args)


def result_of(function: str) -> bytes:
    """A result as arq writes it."""
    from arq.jobs import serialize_result

    now_ms = int(time.time() * 1000)
    found = serialize_result(function, (), {}, 1, now_ms, True, None, now_ms, now_ms, "1:noop", QUEUE, "1")
    assert found is not None
    return found


@contextlib.contextmanager
def viewing(run: WatchedRun, options: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    """A process with the viewers."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.viewers",
        run.address,
        str(options.viewers),
        str(options.every),
    ]
    environment = {**os.environ, "ARQ_WEB_TOKEN": TOKEN}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.communicate()


@dataclass
class Window:
    """What was measured in a window."""

    rate: float
    web_cpu: float
    #: µs of all processes and of Redis
    cpu_a_job: float
    took: Took


class Session:
    """Measures windows on one pool."""

    def __init__(self, run: WatchedRun, viewers: subprocess.Popen[str], options: argparse.Namespace) -> None:
        self._run, self._viewers, self._options = run, viewers, options
        self._due = int(options.jobs * (1 - sum(SHARES.values())))
        self._rate = 20_000.0

    def window(self, *, has_viewers: bool) -> Window:
        """The rate of jobs, beside viewers or not. There is always more to do than can be done."""
        run, seconds = self._run, self._options.seconds
        wanted = self._due + int(self._rate * seconds * 1.5)
        waiting: Any = run.server.client.zcount(QUEUE, "-inf", int(time.time() * 1000))
        run.fill("noop", max(0, wanted - int(waiting)))
        time.sleep(0.3)
        took: Took = {}
        began_s, before, cpu_s, all_s = time.monotonic(), run.count(), run.cpu_of_web_s(), self._cpu_s()
        if has_viewers:
            assert self._viewers.stdin is not None
            assert self._viewers.stdout is not None
            self._viewers.stdin.write(f"{seconds}\n")
            self._viewers.stdin.flush()
            took = json.loads(self._viewers.stdout.readline())
        else:
            time.sleep(seconds)
        elapsed_s = time.monotonic() - began_s
        jobs = max(1, run.count() - before)
        self._rate = jobs / elapsed_s
        cpu_a_job = (self._cpu_s() - all_s) / jobs * 1e6
        return Window(self._rate, (run.cpu_of_web_s() - cpu_s) / elapsed_s, cpu_a_job, took)

    def _cpu_s(self) -> float:
        return self._run.cpu_s() + self._run.server.cpu_s


def report(windows: list[Window], options: argparse.Namespace) -> str:
    """Tables of both; with viewers are windows 1, 3, 5 ..."""
    falls = [
        1 - windows[at].rate / fmean((windows[at - 1].rate, windows[at + 1].rate))
        for at in range(1, len(windows), 2)
    ]
    dearer = [
        1 - fmean((windows[at - 1].cpu_a_job, windows[at + 1].cpu_a_job)) / windows[at].cpu_a_job
        for at in range(1, len(windows), 2)
    ]
    took: Took = defaultdict(list)
    for window in windows:
        for path, found in window.took.items():
            took[path] += found
    everything = [one for found in took.values() for one in found]
    lines = [row(["page", "looks", "median ms", "p95 ms", "most ms"]), row(["-"] * 5)]
    lines += [_page_row(path, found) for path, found in [*sorted(took.items()), ("all", everything)]]
    without, beside = windows[::2], windows[1::2]
    lines += [
        "",
        row(["", "jobs a second", "CPU of the dashboard", "CPU a job, µs"]),
        row(["-"] * 4),
        _rate_row("without viewers", without),
        _rate_row(f"{options.viewers} viewers, every {options.every:g} s", beside),
        "",
        f"fall of the rate: {spread(falls)}",
        f"fall of jobs for the same CPU: {spread(dearer)}",
    ]
    return "\n".join(lines)


def percent(share: float) -> str:
    """A share for people."""
    return f"{share * 100:.1f} %"


def spread(shares: list[float]) -> str:
    """Median, and how far they lie apart."""
    return f"{percent(median(shares))} (of {len(shares)}: {percent(min(shares))} to {percent(max(shares))})"


def _page_row(path: str, found: list[float]) -> str:
    p95 = quantiles(found, n=20)[-1] if len(found) > 1 else found[0]
    return row([path, str(len(found)), *map(number, (median(found), p95, max(found)))])


def _rate_row(name: str, windows: list[Window]) -> str:
    rate, cpu = median(one.rate for one in windows), median(one.web_cpu for one in windows)
    a_job = median(one.cpu_a_job for one in windows)
    return row([name, number(rate), f"{percent(cpu)} of a core", number(a_job)])


def main(arguments: list[str]) -> None:
    """Measure and print."""
    options = parse(arguments)
    server = Server()
    run = WatchedRun(server, options.procs)
    try:
        populate(server, options.jobs)
        run.fill("hold", 0)
        run.start_workers()
        until(lambda: len(run.family()) > options.procs, "the pool starts")
        with viewing(run, options) as viewers:
            session = Session(run, viewers, options)
            session.window(has_viewers=True)
            windows = [session.window(has_viewers=bool(n % 2)) for n in range(2 * options.rounds + 1)]
        print(f"{server.version}, {options.procs} processes, {options.jobs:,} jobs\n")
        print(report(windows, options))
    finally:
        run.close()
        server.close()
