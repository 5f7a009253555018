"""The work of the demonstration: which jobs are put into the queue, and when they are due."""

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

REMINDERS = 60
REMINDERS_SPREAD_S = 6.0
MIRRORS = 24
#: a mirror that fails so often never answers
NEVER = 99
GONE = ("mirror-east", "mirror-west", "mirror-attic")
#: lies in the library's directory, and is not of it
OUTSIDE = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Call:
    """One call of `enqueue_job`."""

    function: str
    arguments: tuple[Any, ...]
    due: datetime | None = None


class Ended(Protocol):
    """A job that has ended."""

    function: str
    args: tuple[Any, ...]


def is_meant_to_fail(job: Ended) -> bool:
    """Does this job show what becomes of one that fails for good?"""
    return job.function == "fetch_mirror" and job.args[1:] == (NEVER,)


def library_files() -> list[str]:
    """Every .py file of the standard library that runs this."""
    found: list[str] = []
    for folder, inner, names in os.walk(sysconfig.get_path("stdlib")):
        inner[:] = [name for name in inner if name not in OUTSIDE]
        found += [os.path.join(folder, name) for name in names if name.endswith(".py")]
    return sorted(found)


def calls(files: list[str], now: datetime | None = None) -> Iterator[Call]:
    """All jobs: one a file, some at given times within the next seconds, some that fail at first."""
    start = now or datetime.now(UTC)
    for number in range(REMINDERS):
        due = start + timedelta(seconds=0.5 + REMINDERS_SPREAD_S * number / REMINDERS)
        yield Call("remind", (due.timestamp(),), due)
    for number in range(MIRRORS):
        yield Call("fetch_mirror", (f"mirror-{number}", 1 + number % 2))
    for name in GONE:
        yield Call("fetch_mirror", (name, NEVER))
    for path in files:
        yield Call("digest_file", (path,))
