"""What workers count of the jobs that end, by function, and how it stands in Redis. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: Buckets of a histogram. Bucket k counts what took less than `FIRST_MS` * 2**k ms, and not less than the one before;
#: the last one what took longer.
BUCKETS, FIRST_MS = 16, 8
_SHIFT = FIRST_MS.bit_length() - 1
#: Names of functions of which a worker counts the jobs; those of others are counted together.
MOST_NAMES, OTHERS = 200, "<other>"
#: Jobs whose function the worker does not have, or whose payload it can't read.
UNKNOWN = "<unknown>"
_LONGEST_NAME = 100
#: Jobs that are noted before they are added up.
MOST_NOTED = 1000
#: What is counted of a function beside the histograms.
DONE, FAILED, RETRIED, RUN_MS, WAIT_MS = "done", "failed", "retried", "run_ms", "wait_ms"
RUN, WAIT = "run", "wait"
#: Fields of no function: the most jobs that were due, and the longest time for which one was.
DEPTH, OLDEST_MS = "|depth", "|oldest_ms"
#: For how long counts are kept by minutes and by ten minutes, in s.
MINUTES_S, TENS_S = 8 * 3600, 72 * 3600

#: What is noted of the end of a run: function, DONE, FAILED or RETRIED, ms that it ran, and ms that the job had been
#: due when it was started for the first time; None: it did not run, it was not the first time.
Noted = tuple[str, str, int | None, int | None]


_RUN_FIELDS = tuple(f"{RUN}:{number}" for number in range(BUCKETS))
_WAIT_FIELDS = tuple(f"{WAIT}:{number}" for number in range(BUCKETS))


class JobStatistics:
    """What has come since it was written last.

    Attributes:
        noted: the ends of runs that are not added up so far. Appended to directly, at each job.
    """

    __slots__ = ("_rows", "noted")

    def __init__(self) -> None:
        self.noted: list[Noted] = []
        #: by name: what -> number. A name stays once it is there, so that it is called the same way ever after.
        self._rows: dict[str, dict[str, int]] = {}

    def add_up(self) -> None:
        """Turn what is noted into counts. No call for each of them: there may be thousands a second."""
        noted, self.noted = self.noted, []
        by_function: dict[str, list[Noted]] = defaultdict(list)
        for one in noted:
            by_function[one[0]].append(one)
        for function, ended in by_function.items():
            outcomes = [outcome for _, outcome, _, _ in ended]
            runs_ms = [run_ms for _, _, run_ms, _ in ended if run_ms is not None]
            waits_ms = [wait_ms for _, _, _, wait_ms in ended if wait_ms is not None]
            if waits_ms and min(waits_ms) < 0:  # the clocks of two hosts differ
                waits_ms = [max(0, wait_ms) for wait_ms in waits_ms]
            row = self._rows.get(function)
            if row is None:
                row = self._new_row(function)
            for outcome in set(outcomes):
                row[outcome] += outcomes.count(outcome)
            _add(row, RUN_MS, _RUN_FIELDS, runs_ms)
            _add(row, WAIT_MS, _WAIT_FIELDS, waits_ms)

    def _new_row(self, function: str) -> dict[str, int]:
        """Where a function is counted that was not met before: its own place, as long as there are not too many."""
        name = function if len(self._rows) < MOST_NAMES else OTHERS
        return self._rows.setdefault(name, defaultdict(int))

    def take(self) -> dict[str, int]:
        """Fields and numbers, and begin anew."""
        self.add_up()
        taken: dict[str, int] = {}
        for function, row in self._rows.items():
            name = _as_field(function)
            for what, number in row.items():
                if number:
                    taken[f"{name}|{what}"] = taken.get(f"{name}|{what}", 0) + number
            row.clear()
        return taken

    def put_back(self, taken: Mapping[str, int]) -> None:
        """They could not be written."""
        for name, number in taken.items():
            function, _, what = name.rpartition("|")
            row = self._rows.get(function)
            if row is None:
                row = self._new_row(function)
            row[what] += number


def _add(row: dict[str, int], total: str, fields: Sequence[str], durations_ms: list[int]) -> None:
    """Add durations to a histogram."""
    if durations_ms:
        row[total] += sum(durations_ms)
    lengths = list(map(int.bit_length, durations_ms))
    for length in set(lengths):  # a few: faster than a Counter
        row[fields[min(max(0, length - _SHIFT), BUCKETS - 1)]] += lengths.count(length)


def _as_field(function: str) -> str:
    """A name that can be written as UTF-8, and is not endless."""
    return function[:_LONGEST_NAME].encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations of jobs.

    Attributes:
        buckets: number k counts those below 8 * 2**k ms and not below the one before; the last one all longer ones.
        total_ms: their sum.
    """

    buckets: tuple[int, ...] = (0,) * BUCKETS
    total_ms: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.buckets)

    @property
    def mean_ms(self) -> float | None:
        """Their mean; None: there are none."""
        return self.total_ms / self.count if self.count else None

    def percentile(self, percent: float) -> float | None:
        """The duration that so many percent do not exceed, in ms; None: there are none.

        It is known which power of two it lies below: inside of a bucket durations are taken for evenly spread, and of
        the last bucket the lower limit, 131 s, is told.

        Args:
            percent: 0 - 100.
        """
        rank, below = self.count * percent / 100, 0
        for number, here in enumerate(self.buckets):
            if here and below + here >= rank:
                low = 0 if number == 0 else FIRST_MS << (number - 1)
                high = low if number == BUCKETS - 1 else FIRST_MS << number
                return low + (high - low) * max(0.0, rank - below) / here
            below += here
        return None


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """What became of the jobs of a function. `<other>`: of further ones; `<unknown>`: of none that a worker has.

    Attributes:
        function: its name.
        done, failed, retried: runs that ended so; failed: for good, aborted or expired.
        per_minute: jobs that were done or failed, by minute of the time that was asked about.
        run: how long runs took.
        wait: how long jobs were due until their first start.
    """

    function: str
    done: int
    failed: int
    retried: int
    per_minute: float
    run: Histogram
    wait: Histogram


