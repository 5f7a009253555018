"""How claims of jobs ended, as values, as `finish.lua` takes them, and what it answers. No I/O."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .constants import expires_extra_ms
from .utils import LONGEST_MS


class Burial(NamedTuple):
    """What is kept of a job that has failed for good; see `arq._dead_letters`.

    Attributes:
        entry: an encoded `DeadLetter`.
        tries: how often the job was started.
        most: how many jobs the queue keeps.
        ttl_ms: for how long.
    """

    entry: bytes
    tries: int
    most: int
    ttl_ms: int


class Done(NamedTuple):
    """A job is over, with a result or without one.

    Attributes:
        job_id: bytes if it is not text.
        stamp: of the claim that ends.
        result: b"" for none.
        keep_ms: for how long to keep the result; None: for ever.
        hold_ms: for how long its id stays taken; None: it is free at once.
        only_start: the job was started once, and nothing is counted of others. Says nothing beside `hold_ms`.
        smaller: for a result that Redis can't take: what makes one that says why, of so many bytes at most, and what it
            is called with before these two. (Most are never called.)
        burial: what goes into the dead set beside the payload; None: nothing.
    """

    job_id: str | bytes
    stamp: bytes
    result: bytes = b""
    keep_ms: int | None = None
    hold_ms: int | None = None
    only_start: bool = False
    smaller: tuple[Callable[..., bytes], tuple[Any, ...]] | None = None
    burial: Burial | None = None


#: Makes one of all its fields, in a third of the time.
make_done: Callable[[tuple[Any, ...]], Done] = functools.partial(tuple.__new__, Done)


class Again(NamedTuple):
    """A run of a job has ended, and the job will be run again.

    Attributes:
        stamp: of the claim that ends.
        defer_ms: ms from now until it is due; None: it is due as before.
        job_try: number of the run that has ended.
        interrupted: a shutdown has ended it, so the start does not count.
        snoozed: it was not the time for it, so the start does not count: the next one has the same number.
        expires_extra_ms: how long payload and counters outlive `defer_ms` at least; None: for ever.
        error: why this try has failed, for whoever looks at the job later; b"": it has not.
    """

    job_id: str
    stamp: bytes
    defer_ms: int | None = None
    job_try: int = 0
    interrupted: bool = False
    snoozed: bool = False
    expires_extra_ms: float | None = expires_extra_ms
    error: bytes = b""


class Unbegun(NamedTuple):
    """A job is given back that was claimed and never ran: this start does not count for anybody.

    Attributes:
        stamp: of the claim that ends.
        defer_ms: see `Again`.
        cohort: name of those workers that leave it to others, because they can't read it; '': there are none.
        leave_ms: for how long they do.
    """

    job_id: str
    stamp: bytes
    defer_ms: int | None = None
    cohort: str = ""
    leave_ms: int | None = None


#: How a claim ended, as `finish.lua` takes it.
Ending = Done | Again | Unbegun


class Terms(NamedTuple):
    """What a worker says with its endings.

    Attributes:
        epoch: what it has sent with a later one has come before this; then this counts no more.
        is_repeated: some of the endings were sent before, and may be written.
        is_leaving: the worker stops.
        cohort: name of those workers that leave to others what this one gives back, for they are about to go as well;
            '': there are none.
        over: stamps of claims of which all jobs are over with these endings.
    """

    epoch: int = 0
    is_repeated: bool = False
    is_leaving: bool = False
    cohort: str = ""
    over: Sequence[bytes] = ()

    def told(self) -> str:
        """The same as the script takes it, but for the epoch."""
        if not (self.is_repeated or self.is_leaving):
            return ""
        return f"{'repeated' if self.is_repeated else 'leaving'} {self.cohort}"


#: Of a worker that has lost no answer and goes on.
NO_TERMS = Terms()


def told(endings: Iterable[Ending], over: Iterable[bytes] = ()) -> list[Any]:
    """Endings as arguments of the script, in their order: what is said of results that follow each other is said once.

    Args:
        endings: how jobs ended.
        over: see `Terms`.
    """
    args: list[Any] = []
    how, count_at, counts = None, 0, dict[bytes, int]()
    for ending in endings:
        stamp = ending.stamp
        if isinstance(ending, Done) and ending.burial is None:
            job_id, _, result, keep_ms, hold_ms, only_start, *_ = ending
            if (stamp, keep_ms, hold_ms, only_start) != how:
                how = (stamp, keep_ms, hold_ms, only_start)
                counts[stamp] = count_at = len(args)
                args += (0, stamp, *_kept(keep_ms, hold_ms, only_start))
            args[count_at] += 1
            args += (job_id, result)
        else:
            how = None
            counts.pop(stamp, None)
            args += _died(ending) if isinstance(ending, Done) else _given_back(ending)
    for stamp in over:
        if stamp in counts:  # its last ones are results: said without a word more
            args[counts[stamp]] *= -1
        else:
            args += ("over", stamp)
    return args


def _died(ending: Done) -> tuple[Any, ...]:
    job_id, stamp, result, keep_ms, hold_ms, only_start, _, burial = ending
    return ("died", stamp, *_kept(keep_ms, hold_ms, only_start), job_id, result, *(burial or ()))


def _kept(keep_ms: int | None, hold_ms: int | None, only_start: bool) -> tuple[int | str, int | str]:
    """For how long results and jobs are kept, as the script takes it."""
    hold = hold_ms if hold_ms is not None else "once" if only_start else ""
    return "" if keep_ms is None else keep_ms, hold


def _given_back(ending: Again | Unbegun) -> tuple[Any, ...]:
    if isinstance(ending, Again):
        how = "snoozed" if ending.snoozed else int(ending.interrupted)
        when = "" if ending.defer_ms is None else _when(ending.defer_ms, ending.expires_extra_ms)
        return ("again", ending.stamp, ending.job_id, when, ending.job_try, how, ending.error)
    when = "" if ending.defer_ms is None else _when(ending.defer_ms, expires_extra_ms)
    leave = "" if ending.leave_ms is None else ending.leave_ms
    return ("unbegun", ending.stamp, ending.job_id, when, ending.cohort, leave, "")


def _when(defer_ms: int, extra_ms: float | None) -> str:
    """When a job is due again and how long what belongs to it outlives that, as the script takes it."""
    return f"{defer_ms} {LONGEST_MS if extra_ms is None else round(min(max(extra_ms, 0), LONGEST_MS))}"


def read_finish(answer: Any, count: int) -> list[int]:
    """The indices of those of `count` endings that came too late: their jobs were not ours any more."""
    if answer and answer[0] == b"late":
        return list(range(count))
    return [number - 1 for number in answer if number > 0]


def read_evicted(answer: Any) -> int:
    """How many jobs had to leave the dead set because it is full."""
    return -sum(number for number in answer if isinstance(number, int) and number < 0)
