"""Counts of jobs by function and outcome: gathered in the children, summed up in the parent, shown by the steward.

A child sends what has come since its last message, so the sums survive its end. No I/O.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# upper limits of the histogram's buckets, in seconds; one more bucket holds the rest
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
MOST_NAMES = 500
OTHERS = "<others>"
# names that come from Redis and are no function of the worker are not worth a row each
UNKNOWN = "<unknown>"
# instead of an outcome: how long jobs had been due when they began
WAITED = "waited"
LONGEST_NAME = 100


class JobRow(NamedTuple):
    """One function with one outcome, or `WAITED`, in a message. `buckets` are not cumulative."""

    function: str
    outcome: str
    jobs: int
    seconds: float
    buckets: list[int]


@dataclass(slots=True)
class Cell:
    """One function with one outcome. `buckets` are not cumulative."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def note(self, seconds: float) -> None:
        """One more job."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1

    def add(self, count: int, seconds: float, buckets: Iterable[int]) -> None:
        """Several more."""
        self.count += count
        self.seconds += seconds
        self.buckets = [own + more for own, more in zip(self.buckets, buckets, strict=True)]


class JobStats:
    """The table. Names beyond `MOST_NAMES` are counted together: an endless list of names must not fill the memory."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], Cell] = {}

    def note(self, function: str, outcome: str, seconds: float) -> None:
        """One job has ended."""
        self._cell(function, outcome).note(max(0.0, seconds))

    def _cell(self, function: str, outcome: str) -> Cell:
        key = (_clean(function), outcome)
        if key not in self._cells and len(self._cells) >= MOST_NAMES:
            key = (OTHERS, outcome)
        return self._cells.setdefault(key, Cell())

    def rows(self) -> list[JobRow]:
        """The whole table."""
        return [
            JobRow(*key, cell.count, round(cell.seconds, 4), cell.buckets)
            for key, cell in self._cells.items()
        ]

    def take(self) -> list[JobRow]:
        """The rows, and begin anew."""
        rows, self._cells = self.rows(), {}
        return rows

    def add_rows(self, rows: Iterable[JobRow]) -> None:
        """Add what another table says."""
        for row in rows:
            self._cell(row.function, row.outcome).add(row.jobs, row.seconds, row.buckets)


def _clean(name: str) -> str:
    """A name that can be written as UTF-8, and is not endless."""
    return name[:LONGEST_NAME].encode(errors="backslashreplace").decode()


def read_rows(rows: Iterable[object]) -> list[JobRow]:
    """Rows that came through a pipe, and are plain lists, or anything.

    Raises:
        ValueError, TypeError, OverflowError: one of them is no such row.
    """
    return [_read(row) for row in rows]


def _read(row: Any) -> JobRow:
    function, outcome, count, seconds, buckets = row
    counts = [int(number) for number in buckets]
    if len(counts) != len(BUCKETS_S) + 1 or not math.isfinite(seconds):
        raise ValueError(f"not a row: {row!r}")
    return JobRow(str(function), str(outcome), int(count), float(seconds), counts)
