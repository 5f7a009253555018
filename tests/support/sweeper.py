"""A process beside the test run that ends what tests have started and left, also when the run itself was killed.

What is started inherits the environment of the run, with a mark in it. `tests/conftest.py` uses this as a plugin; the
process runs this file as a program, with the run's pid and mark as arguments.
"""

import os
import select
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.eventually import wait_until

ROOT = Path(__file__).parents[2]
# a name that no test takes out of the environment of what it starts
MARK = "TEST_RUN_ID"
PROCESSES = "/proc"
LOOK_EVERY_S = 0.5

_sweepers: list["subprocess.Popen[bytes]"] = []


def pytest_configure() -> None:
    """Start it, on systems that tell the environment of a process."""
    if os.path.exists(f"{PROCESSES}/self/environ"):
        os.environ.pop(MARK, None)
        _sweepers.append(start_sweeper(mark := uuid.uuid4().hex))
        os.environ[MARK] = mark


def pytest_unconfigure() -> None:
    """Have it end what there is, and wait for that."""
    while _sweepers:
        sweeper = _sweepers.pop()
        assert sweeper.stdin is not None
        sweeper.stdin.close()
        sweeper.wait()


def start_sweeper(mark: str) -> "subprocess.Popen[bytes]":
    """A sweeper for this process: it sets to work when this process ends, however that may be, or closes the pipe.

    It is in a session of its own: a signal to all processes of the run is none to it.
    """
    words: list[Any] = [sys.executable, "-S", "-m", __name__, str(os.getpid()), mark]
    return subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)


def marked(mark: str) -> set[int]:
    """Processes with this mark that have not ended yet."""
    entry = f"{MARK}={mark}".encode()
    found = set()
    for name in filter(str.isdecimal, os.listdir(PROCESSES)):
        with suppress(OSError), open(f"{PROCESSES}/{name}/environ", "rb") as file:  # empty for a zombie
            if entry in file.read().split(b"\0"):
                found.add(int(name))
    return found


def sweep(mark: str) -> None:
    """End them, and what they have started meanwhile."""

    def nobody_is_left() -> bool:
        for pid in (left := marked(mark)):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(nobody_is_left, what="every process of the tests gone")


def _wait_for_the_end(pid: int) -> None:
    """Of the run. A process that it has forked may hold the other end of the pipe, too."""
    while os.getppid() == pid:
        if select.select([sys.stdin], [], [], LOOK_EVERY_S)[0]:
            return


if __name__ == "__main__":
    _wait_for_the_end(int(sys.argv[1]))
    sweep(sys.argv[2])
