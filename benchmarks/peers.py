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
    """One contestant. `worker` is what follows `python`; `{dsn}`, `{procs}` and `{jobs}` in it are filled in."""

    name: str
    packages: tuple[str, ...]
    worker: tuple[str, ...]
    producer: str
    limited_by: str
    environment: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    many_processes: bool = False
    expected_per_s: int = 1500
    can: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """Its virtual environment; peers with the same packages share one."""
        return ENVIRONMENTS / (self.environment or self.name)

    def python(self) -> str:
        """Its interpreter, made on first use. BENCH_PYTHON_<NAME> names one that is there already."""
        given = os.environ.get(f"BENCH_PYTHON_{(self.environment or self.name).upper().replace('-', '_')}")
        return given or str(_made(self.directory, self.packages))

    def command(self, dsn: str, max_jobs: int, processes: int) -> list[str]:
        """The command of one worker, or of all of them if it starts several itself."""
        filled = [part.format(dsn=dsn, procs=processes, jobs=max_jobs) for part in self.worker]
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
        [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *packages], check=True
    )
    done.write_text("\n".join(packages))
    return python


_OURS = ("-e", f"{ROOT}[embedded,metrics]")
_ARQ = ("arq==0.28.0", "uvloop")
_ASYNC = ("noop", "sleep10", "enqueue", "gather", "pickup", "roundtrip")
_ARQ_CAN = (*_ASYNC, "held", "lateness", "depth")
_OURS_CAN = (*_ARQ_CAN, "bulk", "held-by-ours")

PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "ours", _OURS, ("-m", "arq", "arq_peer.WorkerSettings"), "arq_peer.py",
            "two INFO lines a job", expected_per_s=9000, can=_OURS_CAN,
        ),
        Peer(
            "ours-quiet", _OURS, ("-m", "arq", "arq_peer.WorkerSettings", "--custom-log-dict", "arq_peer.QUIET_LOG"),
            "arq_peer.py", "CPU of one process", environment="ours", expected_per_s=15000, can=_OURS_CAN,
        ),
        Peer(
            "ours-supervised", _OURS, ("-m", "supervisor", "arq_peer.WorkerSettings", "--procs", "{procs}"),
            "arq_peer.py", "cores", environment="ours", many_processes=True, expected_per_s=9000,
            can=(*_OURS_CAN, "recovery"),
        ),
        Peer(
            "arq", _ARQ, ("-m", "arq", "arq_peer.WorkerSettings"), "arq_peer.py",
            "its poll: queue_read_limit / poll_delay", expected_per_s=900, can=_ARQ_CAN,
        ),
        Peer(
            "arq-tuned", _ARQ, ("arq_tuned.py",), "arq_peer.py", "6 round trips a job",
            environment="arq", extra={"poll_delay": 0.001}, expected_per_s=1800, can=_ARQ_CAN,
        ),
        Peer(
            "dramatiq", ("dramatiq[redis]==2.2.1",),
            ("-m", "dramatiq", "dramatiq_peer", "--processes", "{procs}", "--threads", "{jobs}"), "dramatiq_peer.py",
            "threads that wait for the interpreter's lock", many_processes=True, expected_per_s=2500,
            can=("noop", "sleep10", "enqueue", "pickup"),
        ),
        Peer(
            # saq imports typing_extensions without asking for it
            "saq", ("saq[redis]==0.26.4", "typing_extensions"), ("-m", "saq", "saq_peer.settings"), "saq_peer.py",
            "6 round trips a job", expected_per_s=2200, can=_ASYNC,
        ),
        Peer(
            "streaq", ("streaq==7.2.0", "redis"), ("-m", "streaq", "run", "streaq_peer:worker"), "streaq_peer.py",
            "CPU of its client library", expected_per_s=1000, can=(*_ASYNC, "bulk"),
        ),
        Peer(
            "taskiq", ("taskiq==0.13.0", "taskiq-redis==1.2.4"),
            ("-m", "taskiq", "worker", "taskiq_peer:broker", "--workers", "{procs}", "--max-async-tasks", "{jobs}",
             "--ack-type", "when_executed"),
            "taskiq_peer.py", "2 round trips and several tasks a job", many_processes=True, expected_per_s=1500,
            can=_ASYNC,
        ),
        Peer(
            "huey", ("huey[redis]==3.5.4",),
            ("-m", "huey.bin.huey_consumer", "huey_peer.huey", "-w", "{jobs}"), "huey_peer.py",
            "threads that take one job a round trip", expected_per_s=1800, can=("noop", "sleep10", "enqueue", "pickup"),
        ),
        Peer(
            "rq", ("rq==3.0.0",), ("-m", "rq.cli", "worker", "--worker-class", "rq.SimpleWorker", "--url", "{dsn}"),
            "rq_peer.py", "one job at a time, 20 round trips each", expected_per_s=250,
            can=("noop", "enqueue", "bulk", "pickup"),
        ),
        Peer(
            "celery", ("celery[redis]==5.7.0",),
            ("-m", "celery", "-A", "celery_peer", "worker", "--concurrency", "{procs}", "--loglevel", "INFO"),
            "celery_peer.py", "one job at a time in each process", many_processes=True, expected_per_s=800,
            can=("noop", "enqueue", "pickup", "roundtrip"),
        ),
    )
}  # fmt: skip
