"""The overview: what there is to do, how it goes, and what needs somebody's attention."""

from __future__ import annotations

from collections.abc import Mapping

from ..admin import Overview, PoolReport, QueueOverview, QueueStats
from .charts import Column, column_chart, columns
from .view import Look, Page

#: What is stacked in charts of jobs that ended.
CHART_NAMES = ("done", "failed", "retried")
#: Queues of which there are charts, the first ones.
CHARTED = 20


async def overview(look: Look) -> Page:
    """All queues at a glance, and the last hour."""
    found = await look.lookups.overview()
    stats = [
        await look.lookups.stats(queue.queue, 3600) for queue in found.queues[:CHARTED] if not queue.problem
    ]
    pools = await look.lookups.pools()
    each = await look.lookups.overviews()
    warnings = [*_warnings_of_each(each or {"": found}), *troubles_of(pools)]
    lately = _sum(stats)
    rates = {name: sum(column.parts[n] for column in lately) for n, name in enumerate(CHART_NAMES)}
    facts = {
        "found": found,
        "warnings": warnings,
        "totals": totals(found),
        "each": {name: (one, totals(one)) for name, one in each.items()},
        "rates": rates,
        "chart": column_chart(lately, CHART_NAMES, "Jobs that ended in the last hour"),
        "has_old": any(queue.has_old for queue in found.queues),
    }
    json = {"overview": found, "totals": facts["totals"], "last_hour": rates, "warnings": warnings}
    if each:
        json["servers"] = {name: {"overview": one, "totals": totals(one)} for name, one in each.items()}
    return Page("overview", "Overview", facts, json, now_ms=found.now_ms)


def _sum(stats: list[QueueStats]) -> list[Column]:
    """The columns of several queues in one."""
    each = [columns(one.points, one.since_ms, one.until_ms, one.step_s) for one in stats]
    sums: dict[int, list[int]] = {}
    for column in (column for one in each for column in one):
        row = sums.setdefault(column.start_ms, [0] * len(CHART_NAMES))
        for n, part in enumerate(column.parts):
            row[n] += part
    return [Column(start, tuple(sums[start])) for start in sorted(sums)]


def troubles_of(pools: list[PoolReport]) -> list[str]:
    """What is wrong with pools, a line each."""
    told = []
    for pool in pools:
        name = f"{pool.pool} on {pool.host}"
        if pool.ready < pool.procs:
            told.append(f"{name}: {pool.ready} of {pool.procs} workers are ready")
        if pool.restarts_window:
            told.append(f"{name}: {pool.restarts_window} workers were started again lately, see Workers")
    return told


def totals(found: Overview) -> dict[str, int]:
    """Jobs of all queues by state."""
    names = ("queued", "deferred", "running", "dead")
    return {name: sum(getattr(queue, name) for queue in found.queues) for name in names}


def _warnings_of_each(each: Mapping[str, Overview]) -> list[str]:
    """The same of several servers."""
    return [
        f"server {name}: {line}" if name else line for name, one in each.items() for line in warnings_of(one)
    ]


def warnings_of(found: Overview) -> list[str]:
    """What somebody should know of, a line each."""
    told = [line for queue in found.queues for line in _warnings_of(queue)]
    if found.late:
        told.append(f"{found.late} workers have not been heard of in time: their jobs are given to others")
    return told


def _warnings_of(queue: QueueOverview) -> list[str]:
    told = []
    if queue.problem:
        told.append(f"{queue.queue}: {queue.problem}")
    if queue.queued and not queue.workers and not queue.has_old:
        told.append(f"{queue.queue}: {queue.queued:,} jobs wait, and no worker looks at it")
    if queue.paused is not None and queue.ignore_pauses:
        told.append(
            f"{queue.queue} is paused, but at least {queue.ignore_pauses} workers of python-arq or of an earlier "
            "version go on"
        )
    elif queue.has_old:
        told.append(
            f"{queue.queue}: workers of python-arq look at it; they ignore pauses and count no statistics"
        )
    if queue.evicted:
        told.append(f"{queue.queue}: {queue.evicted} jobs had to leave the dead set because it was full")
    return told
