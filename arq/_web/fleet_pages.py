"""Queues, schedules and workers."""

from __future__ import annotations

from collections.abc import Mapping

from ..admin import Overview, QueueOverview, QueueStats
from .charts import column_chart, columns
from .overview_pages import CHART_NAMES, CHARTED, troubles_of
from .view import Look, Page


async def queues(look: Look) -> Page:
    """All queues, with what became of their jobs in the last hour."""
    found = await look.lookups.overview()
    lately: dict[str, QueueStats] = {}
    for queue in found.queues[:CHARTED]:
        lately[queue.queue] = await look.lookups.stats(queue.queue, 3600)
    charts = {
        name: column_chart(columns(one.points, one.since_ms, one.until_ms, one.step_s), CHART_NAMES, name)
        for name, one in lately.items()
    }
    sums = {
        name: {
            "done": sum(one.done for one in stats.functions),
            "failed": sum(one.failed for one in stats.functions),
            "retried": sum(one.retried for one in stats.functions),
        }
        for name, stats in lately.items()
    }
    known = len(await look.lookups.queues())
    each = _by_queue(await look.lookups.overviews())
    facts = {"found": found, "charts": charts, "sums": sums, "known": known, "each": each}
    json = {"queues": found.queues, "last_hour": sums, "now_ms": found.now_ms}
    if each:
        json["by_server"] = each
    return Page("queues", "Queues", facts, json, now_ms=found.now_ms)


def _by_queue(each: Mapping[str, Overview]) -> dict[str, dict[str, QueueOverview]]:
    """Queue -> server -> what is there of it."""
    found: dict[str, dict[str, QueueOverview]] = {}
    for name, overview in each.items():
        for queue in overview.queues:
            found.setdefault(queue.queue, {})[name] = queue
    return found


async def crons(look: Look) -> Page:
    """The schedules that workers of a queue have."""
    overview, queue = await look.lookups.overview(), look.queue
    found = await look.lookups.crons(queue)
    facts = {"queue": queue, "queues": [one.queue for one in overview.queues], "crons": found}
    return Page("crons", "Crons", facts, {"queue": queue, "crons": found}, now_ms=overview.now_ms)


async def workers(look: Look) -> Page:
    """The workers of all hosts, what they run since when, and what supervisors say of them."""
    fleet, pools = await look.lookups.fleet()
    reports = {slot.worker_id: slot for pool in pools for slot in pool.slots if slot.worker_id}
    facts = {"fleet": fleet, "pools": pools, "reports": reports, "troubled": troubles_of(pools)}
    json = {
        "workers": fleet.workers,
        "has_old": fleet.has_old,
        "old_jobs": fleet.old_jobs,
        "pools": pools,
        "now_ms": fleet.now_ms,
    }
    return Page("workers", "Workers", facts, json, now_ms=fleet.now_ms)
