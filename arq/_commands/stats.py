"""`arq stats`: what became of jobs lately, by function."""

from __future__ import annotations

from typing import Any

import click

from .._admin.merging import sum_stats
from ..admin import FunctionStats, Histogram, QueueStats
from .admins import Admins
from .choice import Span
from .output import iso, json_line, table
from .target import Target, say, with_target

HEADINGS = (
    "FUNCTION",
    "DONE",
    "FAILED",
    "RETRIED",
    "RATE/MIN",
    "RUN P50",
    "RUN P95",
    "WAIT P50",
    "WAIT P95",
)


@click.command("stats")
@with_target
@click.option("--since", type=Span(), default=3600.0, help="Of the last 15m, 1h, 72h at most.  [default: 1h]")
@click.option("-f", "--function", metavar="NAME", help="Only for this function.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def stats(target: Target, since: float, function: str | None, as_json: bool) -> None:
    """Show for each function how many jobs were done, failed for good and were tried again, how many ended a minute,
    and how long they ran, and had been due before: half of them (P50) and 95 of 100 (P95) at most so long. That is
    known to a power of two.

    Workers write it every 10 s. It is kept for 72 hours, and by minutes for 8. Jobs that workers of python-arq run
    are not in it.
    """

    async def look(admins: Admins) -> QueueStats:
        each = await admins.each(lambda admin: admin.stats(target.queue, since=since, function=function))
        found = sum_stats(list(each.values()))
        if not found.points:
            await target.must_exist(admins)
        return found

    found = target.run(look)
    if as_json:
        for one in found.functions:
            json_line(_fields(found, one))
    elif found.functions:
        table(HEADINGS, map(_row, found.functions))
    else:
        say(f"no worker of queue {target.queue!r} has counted such jobs in this time")


def _fields(found: QueueStats, one: FunctionStats) -> dict[str, Any]:
    return {
        "queue": found.queue,
        "since": iso(found.since_ms),
        "until": iso(found.until_ms),
        "function": one.function,
        "done": one.done,
        "failed": one.failed,
        "retried": one.retried,
        "per_minute": round(one.per_minute, 3),
        **_times("run", one.run),
        **_times("wait", one.wait),
    }


def _times(name: str, found: Histogram) -> dict[str, float | None]:
    mean_ms = found.mean_ms
    return {
        f"{name}_p50_s": _seconds(found.percentile(50)),
        f"{name}_p95_s": _seconds(found.percentile(95)),
        f"{name}_mean_s": _seconds(mean_ms),
    }


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 4)


def _row(one: FunctionStats) -> tuple[str, ...]:
    return (
        one.function,
        str(one.done),
        str(one.failed),
        str(one.retried),
        f"{one.per_minute:.3g}" if one.per_minute < 100 else f"{one.per_minute:.0f}",
        *(_took(times.percentile(percent)) for times in (one.run, one.wait) for percent in (50, 95)),
    )


def _took(ms: float | None) -> str:
    if ms is None:
        return "-"
    return f"{ms:.0f}ms" if ms < 1000 else f"{ms / 1000:.3g}s"
