"""A status as text for people."""

from typing import Any

from ..printable_text import all_printable

HEADINGS = (
    "slot",
    "pid",
    "state",
    "gen",
    "up",
    "beat",
    "jobs(ongoing/done/failed/retried)",
    "rss",
    "last exit",
)


def status_table(status: dict[str, Any]) -> str:
    """The pool as a table of text."""
    status = all_printable(status)
    boss = status["supervisor"]
    head = (
        f"pool {status['pool']}  {boss['state'].upper()} gen {boss['generation']}"
        f"  {boss['ready']}/{boss['procs']} ready  up {span(boss['uptime_s'])}"
        f"  restarts {boss['restarts_total']} ({boss['restarts_window']} in window)"
        f"  reloads {boss['reloads_ok']} ok  queue {status['queue'] or '-'}{'  QUIET' if boss['quiet'] else ''}"
    )
    rows: list[tuple[str, ...]] = [HEADINGS]
    rows += [_row(worker) for worker in [*status["workers"], *status["leaving"]]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([head, *lines])


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    slot, state, ended = str(worker["slot"]), worker["state"], _last_exit(worker)
    if worker.get("blocked_s") is not None:
        state += f" {span(worker['blocked_s'])}"
    if worker["pid"] is None:
        wait = "-" if worker.get("retry_in_s") is None else f"in {worker['retry_in_s']}s"
        return (slot, "-", state, "-", wait, "-", "-", "-", ended)
    jobs = worker["jobs"]
    counts = "/".join(str(jobs[name]) for name in ("ongoing", "complete", "failed", "retried"))
    beat = "-" if worker["age_s"] is None else f"{worker['age_s']:.1f}s"
    up, rss = span(worker["uptime_s"]), f"{worker['rss_mb']:.0f} MB"
    return (slot, str(worker["pid"]), state, str(worker["generation"]), up, beat, counts, rss, ended)


def _last_exit(worker: dict[str, Any]) -> str:
    """How and when the one before it in this slot ended, and how often in a row that was a failure."""
    if not worker.get("last_exit"):
        return "-"
    often = f" (x{worker['restarts']})" if worker["restarts"] > 1 else ""
    return f"{worker['last_exit']} {span(worker['last_exit_age_s'])} ago{often}"


def span(seconds: float) -> str:
    """A duration for people: 12s, 5m, 2h03m, 4d1h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
