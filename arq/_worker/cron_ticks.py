"""Enqueues the runs of cron jobs that fall due."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from time import monotonic, time
from typing import Any

from .._redis.raw_commands import ask
from .._redis.scripts import NewTick
from ..connections import JobCall
from ..utils import to_ms
from .context import Context
from .cron_planner import CronTick, Planner
from .cron_rules import CronRules, cron_rules, show_crons
from .poll_schedule import PollSchedule
from .redis_clock import RedisClock

logger = logging.getLogger("arq.worker")

#: Our reckoning of Redis's clock may be off by so much: ticks may lie so much further ahead than we look.
_CLOCK_SLACK = timedelta(seconds=5)
#: Seconds between two times at which schedules are shown to operators.
_SHOW_EVERY_S = 600.0


class CronTicks:
    """Enqueues the runs of cron jobs that fall due, by Redis's clock.

    Args:
        context: the worker's.
        poll: has heard of Redis's clock by the answers to claims.
    """

    def __init__(self, context: Context, poll: PollSchedule) -> None:
        self._context = context
        self._poll = poll
        self._planner = Planner()
        #: as it says itself when it is asked
        self.redis_clock = RedisClock()
        #: the schedules that were shown to operators, and when that is due again by the monotonic clock
        self._shown: tuple[int, ...] = ()
        self._show_at_s = 0.0

    @property
    def needs_clock(self) -> bool:
        """Whether it is worth asking Redis for the time."""
        has_jobs = bool(self._context.options.cron_jobs)
        return has_jobs or self.redis_clock.seems_wrong(self._poll.redis_ahead_ms)

    async def look_at_clock(self) -> None:
        """Ask Redis for the time now and then, and say so if the clock of this host is wrong."""
        sent_s = monotonic()
        if not self.redis_clock.is_due(sent_s, time() * 1000):
            return
        seconds, microseconds = map(int, await ask(self._context.redis, "TIME"))
        news = self.redis_clock.asked(
            seconds * 1000 + microseconds / 1000, sent_s, monotonic(), time() * 1000
        )
        if news == "wrong":
            ahead_s = self.redis_clock.host_ahead_ms / 1000
            logger.warning(
                "the clock of this host is %0.1f s %s that of redis, by which cron jobs go: "
                "look whether both are synchronised (NTP)",
                abs(ahead_s),
                "ahead of" if ahead_s > 0 else "behind",
            )
        elif news == "right":
            logger.info("the clock of this host agrees with that of redis again")

    def now(self) -> datetime:
        """The time by Redis's clock, as far as it is known."""
        timezone = self._context.options.timezone
        if not self.redis_clock.is_known:
            return datetime.now(tz=timezone)
        return datetime.fromtimestamp(self.redis_clock.now_ms(monotonic()) / 1000, tz=timezone)

    async def enqueue_due(self, now: datetime, window: timedelta) -> None:
        """Enqueue the cron jobs that fall due within the window."""
        options = self._context.options
        if not options.cron_jobs:
            return
        await self._show(now)
        left = dict(enumerate(self._planner.due(options.cron_jobs, now, window, options.schedule_zone)))
        if not left:
            return

        async def enqueue(number: int, tick: CronTick, rules: CronRules) -> None:
            if tick.cron_job.name not in rules.paused:
                await self._enqueue(tick, window, in_paused=rules.is_queue_paused)
            del left[number]

        try:
            rules = await cron_rules(self._context.redis._lane, options.queue_name)
            await asyncio.gather(*(enqueue(number, tick, rules) for number, tick in left.items()))
        except BaseException:
            self._planner.put_back(left.values())
            raise

    async def _show(self, now: datetime) -> None:
        """Show the schedules to operators, now and then."""
        options = self._context.options
        table = tuple(map(id, options.cron_jobs or ()))
        if table == self._shown and monotonic() < self._show_at_s:
            return
        await show_crons(self._context.redis, options, now)
        self._shown, self._show_at_s = table, monotonic() + _SHOW_EVERY_S

    async def _enqueue(self, tick: CronTick, window: timedelta, *, in_paused: bool) -> None:
        pool, options = self._context.redis, self._context.options
        cron_job, job_id = tick.cron_job, tick.job_id
        replaces = in_paused and cron_job.coalesce and not tick.at_startup
        if (
            replaces and job_id is None
        ):  # one that each worker would enqueue for itself: in a pause the newest is enough
            job_id = f"{cron_job.name}:{tick.due_ms}"
        elif job_id is None or not cron_job.unique:
            due = datetime.fromtimestamp(tick.due_ms / 1000, tz=options.timezone) if tick.ahead else None
            call: dict[str, Any] = {"_job_id": job_id, "_queue_name": options.queue_name, "_defer_until": due}
            if options.payload_format is pool.payload_format:
                await pool.enqueue_job(cron_job.name, **call)
            else:  # a client that was given and writes otherwise than this worker reads
                await pool._enqueue_by(options.payload_format, JobCall(cron_job.name, **call))
            return
        new_tick = NewTick(tick.due_ms)
        if tick.once or replaces:
            ahead_ms = to_ms(window + _CLOCK_SLACK)
            names = cron_job.schedule_hash(), cron_job.schedule_id()
            new_tick = NewTick(tick.due_ms, ahead_ms, *names, replaces)
        await pool._enqueue_tick(cron_job.name, job_id, options.queue_name, new_tick, options.payload_format)
