"""What an operator types about a pool that runs: `--check`, `--ctl`, and its control socket."""

import json
import subprocess
import sys
from typing import Any

from supervisor.control.client import ask
from supervisor.control.protocol import Request
from tests.supervisor.harness import Pool

# the option that a pool is started with, so that the commands below find it
ON = ("--control", "control/c.sock")


def run(pool: Pool, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`arq-supervise` with these words, in the pool's directory; `environ` is added to the environment."""
    command = [sys.executable, "-m", "supervisor", *words]
    return subprocess.run(
        command,
        env={**pool.environ, **environ},
        cwd=pool.directory,
        capture_output=True,
        text=True,
        check=False,
    )


def check(pool: Pool, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of `--check --json`."""
    done = run(pool, "app.Settings", *ON, "--check", "--json", *words)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return done.returncode, report


def ctl(pool: Pool, *words: str) -> subprocess.CompletedProcess[str]:
    """`arq-supervise --ctl ...` against this pool."""
    return run(pool, *ON, "--ctl", *words)


def status(pool: Pool) -> dict[str, Any]:
    """The pool, as its control socket tells."""
    answer = ask(pool.directory / ON[1], Request("status"))
    found: dict[str, Any] = json.loads(answer.received)["status"]
    return found


def workers(pool: Pool) -> list[dict[str, Any]]:
    """The workers, as the supervisor's own socket tells."""
    found: list[dict[str, Any]] = status(pool)["workers"]
    return found
