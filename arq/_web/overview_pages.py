"""The overview: what there is to do, how it goes, and what needs somebody's attention."""

from __future__ import annotations

from ..admin import Overview, QueueOverview
from .view import Look, Page


async def overview(look: Look) -> Page:
    """All queues at a glance."""
    found = await look.lookups.overview()
    warnings = warnings_of(found)
    return Page(
        "overview",
        "Overview",
        {"found": found, "warnings": warnings, "totals": totals(found)},
        {"overview": found, "warnings": warnings, "totals": totals(found)},
        now_ms=found.now_ms,
    )


def totals(found: Overview) -> dict[str, int]:
    """Jobs of all queues by state."""
    names = ("queued", "deferred", "running", "dead")
    return {name: sum(getattr(queue, name) for queue in found.queues) for name in names}


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
        told.append(f"{queue.queue}: {queue.queued} jobs wait, and no worker looks at this queue")
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
