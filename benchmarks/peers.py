"""Who is measured: packages, commands, and the setting that limits each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODE = Path(__file__).resolve().parent / "peers_code"
ENVIRONMENTS = ROOT / ".bench-envs"


@dataclass(frozen=True)
class Peer:
    """One contestant.

    Attributes:
        packages: what its environment gets.
        worker: the command after `python`; `{dsn}`, `{procs}`, `{jobs}` and `{host}` in it are filled in.
        producer: its program in `peers_code/`.
        tuning: what is set beside the defaults, because its manual or its users recommend it.
        limited_by: what its speed ends at.
        environment: name of its environment, if several peers share one.
        extra: settings beside those of all peers.
        many_processes: whether one command starts all processes.
        expected_per_s: no-op jobs a second, roughly: how many a run gets.
        can: the abilities that scenarios ask for.
        wire: "arq" if its queue is in arq's format.
        main: whether it takes part in every round; the others in one or two.
        path: where its Python finds packages first.
    """

    name: str
    packages: tuple[str, ...]
    worker: tuple[str, ...]
    producer: str
    tuning: str
    limited_by: str
    environment: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    many_processes: bool = False
    expected_per_s: int = 1500
    can: tuple[str, ...] = ()
    wire: str = ""
    main: bool = False
    path: str = ""

    @property
    def directory(self) -> Path:
        """Its virtual environment; peers with the same packages share one."""
        return ENVIRONMENTS / (self.environment or self.name)

    def python(self) -> str:
        """Its interpreter, made on first use. BENCH_PYTHON_<NAME> names one that is there already."""
        given = os.environ.get(f"BENCH_PYTHON_{(self.environment or self.name).upper().replace('-', '_')}")
        return given or str(_made(self.directory, self.packages))

    def command(self, dsn: str, max_jobs: int, processes: int, host: str = "a") -> list[str]:
        """The command of one worker, or of all of them if it starts several itself."""
        filled = [part.format(dsn=dsn, procs=processes, jobs=max_jobs, host=host) for part in self.worker]
        return [self.python(), *filled]


def _made(directory: Path, packages: tuple[str, ...]) -> Path:
    python, done = directory / "bin" / "python", directory / ".complete"
    if done.exists() and done.read_text() == "\n".join(packages):
        return python
    print(f"benchmarks: making {directory.name} ({' '.join(packages)})", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    ENVIRONMENTS.mkdir(exist_ok=True)
    (ENVIRONMENTS / ".gitignore").write_text("*\n")
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    subprocess.run(
        [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "install", *packages], check=True
    )
    done.write_text("\n".join(packages))
    return python


_OURS = ("-e", f"{ROOT}[embedded,metrics,web]")
_ARQ = ("arq==0.28.0", "uvloop")
_ALL = ("noop", "many", "sleep10", "enqueue", "pickup", "recovery")
_SYNC = (*_ALL, "noop10", "few")
_ASYNC = (*_ALL, "noop10", "gather", "roundtrip")
_ARQ_CAN = (*_ASYNC, "few", "held", "lateness", "depth")
_OURS_CAN = (*_ARQ_CAN, "bulk", "held-by-ours")

PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "ours", _OURS, ("-m", "arq", "arq_peer.WorkerSettings"), "arq_peer.py",
            "none: as it comes, INFO log on", "CPU of one Python process; two INFO lines a job",
            expected_per_s=14000, can=(*_OURS_CAN, "tuning"), wire="arq", main=True,
        ),
        Peer(
            "ours-quiet", _OURS, ("-m", "arq", "arq_peer.WorkerSettings", "--custom-log-dict", "arq_peer.QUIET_LOG"),
            "arq_peer.py", "log at WARNING", "CPU of one Python process", environment="ours",
            expected_per_s=22000, can=_OURS_CAN, wire="arq", main=True,
        ),
        Peer(
            "ours-supervised", _OURS,
            ("-m", "supervisor", "arq_peer.WorkerSettings", "--procs", "{procs}", "--name", "bench-{host}"),
            "arq_peer.py", "none: as it comes, INFO log on", "processors", environment="ours", many_processes=True,
            expected_per_s=26000, can=(*_OURS_CAN, "supervised", "scale"), wire="arq", main=True,
        ),
        Peer(
            "arq", _ARQ, ("-m", "arq", "arq_peer.WorkerSettings"), "arq_peer.py", "none: as it comes",
            "its poll: `queue_read_limit` / `poll_delay` = 1000 jobs/s at max_jobs 100, 200 at 10",
            expected_per_s=900, can=_ARQ_CAN, wire="arq", main=True,
        ),
        Peer(
            "arq-tuned", _ARQ, ("arq_tuned.py",), "arq_tuned.py",
            "`poll_delay` 1 ms, uvloop, log at WARNING", "6 round trips and 17 commands a job",
            environment="arq", extra={"poll_delay": 0.001}, expected_per_s=1800, can=(*_ARQ_CAN, "scale"),
            wire="arq", main=True,
        ),
        Peer(
            "dramatiq", ("dramatiq[redis]==2.2.1", "hiredis"),
            ("-m", "dramatiq", "dramatiq_peer", "--processes", "{procs}", "--threads", "{jobs}"), "dramatiq_peer.py",
            "`--threads` = max_jobs; keeps no results (its default)", "threads that wait for the interpreter's lock",
            many_processes=True, expected_per_s=2500, can=(*_SYNC, "lateness", "scale"), main=True,
        ),
        Peer(
            # saq imports typing_extensions without asking for it
            "saq", ("saq[redis,hiredis]==0.26.4", "typing_extensions", "uvloop"),
            ("-m", "saq", "saq_peer.settings", "--workers", "{procs}", "--quiet"), "saq_peer.py",
            "`concurrency` = max_jobs, uvloop, hiredis, no log", "6 round trips a job", many_processes=True,
            expected_per_s=2200, can=(*_ASYNC, "few", "lateness", "scale"), main=True,
        ),
        Peer(
            "streaq", ("streaq==7.2.0", "redis", "hiredis"),
            ("-m", "streaq", "run", "streaq_peer:worker", "--workers", "{procs}"), "streaq_peer.py",
            "`concurrency` = max_jobs", "CPU of its client library, 20 commands a job", many_processes=True,
            expected_per_s=1000, can=(*_ASYNC, "bulk", "lateness"),
        ),
        Peer(
            "taskiq", ("taskiq==0.13.0", "taskiq-redis==1.2.4", "uvloop", "hiredis"),
            ("-m", "taskiq", "worker", "taskiq_peer:broker", "--workers", "{procs}", "--max-async-tasks", "{jobs}",
             "--ack-type", "when_executed", "--log-level", "WARNING"),
            "taskiq_peer.py", "stream broker, `--max-async-tasks` = max_jobs, uvloop, hiredis, log at WARNING",
            "2 round trips and several tasks a job", many_processes=True, expected_per_s=1500,
            can=(*_ASYNC, "few", "scale"), main=True,
        ),
        Peer(
            "docket", ("pydocket==0.27.0", "hiredis"),
            ("-m", "docket", "worker", "--docket", "bench", "--url", "{dsn}", "--tasks", "docket_peer:tasks",
             "--concurrency", "{jobs}", "--logging-level", "WARNING"),
            "docket_peer.py", "`concurrency` = max_jobs, hiredis, log at WARNING",
            "20 commands a job; a scheduler that looks four times a second", expected_per_s=220,
            can=(*_ASYNC, "bulk", "lateness"),
        ),
        Peer(
            "huey", ("huey[redis]==3.5.4", "hiredis"),
            ("-m", "huey.bin.huey_consumer", "huey_peer.huey", "-w", "{jobs}", "-q"), "huey_peer.py",
            "`-w` = max_jobs threads, quiet", "threads that take one job a round trip", expected_per_s=1800,
            can=(*_SYNC, "lateness"), main=True,
        ),
        Peer(
            "rq", ("rq==3.0.0", "hiredis"),
            ("-m", "rq.cli", "worker", "--worker-class", "rq.SimpleWorker", "--url", "{dsn}", "--with-scheduler",
             "--logging_level", "WARNING"),
            "rq_peer.py", "SimpleWorker: no fork for each job; log at WARNING",
            "one job at a time, 20 round trips each",
            expected_per_s=250, can=(*_ALL, "bulk", "roundtrip"),
        ),
        Peer(
            "celery", ("celery[redis]==5.7.0", "hiredis"),
            ("-m", "celery", "-A", "celery_peer", "worker", "--concurrency", "{procs}", "--loglevel", "WARNING",
             "--without-gossip", "--without-mingle", "--without-heartbeat"),
            "celery_peer.py", "prefork, `worker_prefetch_multiplier` 64, no gossip, log at WARNING",
            "one job at a time in each process; its pipes to them", many_processes=True, expected_per_s=800,
            can=(*_ALL, "roundtrip", "lateness"),
        ),
    )
}  # fmt: skip
