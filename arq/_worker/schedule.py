"""Which cron jobs are due, and under which id. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from ..cron import CronJob
from ..utils import to_unix_ms


@dataclass(frozen=True, slots=True)
class Tick:
    """One planned run of a cron job.

    Attributes:
        job_id: its id; None for a random one.
        due_ms: planned time, unix ms.
        once: whether it must run once only, however many workers plan it.
        ahead: whether the planned time is still to come.
    """

    cron_job: CronJob
    job_id: str | None
    due_ms: int
    once: bool
    ahead: bool


def due(cron_jobs: Sequence[CronJob], now: datetime, window: timedelta) -> list[Tick]:
    """The runs that fall due before the end of the window. Moves each cron job on to its next time."""
    ticks = []
    for cron_job in cron_jobs:
        at_startup = cron_job.next_run is None and cron_job.run_at_startup
        if at_startup:
            cron_job.next_run = now
        elif cron_job.next_run is None:
            cron_job.calculate_next(now)
        planned = cron_job.next_run
        assert planned is not None
        if planned < now + window:
            ticks.append(_tick(cron_job, planned, now, at_startup))
            cron_job.calculate_next(planned)
    return sorted(ticks, key=attrgetter("due_ms"))


def _tick(cron_job: CronJob, planned: datetime, now: datetime, at_startup: bool) -> Tick:
    due_ms = to_unix_ms(planned)
    job_id = cron_job.job_id
    if job_id is None and cron_job.unique:
        job_id = f"{cron_job.name}:{due_ms}"
    # The start of a worker is not a time that all workers share: those runs are told apart by their id alone.
    once = cron_job.unique and not at_startup
    return Tick(cron_job, job_id, due_ms, once, ahead=planned > now)
