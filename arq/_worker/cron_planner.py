"""Which cron jobs are due, and under which id. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from operator import attrgetter

from ..cron import CronJob
from ..utils import to_unix_ms

#: A clock that went back further than this was set; what was planned for the time in between is planned anew.
_SET_BACK = timedelta(seconds=5)
#: Missed runs of one schedule that are planned in one go at most; the rest follows with the next look.
_MOST = 1000
_ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class CronTick:
    """One planned run of a cron job.

    Attributes:
        planned: the time, in UTC.
        job_id: its id; None for a random one.
        ahead: whether the planned time is still to come.
        at_startup: it runs because a worker has started.
    """

    cron_job: CronJob
    planned: datetime
    job_id: str | None
    ahead: bool
    at_startup: bool

    @property
    def due_ms(self) -> int:
        """The planned time, unix ms."""
        return to_unix_ms(self.planned)

    @property
    def once(self) -> bool:
        """Whether it must run once only, however many workers plan it.

        The start of a worker is not a time that all workers share: those runs are told apart by their ids alone.
        """
        return self.cron_job.unique and not self.at_startup


@dataclass(slots=True)
class _Plan:
    """How far a worker has got with a cron job.

    Attributes:
        next: its next run.
        looked: when the worker looked at it.
        zone: in which it was read.
        startup: when the worker started, if that is a reason to run it and it was not enqueued yet.
    """

    cron_job: CronJob
    next: datetime
    looked: datetime
    zone: tzinfo
    startup: datetime | None


class Planner:
    """What one worker has planned. Several workers of a process, with queues of their own, may share a cron job."""

    def __init__(self) -> None:
        self._plans: dict[int, _Plan] = {}

    def due(
        self, cron_jobs: Sequence[CronJob], now: datetime, window: timedelta, zone: tzinfo
    ) -> list[CronTick]:
        """The runs that fall due before the end of the window and were not planned before, in order of their times.

        Of the runs whose time has passed unplanned - nobody looked, everything stood still - there is only the newest,
        unless the cron job wants them all. A worker that looks for the first time has missed nothing.

        Args:
            cron_jobs: all of them.
            now: aware.
            window: how far to look ahead.
            zone: in which schedules are read.
        """
        now = now.astimezone(UTC)
        ticks: list[CronTick] = []
        for cron_job in cron_jobs:
            plan = self._plan(cron_job, now, zone)
            if plan.startup is not None:
                ticks.append(_tick(cron_job, plan.startup, now, at_startup=True))
                plan.startup = None
            ticks += (_tick(cron_job, run, now) for run in _runs(plan, now, now + window))
            cron_job.next_run = plan.next.astimezone(zone)
        return sorted(ticks, key=attrgetter("planned"))

    def _plan(self, cron_job: CronJob, now: datetime, zone: tzinfo) -> _Plan:
        plan = self._plans.get(id(cron_job))
        if plan is None:
            startup = now if cron_job.run_at_startup else None
            plan = _Plan(cron_job, cron_job.next_after(now, zone), now, zone, startup)
            self._plans[id(cron_job)] = plan
        elif plan.zone is not zone or now < plan.looked - _SET_BACK:
            plan.next, plan.zone = cron_job.next_after(now, zone), zone
        plan.looked = now
        return plan

    def put_back(self, ticks: Iterable[CronTick]) -> None:
        """Plan these again: nobody knows whether they were enqueued. Those that must run once can't run twice by it."""
        for tick in ticks:
            plan = self._plans[id(tick.cron_job)]
            if tick.at_startup:
                plan.startup = tick.planned
            else:
                plan.next = min(plan.next, tick.planned)


def _runs(plan: _Plan, now: datetime, until: datetime) -> Iterator[datetime]:
    """The runs of a plan until then, the newest missed one first. Moves the plan on."""
    if plan.cron_job.coalesce and plan.next <= now:
        plan.next = _newest(plan, now)
    missed = 0
    while plan.next < until and missed < _MOST:
        missed += plan.next <= now
        yield plan.next
        plan.next = plan.cron_job.next_after(plan.next, plan.zone)


def _newest(plan: _Plan, now: datetime) -> datetime:
    """The last run that is not after `now`, when there is one: a search by halves, for there may be millions."""
    before, after = plan.next - _ONE_SECOND, now
    while after - before > _ONE_SECOND:
        middle = before + (after - before) // 2
        if plan.cron_job.next_after(middle, plan.zone) <= now:
            before = middle
        else:
            after = middle
    return plan.cron_job.next_after(before, plan.zone)


def _tick(cron_job: CronJob, planned: datetime, now: datetime, *, at_startup: bool = False) -> CronTick:
    job_id = cron_job.job_id
    if job_id is None and cron_job.unique:
        job_id = f"{cron_job.name}:{to_unix_ms(planned)}"
    return CronTick(cron_job, planned, job_id, planned > now, at_startup)
