"""Interpreters of other versions, each in an environment with the libraries that a queue needs."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compat.harness import PEERS, ROOT, Implementation, Place
from tests.support.environments import making

ENVIRONMENTS = ROOT / ".venv-pythons"


class Side:
    """One side of a queue under some Python."""

    def __init__(self, python: str, version: str) -> None:
        self.version = version
        self._implementation = Implementation(f"Python {version}", python, str(ROOT))

    def ask(self, operation: str, place: Place, *options: str) -> Any:
        """Do one operation of `peers/versions.py` there."""
        run = subprocess.run(
            [
                self._implementation.python,
                str(PEERS / "versions.py"),
                operation,
                place.dsn,
                place.queue,
                *options,
            ],
            env=self._implementation.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        return json.loads(run.stdout)


def side(*versions: str) -> Side:
    """A side under the first of these versions that can be had; the running interpreter is had at once.

    Where there is none, or there is no package index, the test is left out.
    """
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running in versions:
        return Side(sys.executable, running)
    for version in versions:
        python = _interpreter(version)
        if python is not None:
            return Side(_environment(python, version), version)
    pytest.skip(f"no Python {' or '.join(versions)} here")


def _interpreter(version: str) -> str | None:
    found = shutil.which(f"python{version}")
    installed = Path.home() / ".pyenv" / "versions"
    candidates = [found] if found else []
    candidates += [str(path / "bin" / "python") for path in sorted(installed.glob(f"{version}.*"))]
    for candidate in candidates:
        with contextlib.suppress(OSError):  # pyenv's shims exist for versions that are not chosen
            if (
                subprocess.run(
                    [candidate, "-c", "import venv, ensurepip"], check=False, capture_output=True
                ).returncode
                == 0
            ):
                return candidate
    return None


def _environment(python: str, version: str) -> str:
    place = ENVIRONMENTS / f"py{version}"
    inside = place / "bin" / "python"
    with making(place) as is_needed:
        if is_needed:
            _install(python, version, inside)
    return str(inside)


def _install(python: str, version: str, inside: Path) -> None:
    pip = [
        str(inside),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        "redis[hiredis]>=5,<9",
    ]
    for command in ([python, "-m", "venv", str(inside.parents[1])], pip):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            last = (run.stderr.strip().splitlines() or ["no message"])[-1]
            pytest.skip(f"no environment for Python {version}: {last}")
