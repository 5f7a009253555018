"""Functions: rates, failures, and how long their jobs run and wait."""

from __future__ import annotations

from ..admin import FunctionStats, Histogram, QueueStats, StatsPoint
from .charts import column_chart, columns, depths, duration_chart, durations, histogram
from .overview_pages import CHART_NAMES
from .view import Look, Page

#: Times that can be asked for, in hours.
HOURS = (1, 8, 24, 72)


async def functions(look: Look) -> Page:
    """What workers have counted of a queue, by function."""
    hours = look.number("hours", 1, 1, 72)
    overview, queue, only = await look.lookups.overview(), look.queue, look.asked("function") or None
    found = await look.lookups.stats(queue, round(hours * 3600), only)
    spreads = {
        one.function: (
            histogram(one.run, f"{one.function} runs"),
            histogram(one.wait, f"{one.function} waits"),
        )
        for one in found.functions
    }
    facts = {
        "queue": queue,
        "queues": [one.queue for one in overview.queues],
        "only": only,
        "hours": hours,
        "choices": HOURS,
        "found": found,
        "has_old": any(one.has_old for one in overview.queues if one.queue == queue),
        "spreads": spreads,
        "ended": column_chart(columns(*_times(found)), CHART_NAMES, "Jobs that ended"),
        "runs": duration_chart(durations(*_times(found), "run"), "Run times"),
        "waits": duration_chart(durations(*_times(found), "wait"), "Waiting times"),
        "depth": column_chart(
            depths(*_times(found)),
            ("depth",),
            "Jobs that were due",
        ),
    }
    json = {
        "queue": queue,
        "since_ms": found.since_ms,
        "until_ms": found.until_ms,
        "step_s": found.step_s,
        "functions": [_fields(one) for one in found.functions],
        "points": [_point(one) for one in found.points],
    }
    return Page("functions", "Functions", facts, json, now_ms=found.until_ms)


def _times(found: QueueStats) -> tuple[list[StatsPoint], int, int, int]:
    return found.points, found.since_ms, found.until_ms, found.step_s


def _point(one: StatsPoint) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "start_ms": one.start_ms,
        "done": one.done,
        "failed": one.failed,
        "retried": one.retried,
        "depth": one.depth,
        "oldest_ms": one.oldest_ms,
    }
    return found | _seconds("run", one.run) | _seconds("wait", one.wait)


def _seconds(name: str, times: Histogram) -> dict[str, float | None]:
    values = {"p50": times.percentile(50), "p95": times.percentile(95), "mean": times.mean_ms}
    return {f"{name}_{word}_s": None if ms is None else round(ms / 1000, 4) for word, ms in values.items()}


def _fields(one: FunctionStats) -> dict[str, float | str | None]:
    found: dict[str, float | str | None] = {
        "function": one.function,
        "done": one.done,
        "failed": one.failed,
        "retried": one.retried,
        "per_minute": round(one.per_minute, 3),
    }
    return found | _seconds("run", one.run) | _seconds("wait", one.wait)
