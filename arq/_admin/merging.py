"""What several servers say of the same queues, as if one said it: sums, and lists with the names of servers. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from .._job_statistics import FunctionStats, Histogram, QueueStats, StatsPoint
from .records import (
    AuditNote,
    Counts,
    CronSchedule,
    Deed,
    Fleet,
    JobDetails,
    JobState,
    LiveWorker,
    Overview,
    Pause,
    PoolReport,
    QueueOverview,
)

#: Of an id that was asked for everywhere, the word of one server that says most.
_RANKS = (Deed.done, Deed.asked, Deed.running, Deed.queued, Deed.changed, Deed.over, Deed.unknown)
#: Of an id that is on several servers, which job is meant: the one that will still do something.
_STATES = (JobState.running, JobState.queued, JobState.deferred, JobState.dead, JobState.done)


OfServer = TypeVar("OfServer", LiveWorker, CronSchedule, AuditNote)
Key = TypeVar("Key")
Item = TypeVar("Item")


def named(found: Mapping[str, Iterable[OfServer]]) -> list[OfServer]:
    """All of them, each with the name of its server."""
    return [replace(one, server=name) for name, some in found.items() for one in some]


def sum_overviews(found: Mapping[str, Overview]) -> Overview:
    """Queues by name with the jobs of all servers."""
    same = _grouped(
        ((name, one) for name, each in found.items() for one in each.queues), lambda one: one.queue
    )
    return Overview(
        [_sum_queues(rows) for rows in same.values()],
        sum(one.workers for one in found.values()),
        sum(one.late for one in found.values()),
        max((one.now_ms for one in found.values()), default=0),
    )


def _grouped(
    rows: Iterable[tuple[str, Item]], key: Callable[[Item], Key]
) -> dict[Key, list[tuple[str, Item]]]:
    found: dict[Key, list[tuple[str, Item]]] = {}
    for name, one in rows:
        found.setdefault(key(one), []).append((name, one))
    return found


def _sum_queues(rows: Sequence[tuple[str, QueueOverview]]) -> QueueOverview:
    each = [one for _, one in rows]
    return QueueOverview(
        each[0].queue,
        queued=sum(one.queued for one in each),
        deferred=sum(one.deferred for one in each),
        running=sum(one.running for one in each),
        dead=sum(one.dead for one in each),
        evicted=sum(one.evicted for one in each),
        oldest_due_ms=_least(one.oldest_due_ms for one in each),
        paused=first_pause(one.paused for one in each),
        workers=sum(one.workers for one in each),
        ignore_pauses=sum(one.ignore_pauses for one in each),
        has_old=any(one.has_old for one in each),
        problem="; ".join(f"on {name}: {one.problem}" for name, one in rows if one.problem),
    )


def first_pause(pauses: Iterable[Pause | None]) -> Pause | None:
    """The pause of a queue that is paused on at least one server."""
    return next((one for one in pauses if one is not None), None)


def _least(times: Iterable[int | None]) -> int | None:
    return min((one for one in times if one is not None), default=None)


def sum_counts(found: Sequence[Counts]) -> Counts:
    """Jobs of a queue on all servers."""
    return Counts(
        sum(one.queued for one in found),
        sum(one.deferred for one in found),
        sum(one.running for one in found),
        None if any(one.done is None for one in found) else sum(one.done or 0 for one in found),
        any(one.done_is_least for one in found),
        _least(one.oldest_due_ms for one in found),
        first_pause(one.paused for one in found),
        max((one.now_ms for one in found), default=0),
        sum(one.dead for one in found),
        sum(one.evicted for one in found),
    )


def merge_fleets(found: Mapping[str, Fleet]) -> Fleet:
    """The workers of all servers."""
    return Fleet(
        named({name: fleet.workers for name, fleet in found.items()}),
        [job for fleet in found.values() for job in fleet.old_jobs],
        any(fleet.has_old for fleet in found.values()),
        max((fleet.now_ms for fleet in found.values()), default=0),
    )


def merge_pools(found: Iterable[Sequence[PoolReport]]) -> list[PoolReport]:
    """Each pool once: its supervisor says the same to all servers that its workers work for."""
    newest: dict[tuple[str, str], PoolReport] = {}
    for report in (one for some in found for one in some):
        known = newest.get((report.pool, report.host))
        if known is None or known.at_ms < report.at_ms:
            newest[report.pool, report.host] = report
    return [newest[key] for key in sorted(newest)]


def merge_crons(found: Mapping[str, Sequence[CronSchedule]]) -> list[CronSchedule]:
    """The schedules of all servers, by name."""
    return sorted(named(found), key=lambda one: (one.name, one.spec))


def merge_notes(found: Mapping[str, Sequence[AuditNote]], limit: int) -> list[AuditNote]:
    """The newest notes first; of those with one id in the order of the servers."""
    order = {name: number for number, name in enumerate(found)}
    notes = sorted(
        named(found), key=lambda note: (*map(_negative, note.note_id.split("-")), order[note.server])
    )
    return notes[:limit]


def _negative(number: str) -> int:
    return -int(number)


def best_deed(deeds: Iterable[Deed]) -> Deed:
    """What became of a job that several servers were asked for: not known to one is what another one knows."""
    return min(deeds, key=rank, default=Deed.unknown)


def rank(deed: Deed) -> int:
    """The lower, the more a word says."""
    return _RANKS.index(deed)


def best_server(found: Mapping[str, JobDetails | None]) -> str:
    """The server that has a job; of several that have one of this id that where it is to be run; '': none has."""
    there = {name: _STATES.index(one.job.state) for name, one in found.items() if one is not None}
    return min(there, key=lambda name: there[name], default="")


def sum_stats(found: Sequence[QueueStats]) -> QueueStats:
    """What workers of all servers have counted of a queue."""
    first = found[0]
    functions = _grouped((("", one) for each in found for one in each.functions), lambda one: one.function)
    points = _grouped((("", one) for each in found for one in each.points), lambda one: one.start_ms)
    return QueueStats(
        first.queue,
        min(one.since_ms for one in found),
        max(one.until_ms for one in found),
        first.step_s,
        [_sum_functions([one for _, one in functions[name]]) for name in sorted(functions)],
        [_sum_points([one for _, one in points[start]]) for start in sorted(points)],
    )


def _sum_functions(each: Sequence[FunctionStats]) -> FunctionStats:
    return FunctionStats(
        each[0].function,
        sum(one.done for one in each),
        sum(one.failed for one in each),
        sum(one.retried for one in each),
        sum(one.per_minute for one in each),
        _sum_histograms([one.run for one in each]),
        _sum_histograms([one.wait for one in each]),
    )


def _sum_points(each: Sequence[StatsPoint]) -> StatsPoint:
    depths = [one.depth for one in each if one.depth is not None]
    return StatsPoint(
        each[0].start_ms,
        sum(one.done for one in each),
        sum(one.failed for one in each),
        sum(one.retried for one in each),
        sum(depths) if depths else None,
        max((one.oldest_ms for one in each if one.oldest_ms is not None), default=None),
        _sum_histograms([one.run for one in each]),
        _sum_histograms([one.wait for one in each]),
    )


def _sum_histograms(each: Sequence[Histogram]) -> Histogram:
    buckets = tuple(map(sum, zip(*(one.buckets for one in each), strict=True)))
    return Histogram(buckets, sum(one.total_ms for one in each))
