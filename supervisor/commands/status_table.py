"""A status as text for people."""

from ..pool.status import HelperStatus, PoolStatus, SlotStatus, WorkerStatus
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


def status_table(status: PoolStatus) -> str:
    """The pool as a table of text."""
    status = all_printable(status)
    boss = status.supervisor
    head = (
        f"pool {status.pool}  {boss.state.upper()} gen {boss.generation}"
        f"  {boss.ready}/{boss.procs} ready  up {span(boss.uptime_s)}"
        f"  restarts {boss.restarts_total} ({boss.restarts_window} in window)"
        f"  reloads {boss.reloads_ok} ok  queue {status.queue or '-'}{'  QUIET' if boss.quiet else ''}"
    )
    rows = [HEADINGS, *map(_slot_row, status.workers)]
    rows += [_worker_row(worker, last_exit="-") for worker in status.leaving]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([head, *lines, *(_dashboard(one) for one in status.helpers if one.address)])


def _dashboard(helper: HelperStatus) -> str:
    place = f"dashboard http://{helper.address}/"
    if helper.pid is None:
        return f"{place}  {helper.state}"
    return f"{place}  pid {helper.pid}  {helper.state}  up {span(helper.uptime_s)}  {helper.rss_mb:.0f} MB"


def _slot_row(slot: SlotStatus) -> tuple[str, ...]:
    if slot.worker is not None:
        return _worker_row(slot.worker, _last_exit(slot))
    wait = "-" if slot.retry_in_s is None else f"in {slot.retry_in_s}s"
    return (str(slot.slot), "-", slot.state, "-", wait, "-", "-", "-", _last_exit(slot))


def _worker_row(worker: WorkerStatus, last_exit: str) -> tuple[str, ...]:
    state = worker.state if worker.blocked_s is None else f"{worker.state} {span(worker.blocked_s)}"
    jobs = worker.jobs
    counts = f"{jobs.ongoing}/{jobs.complete}/{jobs.failed}/{jobs.retried}"
    beat = "-" if worker.age_s is None else f"{worker.age_s:.1f}s"
    up, rss = span(worker.uptime_s), f"{worker.rss_mb:.0f} MB"
    return (
        str(worker.slot), str(worker.pid), state, str(worker.generation), up, beat, counts, rss, last_exit,
    )  # fmt: skip


def _last_exit(slot: SlotStatus) -> str:
    """How and when the one before it in this slot ended, and how often in a row that was a failure."""
    if not slot.last_exit or slot.last_exit_age_s is None:
        return "-"
    often = f" (x{slot.restarts})" if slot.restarts > 1 else ""
    return f"{slot.last_exit} {span(slot.last_exit_age_s)} ago{often}"


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
