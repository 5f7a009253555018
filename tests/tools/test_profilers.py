"""What measures, and writes a file for each process."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.conftest import Tool

COVERAGE = "[run]\nparallel = true\nsource = .\npatch = {patch}\n"


@pytest.mark.parametrize(("method", "patch"), [("fork", "fork, _exit"), ("exec", "subprocess, fork, _exit")])
def test_coverage(tool: Tool, python_with: Callable[..., Path], method: str, patch: str) -> None:
    python = python_with("coverage==7.17.5")
    (tool.folder / ".coveragerc").write_text(COVERAGE.format(patch=patch))
    tool.start(python, "-m", "coverage", "run", "-m", "supervisor", options=("--start-method", method))
    pids = tool.pids_at_work()
    tool.stop()
    files = [path.name for path in tool.folder.glob(".coverage.*")]
    assert all([name for name in files if f".{pid}." in name or f"pid{pid}." in name] for pid in pids), files
    for words in (("combine", "-q"), ("report", "--include=app.py", "--format=total")):
        done = subprocess.run(
            [python, "-m", "coverage", *words], check=False, cwd=tool.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) >= 90  # only workers import the application


def test_memray(tool: Tool, python_with: Callable[..., Path]) -> None:
    python = python_with("memray==1.20.0")
    tool.start(python, "-m", "memray", "run", "--follow-fork", "-o", "memory", "-m", "supervisor",
               options=("--start-method", "fork"))  # fmt: skip
    assert len(tool.pool.events("fork.unsafe")) == 1
    pids = tool.pids_at_work()
    tool.stop()
    for pid in pids:
        done = subprocess.run(
            [python, "-m", "memray", "stats", f"memory.{pid}"],
            check=False,
            cwd=tool.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Total allocations" in done.stdout
