"""A virtual environment for each peer, made on first use; ours is installed anew from the tree each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.peers import OURS, Peer

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / ".bench-envs"
NOT_OURS = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "benchmarks", "docs"
)


def prepare(peer: Peer) -> Path:
    """The directory with the peer's programs. FAULTS_ENVIRONMENTS says where environments are kept."""
    home = Path(os.environ.get("FAULTS_ENVIRONMENTS") or DIRECTORY)
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitignore").write_text("*\n")
    environment = home / f"faults-{peer.name}"
    done = environment / ".complete"
    if not done.exists() or done.read_text() != "\n".join(peer.packages):
        print(f"faults: making {environment.name}", file=sys.stderr)
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        if peer.packages:
            _install(environment, *peer.packages)
        done.write_text("\n".join(peer.packages))
    if peer.name == OURS:
        _install_ours(environment)
    return environment / "bin"


def _install_ours(environment: Path) -> None:
    """From a copy: an installation leaves its traces in the directory that it is made from."""
    with tempfile.TemporaryDirectory(prefix="arq-faults-") as copy:
        shutil.copytree(ROOT, copy, ignore=NOT_OURS, dirs_exist_ok=True)
        _install(environment, copy)
        _install(environment, "--force-reinstall", "--no-deps", copy)


def _install(environment: Path, *what: str) -> None:
    pip = [
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
    ]
    subprocess.run([*pip, *what], check=True)


def versions(peer: Peer, programs: Path) -> dict[str, str]:
    """What is installed, as far as it matters: the peer itself and its client of Redis."""
    names = [package.partition("==")[0].partition("[")[0] for package in peer.packages] or ["arq"]
    script = (
        "import importlib.metadata as m, json, sys, platform;"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()};"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )

    answer = subprocess.run(
        [str(programs / "python"), "-c", script, *names, "redis"], check=True, capture_output=True, text=True
    )
    found: dict[str, str] = json.loads(answer.stdout)
    return found