@dataclass(frozen=True, slots=True)
class StatsPoint:
    """A minute, or ten, of a queue.

    Attributes:
        start_ms: its begin, unix ms.
        done, failed, retried: of all functions, or of the one that was asked about.
        depth: the most jobs that were due and waited, of a look each ten seconds; None: nobody has looked.
        oldest_ms: for how long one of them had been due at most.
        run, wait: how long runs took, and jobs were due until their first start.
    """

    start_ms: int
    done: int
    failed: int
    retried: int
    depth: int | None
    oldest_ms: int | None
    run: Histogram = Histogram()
    wait: Histogram = Histogram()


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What workers have counted of a queue. Those of python-arq count nothing.

    Attributes:
        queue: its name.
        since_ms, until_ms: of which time, unix ms by Redis's clock.
        step_s: seconds of a point: 60, or 600 where the time is longer than is kept by minutes.
        functions: by name.
        points: those in which there was something, in their order.
    """

    queue: str
    since_ms: int
    until_ms: int
    step_s: int
    functions: list[FunctionStats] = field(default_factory=list)
    points: list[StatsPoint] = field(default_factory=list)


Counts = dict[str, dict[str, int]]


def by_function(rows: Iterable[Mapping[str, int]], only: str | None) -> Counts:
    """Sums by function and what is counted. `only`: of this function."""
    found: Counts = {}
    for row in rows:
        for name, number in row.items():
            function, _, what = name.rpartition("|")
            if function and only in (None, function):
                counts = found.setdefault(function, {})
                counts[what] = counts.get(what, 0) + number
    return found


def function_stats(function: str, counts: Mapping[str, int], minutes: float) -> FunctionStats:
    """One function, of `minutes`."""
    done, failed, retried = (counts.get(what, 0) for what in (DONE, FAILED, RETRIED))
    return FunctionStats(
        function,
        done,
        failed,
        retried,
        (done + failed) / minutes,
        _histogram(counts, RUN, RUN_MS),
        _histogram(counts, WAIT, WAIT_MS),
    )


def _histogram(counts: Mapping[str, int], kind: str, total: str) -> Histogram:
    return Histogram(tuple(counts.get(f"{kind}:{k}", 0) for k in range(BUCKETS)), counts.get(total, 0))


def point(start_ms: int, row: Mapping[str, int], only: str | None) -> StatsPoint:
    """A minute, or ten."""
    sums: dict[str, int] = {}
    for counts in by_function([row], only).values():
        for what, number in counts.items():
            sums[what] = sums.get(what, 0) + number
    done, failed, retried = (sums.get(what, 0) for what in (DONE, FAILED, RETRIED))
    times = _histogram(sums, RUN, RUN_MS), _histogram(sums, WAIT, WAIT_MS)
    return StatsPoint(start_ms, done, failed, retried, row.get(DEPTH), row.get(OLDEST_MS), *times)


for _kind in (Histogram, FunctionStats, StatsPoint, QueueStats):
    _kind.__module__ = "arq.admin"  # where everybody imports them from
