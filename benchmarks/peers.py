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
    """One contestant. `worker` is what follows `python`; `{procs}` and `{jobs}` in it are filled in."""

    name: str
    packages: tuple[str, ...]
    worker: tuple[str, ...]
    producer: str
    limited_by: str
    environment: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    many_processes: bool = False
    expected_per_s: int = 1500
    can: tuple[str, ...] = ("noop", "sleep10", "enqueue", "pickup", "roundtrip")

    @property
    def directory(self) -> Path:
        """Its virtual environment; peers with the same packages share one."""
        return ENVIRONMENTS / (self.environment or self.name)

    def python(self) -> str:
        """Its interpreter, made on first use. BENCH_PYTHON_<NAME> names one that is there already."""
        given = os.environ.get(f"BENCH_PYTHON_{(self.environment or self.name).upper().replace('-', '_')}")
        return given or str(_made(self.directory, self.packages))

    def command(self, max_jobs: int, processes: int) -> list[str]:
        """The command of one worker, or of all of them if it starts several itself."""
        filled = [part.format(procs=processes, jobs=max_jobs) for part in self.worker]
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
_ARQ_CAN = (*Peer.can, "held", "lateness")
_OURS_CAN = (*_ARQ_CAN, "bulk")

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
            "arq_peer.py", "cores", environment="ours", many_processes=True, expected_per_s=9000, can=_OURS_CAN,
        ),
        Peer(
            "arq", _ARQ, ("-m", "arq", "arq_peer.WorkerSettings"), "arq_peer.py",
            "its poll: queue_read_limit / poll_delay", expected_per_s=900, can=_ARQ_CAN,
        ),
        Peer(
            "arq-tuned", _ARQ, ("arq_tuned.py",), "arq_peer.py", "6 round trips a job",
            environment="arq", extra={"poll_delay": 0.001}, expected_per_s=1800, can=_ARQ_CAN,
        ),
    )
}  # fmt: skip
