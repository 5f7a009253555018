"""The work of the demonstration: which jobs are put into the queue, and when they are due."""

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

REMINDERS = 60
REMINDERS_SPREAD_S = 6.0
MIRRORS = 24


@dataclass(frozen=True)
class Call:
    """One call of `enqueue_job`."""

    function: str
    arguments: tuple[Any, ...]
    due: datetime | None = None


def library_files() -> list[str]:
    """Every .py file of the standard library that runs this."""
    root = Path(sysconfig.get_path("stdlib"))
    outside = {"site-packages", "dist-packages"}
    return sorted(str(path) for path in root.rglob("*.py") if not outside.intersection(path.parts))


def calls(files: list[str], now: datetime | None = None) -> Iterator[Call]:
    """All jobs: one a file, some at given times within the next seconds, some that fail at first."""
    start = now or datetime.now(UTC)
    for number in range(REMINDERS):
        due = start + timedelta(seconds=0.5 + REMINDERS_SPREAD_S * number / REMINDERS)
        yield Call("remind", (due.timestamp(),), due)
    for number in range(MIRRORS):
        yield Call("fetch_mirror", (f"mirror-{number}", 1 + number % 2))
    for path in files:
        yield Call("digest_file", (path,))
