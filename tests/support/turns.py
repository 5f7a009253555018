"""Runs of the suite in several processes: they share the machine, and tests marked `alone` have it for themselves.

Each process has a number, which decides which ports are its own. Without pytest-xdist there is one process, and nothing
here does anything.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MARK = "alone"
#: processes of a run, at most: each has its part of all ports
MOST_PROCESSES = 16
_WORKER, _DIRECTORY = "PYTEST_XDIST_WORKER", "ARQ_TEST_TURNS"

_directories: list["tempfile.TemporaryDirectory[str]"] = []


def number() -> int:
    """Of this process, from 0."""
    return int(os.environ.get(_WORKER, "gw0").removeprefix("gw")) % MOST_PROCESSES


def processes() -> int:
    """How many there should be for one run: most tests wait for something most of the time."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2 * processors, MOST_PROCESSES)


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the others makes the locks."""
    if hasattr(config, "workerinput"):
        # the path of a socket in the directory of a test has few bytes to spare
        config.option.basetemp = config.option.basetemp.replace("popen-", "")
        config.pluginmanager.register(Turns(Path(os.environ[_DIRECTORY])))
    elif config.getoption("numprocesses", None):
        _directories.append(made := tempfile.TemporaryDirectory(prefix="arq-turns-"))
        os.environ[_DIRECTORY] = made.name


def pytest_unconfigure() -> None:
    while _directories:
        _directories.pop().cleanup()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long comes first, so that all processes have something to do until the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (bool(item.get_closest_marker(MARK)), not _takes_long(item)))


def _takes_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("slow", "processes", "interop"))


class Turns:
    """A plugin of each process of a run. To run a test, it takes a share of a lock, or all of it.

    It waits for that in a queue, so that a test that needs all of it is not kept waiting by ever new ones.
    """

    def __init__(self, directory: Path) -> None:
        self._queue, self._machine = (
            os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("queue", "machine")
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        with self._turn(fcntl.LOCK_EX if item.get_closest_marker(MARK) else fcntl.LOCK_SH):
            return (yield)

    @contextmanager
    def _turn(self, share: int) -> Iterator[None]:
        fcntl.flock(self._queue, share)
        try:
            fcntl.flock(self._machine, share)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._machine, fcntl.LOCK_UN)  # also for a process that a test has forked
