"""What a worker does regularly: health line, cron jobs, aborts, locks and leases, looking for dead workers."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable
from datetime import datetime, timedelta
from time import monotonic, time

from redis.exceptions import ResponseError

from .. import _scripts
from .._ask import ask
from .._health import Tally, format_line
from .._link import REPLY_TIMEOUT_S
from .._patience import Patience
from .._text import printable
from ..utils import to_ms
from . import report, schedule
from .clock import RedisClock
from .complaints import Complaints, is_of_one_duty
from .operators import CronRules, Wishes, cron_rules
from .state import CANCEL_AGAIN_S, WorkerState

logger = logging.getLogger("arq.worker")

#: Seconds between two looks for workers that died elsewhere.
_SWEEP_S = 15.0
#: Seconds until a worker that steps over jobs which plain arq workers hold looks at the head of the queue again.
_START_OVER_BUSY_S, _START_OVER_IDLE_S = 0.5, 8.0
#: Seconds for which a worker counts among those that look at its queue.
_PRESENCE_S = 60.0
#: Our reckoning of Redis's clock may be off by so much: ticks may lie so much further ahead than we look.
_CLOCK_SLACK = timedelta(seconds=5)


class Duties(WorkerState):
    """The part of a worker that goes by the clock."""

    def _start_state(self) -> None:
        super()._start_state()
        self._all_is_due()
        #: what the health line said last; a line of the log tells what has changed, also from one `main()` to the next
        self._last_health_check_log: str | None = None
        # a beat goes by way of the pool, where redis-py before 8 waits for ever
        self._beat_patience = Patience(REPLY_TIMEOUT_S)
        self._complaints = Complaints()
        self._redis_clock = RedisClock()
        self._planner = schedule.Planner()
        self._wishes = Wishes()

    def _all_is_due(self) -> None:
        """A worker begins, perhaps not for the first time: what it said of itself is gone."""
        #: when each duty is due, in the loop's time
        self._beat_at_s = self._keep_at_s = self._sweep_at_s = self._present_at_s = 0.0
        self._start_over_at_s = 0.0
        #: when the health line was written last, by the loop's clock and by the host's; arq's names, as the one above:
        #: code that wants a new line now sets them
        self._written_s = self._last_health_check = -math.inf

    def _next_duty_s(self, free: bool) -> float:
        """When the loop must go on at the latest, whatever happens; `free`: it has room for jobs."""
        duties = [self._beat_at_s, self._keep_at_s, self._present_at_s]
        if not self.supervised:
            duties.append(self._sweep_at_s)
        if free:
            duties.append(self._look_at_s)
        if self._suspects.is_careful:
            duties.append(self._suspects.next_s(self._clock()))
        return min(duties)

    async def _do_what_is_regular(self) -> None:
        now_s = self._clock()
        if now_s >= self._beat_at_s:
            self._beat_at_s = now_s + self.poll_delay_s
            if self.allow_abort_jobs:
                await self._on_duty("requests to abort", self._cancel_aborted_jobs())
            with self._beat_patience:
                await self.heart_beat()
        if now_s >= self._start_over_at_s:
            self._start_over_at_s = now_s + (_START_OVER_BUSY_S if self._more else _START_OVER_IDLE_S)
            self._get_pump().start_over()
        if now_s >= self._keep_at_s:
            self._keep_at_s = now_s + self.in_progress_timeout_s / 3
            await self._on_duty("locks and lease", self._keep_what_is_ours())
        if now_s >= self._present_at_s and self._in_main:
            self._present_at_s = now_s + _PRESENCE_S / 3
            await self._on_duty("presence", self._show_presence())
        if now_s >= self._sweep_at_s and not self.supervised:
            self._sweep_at_s = now_s + _SWEEP_S * random.uniform(0.8, 1.2)
            await self._on_duty("sweep", self._sweep())

    async def _on_duty(self, what: str, doing: Awaitable[None]) -> None:
        """Do one of the duties. What Redis refuses of it alone is said once, and the others go on."""
        try:
            await doing
        except ResponseError as exc:
            if not is_of_one_duty(exc):
                raise
            self._complaints.failed(what, exc)
        else:
            self._complaints.went_well(what)

    async def _show_presence(self) -> None:
        pump = self._get_pump()
        presence = await pump.show_presence(to_ms(_PRESENCE_S))
        if self._listener is not None:
            self._listener.with_old = presence.has_old
        if presence.word or presence.pause or self._wishes.is_paused:
            await self._wishes.heard(self, presence, pump.run)

    async def _cancel_aborted_jobs(self) -> None:
        """Cancel those running jobs that somebody asked to abort."""
        for job_id in await self._get_pump().aborted(list(self.job_tasks)):
            task = self.job_tasks.get(job_id)
            now_s = self._clock() - self._standstills.total_s()  # while the loop stands still no job can obey
            if task is not None and now_s >= self._abort_again_at_s.get(job_id, -math.inf):
                self.aborting_tasks.add(job_id)
                self._abort_again_at_s[job_id] = now_s + CANCEL_AGAIN_S
                task.cancel()

    async def heart_beat(self) -> None:
        """Write the health line and enqueue the cron jobs that fall due. Called every `poll_delay`."""
        await self._on_duty("health line", self.record_health())
        if self.cron_jobs or self._redis_clock.seems_wrong(self._redis_ahead_ms):
            await self._on_duty("clock of redis", self._look_at_redis_clock())
        # Half as far ahead as a plain arq worker looks: one that serves another queue has taken the common id by then,
        # and ours gets a second one. The other way round it would get none.
        await self._on_duty("cron jobs", self.run_cron(self._now(), max(self.poll_delay_s, 0.5) / 2))

    async def _look_at_redis_clock(self) -> None:
        """Ask Redis for the time now and then, and say so if the clock of this host is wrong."""
        sent_s = monotonic()
        if not self._redis_clock.is_due(sent_s, time() * 1000):
            return
        seconds, microseconds = map(int, await ask(self.pool, "TIME"))
        news = self._redis_clock.asked(
            seconds * 1000 + microseconds / 1000, sent_s, monotonic(), time() * 1000
        )
        if news == "wrong":
            ahead_s = self._redis_clock.host_ahead_ms / 1000
            logger.warning(
                "the clock of this host is %0.1f s %s that of redis, by which cron jobs go: "
                "look whether both are synchronised (NTP)",
                abs(ahead_s),
                "ahead of" if ahead_s > 0 else "behind",
            )
        elif news == "right":
            logger.info("the clock of this host agrees with that of redis again")

    def _now(self) -> datetime:
        """The time by Redis's clock, as far as it is known."""
        if not self._redis_clock.is_known:
            return datetime.now(tz=self.timezone)
        return datetime.fromtimestamp(self._redis_clock.now_ms(monotonic()) / 1000, tz=self.timezone)

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Enqueue the cron jobs that fall due within the next `delay * num_windows` seconds.

        Args:
            n: now, aware.
            delay: seconds until the next call at most.
            num_windows: how many calls to look ahead.
        """
        if not self.cron_jobs:
            return
        window = timedelta(seconds=delay * num_windows)
        left = dict(enumerate(self._planner.due(self.cron_jobs, n, window, self.schedule_zone)))
        if not left:
            return

        async def enqueue(number: int, tick: schedule.Tick, rules: CronRules) -> None:
            if tick.cron_job.name not in rules.paused:
                await self._enqueue_tick(tick, window, in_paused=rules.is_queue_paused)
            del left[number]

        try:
            rules = await cron_rules(self.pool._lane, self.queue_name)
            await asyncio.gather(*(enqueue(number, tick, rules) for number, tick in left.items()))
        except BaseException:
            self._planner.put_back(left.values())
            raise

    async def _enqueue_tick(self, tick: schedule.Tick, window: timedelta, *, in_paused: bool) -> None:
        cron_job, job_id = tick.cron_job, tick.job_id
        if job_id is None or not cron_job.unique:
            due = datetime.fromtimestamp(tick.due_ms / 1000, tz=self.timezone) if tick.ahead else None
            await self.pool.enqueue_job(
                cron_job.name, _job_id=job_id, _queue_name=self.queue_name, _defer_until=due
            )
            return
        new_tick = _scripts.NewTick(tick.due_ms)
        if tick.once:
            ahead_ms = to_ms(window + _CLOCK_SLACK)
            new_tick = _scripts.NewTick(
                tick.due_ms,
                ahead_ms,
                cron_job.schedule_hash(),
                cron_job.schedule_id(),
                in_paused and cron_job.coalesce,
            )
        await self.pool._enqueue_tick(cron_job.name, job_id, self.queue_name, new_tick)

    async def record_health(self) -> None:
        """Write the health line, if it is time. Under a supervisor that is the supervisor's business."""
        now_s, host_s = self._clock(), time()
        # The host's clock may be set back, the loop's does not go on while a machine is suspended.
        passed_s = max(now_s - self._written_s, host_s - self._last_health_check)
        is_due = passed_s >= self.health_check_interval
        if self.supervised or not (is_due or self._amend_health):
            return
        self._amend_health = False
        self.queued = await ask(self.pool, "ZCARD", self.queue_name)
        ongoing = sum(not task.done() for task in self.tasks.values())
        tally = Tally(self.jobs_complete, self.jobs_failed, self.jobs_retried, ongoing, self.queued)
        line = format_line(tally, datetime.now())  # noqa: DTZ005  (the line has local time)
        life_ms = to_ms(self.health_check_interval + 1)
        await _scripts.run(self.pool, _scripts.health({self.health_check_key: line}, life_ms))
        if not is_due:
            return
        last_counts, counts = self._last_health_check_log, str(tally)
        self._written_s, self._last_health_check, self._last_health_check_log = now_s, host_s, counts
        if last_counts is not None and last_counts != counts:
            logger.info("recording health: %s", line)

    async def _keep_what_is_ours(self) -> None:
        """Extend the locks of running jobs, and the lease of this worker."""
        lease_ms = None if self.supervised else self._lease_ms()
        for job_id in await self._get_pump().keep(list(self._claimed), lease_ms):
            if job_id in self._claimed:
                logger.warning("job %s is not this worker's any more, it may be run twice", printable(job_id))

    async def _sweep(self) -> None:
        for worker_id, released in (await self._get_pump().sweep()).items():
            if worker_id != self.worker_id:
                report.gone(worker_id, released)
