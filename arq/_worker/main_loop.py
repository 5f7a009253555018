"""The main loop of a worker: it does what is regular, writes how jobs ended, takes new ones, and waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from redis.exceptions import RedisError

from .._lock_time import lease_ms, lock_ms
from .._redis.connection_pools import forget_dead, prefix_of
from .._redis.raw_commands import ask
from .._redis.scripts import ClaimAnswer
from .._redis.worker_connection import Link
from ..utils import to_ms
from . import job_log, statistics_writer
from .abort_requests import AbortRequests
from .blocked_loop_report import StandstillReport
from .claim_size import ClaimSize
from .claims import Claims
from .commit_and_claim import Exchange
from .context import Context
from .crash_suspects import Suspects
from .cron_ticks import CronTicks
from .ending_writer import EndingWriter
from .finish_override import FinishOverride
from .health_writer import HealthLine
from .hooks import Hooks
from .idle import Idle
from .job import JobRunner
from .job_slots import JobSlots
from .locks import Locks
from .operators import OperatorWishes
from .options import WorkerOptions
from .periodic_tasks import PRESENCE_S, Duties
from .poll_schedule import PollSchedule
from .quarantine import Quarantine
from .redis_outage import RedisOutage
from .repeated_errors import Complaints

if TYPE_CHECKING:
    from .finish_override import Finishes

    class Steps(Finishes, Protocol):
        """What is looked up on the worker each time, because applications put methods of their own in its place."""

        #: arq's `_poll_iteration` reads the queue from here on
        _queue_read_offset: int

        def start_jobs(self, job_ids: list[bytes], /) -> Coroutine[Any, Any, None]: ...

        def run_job(self, job_id: str, score: int, /) -> Coroutine[Any, Any, None]: ...

        def heart_beat(self) -> Coroutine[Any, Any, None]: ...

        def _poll_iteration(self) -> Coroutine[Any, Any, None]: ...

        def stop_as_told(self) -> None: ...

        def _cancel_aborted_jobs(self) -> Coroutine[Any, Any, None]: ...


class OurSteps(NamedTuple):
    """Some of them as they are here, functions of a class."""

    start_jobs: Any
    poll_iteration: Any
    finish_job: Any
    finish_failed_job: Any
    run_job: Any


class MainLoop:
    """Puts the parts of a worker together, and polls until the worker stops or, in burst mode, is done.

    Args:
        options: the worker's.
        steps: the worker.
        ours: its steps as they are here.
        hold_cron_s: for how many seconds the id of a cron job that has run stays taken.

    Attributes:
        context: what the parts share.
    """

    def __init__(
        self, options: WorkerOptions, steps: Steps, ours: OurSteps, hold_cron_s: Callable[[], float]
    ) -> None:
        self.context = Context(options, self._open_exchange)
        self._steps = steps
        self._ours = ours
        #: whether the loop's own step was called, and not only somebody else's
        self._polled = True
        self.poll = PollSchedule(self.context.clock, self.context.longest_pause_s)
        self.complaints = Complaints()
        self.suspects = Suspects()
        self.slots = JobSlots(self.context, self.suspects)
        self._quarantine = Quarantine(self.context, self.suspects, self.slots)
        self.writer = EndingWriter(self.context)
        self.outage = RedisOutage(self.context, self.poll, self.complaints, self._say_ready)
        self._make_runner(hold_cron_s)
        self._make_takers()
        self._make_duties()

    def _make_runner(self, hold_cron_s: Callable[[], float]) -> None:
        """What a job goes through."""
        context, steps, ours = self.context, self._steps, self._ours
        self.standstills = StandstillReport(context).standstills
        finishing = ours.finish_job, ours.finish_failed_job
        self.finish_override = FinishOverride(context, self.writer, steps, finishing)
        self.runner = JobRunner(
            context, Hooks(context), self.standstills, self.writer, self.finish_override, hold_cron_s
        )

    def _make_takers(self) -> None:
        """What brings jobs here."""
        self._claim_size = ClaimSize(self.context)
        self.claims = Claims(
            self.context, self.suspects, self._quarantine, self.writer, self.take, self.runner.record
        )
        self.idle = Idle(
            self.context,
            self.poll,
            room=self.slots.room,
            next_duty_s=self._next_duty_s,
            take=self.take,
            may_take_one=lambda: self._polled and not self._starts_by_hand(),
        )

    def _make_duties(self) -> None:
        """What goes by the clock."""
        context, steps = self.context, self._steps
        self.aborts = AbortRequests(context, self.standstills.total_s)
        self.health = HealthLine(context)
        self.cron = CronTicks(context, self.poll)
        self._locks = Locks(context)
        self._operators = OperatorWishes(context, self.pick_jobs, lambda: steps.stop_as_told())  # noqa: PLW0108
        self.duties = Duties(
            context,
            self.poll,
            self.complaints,
            heart_beat=lambda: steps.heart_beat(),  # noqa: PLW0108  (looked up each time)
            obey_aborts=lambda: steps._cancel_aborted_jobs(),  # noqa: PLW0108
            extend_locks=self._locks.extend,
            show_presence=self._show_presence,
            sweep=self._locks.sweep,
            write_statistics=lambda: statistics_writer.write(context),
        )

    def _open_exchange(self) -> Exchange:
        context, options = self.context, self.context.options
        lock, lease = (ms(options.in_progress_timeout_s, options.supervised) for ms in (lock_ms, lease_ms))
        link = Link(context.redis.connection_pool, prefix=prefix_of(context.redis))
        exchange = Exchange(
            link, options.queue_name, options.worker_id, lock, lease, options.allow_abort_jobs
        )
        exchange.cohorts = context.cohorts()
        exchange.known = context.jobs.claimed
        exchange.caution = self.suspects.settle(options.max_jobs, context.clock())
        return exchange

    def begin(self) -> None:
        """The worker starts, perhaps not for the first time."""
        self.duties.begin()
        self.health.begin()
        self.outage.begin()
        self.context.activity = asyncio.Event()  # the loop may be another one than the last time
        self.poll.more = True

    def forget_dead_loops(self) -> None:
        """Let go of what belongs to an event loop that was closed under the worker: nothing there goes on or ends."""
        if self.context.pool is not None:
            forget_dead(self.context.pool.connection_pool)
        self.context.jobs.forget_dead_loops()
        self.writer.forget_dead_loops()

    async def run(self) -> None:
        """Work until a worker in burst mode has nothing more to do; any other one goes on until it is cancelled.

        Raises:
            Exception: Redis can't be worked with, see `RedisOutage.put_up_with`.
        """
        if not self.context.options.burst:
            self.idle.listen()
        self.context.in_main = True
        try:
            await self._run()
        finally:
            self.context.in_main = False
            self.duties.stop()
            self.standstills.stop()
            self.writer.write_beside()
            await self.idle.stop_listening()

    async def _run(self) -> None:
        poll = self._poller()
        task = asyncio.current_task()
        assert task is not None
        while True:
            # Python 3.11's wait_for, with which redis-py sends, loses a cancellation that comes just when it is done.
            if task.cancelling():
                raise asyncio.CancelledError
            try:
                await poll()
                self._say_ready()
                if self.context.options.burst and await self._burst_is_done():
                    return
            except (RedisError, OSError) as exc:
                await self.outage.put_up_with(exc)
            else:
                self.outage.step_went_well(self.duties.times, has_polled=self._polled)
                await self.idle.pause()

    def _say_ready(self) -> None:
        """Redis has answered: tell whoever waits for it. Once, and before the first job, which may block the loop."""
        options = self.context.options
        ready, options.on_ready = options.on_ready, None
        if ready is not None:
            ready()

    async def step(self) -> None:
        """Do what is regular, write how jobs ended, and take new ones if there is room and something may be due."""
        self._polled = True  # unless a subclass does everything itself
        await self.duties.do()
        if not self.context.may_pick_jobs:
            self.idle.disarm()
        asked = self._quarantine.asked_for() if self.suspects.is_careful else ()
        if self.poll.more:
            await self._claim_size.let_short_jobs_end()
        want = 1 if asked else await self._how_many()
        if want > 0 and not asked and self._starts_by_hand():
            await self._start_by_hand()
            want = 0
        await self._exchange(want, asked)
        await self.writer.let_go_outside_main()

    def _poller(self) -> Callable[[], Awaitable[None]]:
        steps = self._steps
        is_own = self._is_replaced("_poll_iteration", self._ours.poll_iteration)
        return self._step_by_hand if is_own else steps._poll_iteration

    def _is_replaced(self, name: str, ours: Any) -> bool:
        """Whether somebody has put something else in the place of a step, in the worker or in its class."""
        return getattr(type(self._steps), name) is not ours or name in vars(self._steps)

    async def _step_by_hand(self) -> None:
        """Run a `_poll_iteration` of somebody's own, and what it leaves out: it knows of no leases and endings."""
        self._polled = False
        await self._steps._poll_iteration()
        if self._polled:
            return
        now_s = self.context.clock()
        self.poll.more = False
        if self.poll.look_at_s <= now_s:
            self.poll.look_in(-1)
        # aborts, health and cron are its own business
        self.duties.times.beat_at_s = now_s + self.context.options.poll_delay_s
        await self.duties.do()
        await self._exchange(0)

    def _starts_by_hand(self) -> bool:
        return self._is_replaced("start_jobs", self._ours.start_jobs)

    async def _start_by_hand(self) -> None:
        """Give what is due to a `start_jobs` that was overridden, as arq's loop does."""
        context, options = self.context, self.context.options
        most, started = options.queue_read_limit, context.jobs.started
        if options.burst and options.max_burst_jobs >= 0:
            most = min(most, options.max_burst_jobs - started)
        limit = ("LIMIT", self._steps._queue_read_offset, most)
        due_ms = self.poll.redis_now_ms()
        job_ids: list[bytes] = await ask(
            context.redis, "ZRANGEBYSCORE", options.queue_name, "-inf", due_ms, *limit
        )
        self.poll.nothing_is_due()
        if job_ids:
            await self._steps.start_jobs(job_ids)
        self.poll.more = started < context.jobs.started < started + len(job_ids)

    async def _exchange(self, want: int, job_ids: tuple[str, ...] = ()) -> None:
        exchange = self.context.exchange()
        if want > 0 or exchange.has_endings or exchange.claim_lost:
            fair = not self.context.options.burst
            answer = await exchange.commit_and_claim(want, fair=fair, job_ids=job_ids, recover=True)
            if answer is not None:
                if self.complaints.said and not answer.recovered:
                    self.outage.queue_is_well()
                self.take(answer)

    async def _how_many(self) -> int:
        """How many jobs to ask for. What is free is counted last: a claim that waits may bring a job at any time."""
        left, room, options = self.slots.left_in_burst(), self.slots.room, self.context.options
        if left <= 0 or room() <= 0 or not (self.poll.more or await self._may_be_due()):
            return 0
        if room() > 0 and self.idle.free_slots() == 0:
            await self.idle.leave_to_the_waiting_claim()
            return 0
        return min(left, self.idle.free_slots(), options.queue_read_limit, self._claim_size.most())

    async def _may_be_due(self) -> bool:
        """Whether it is time to look at the queue, and if so, whether its first job is due."""
        poll = self.poll
        if self.context.clock() < poll.look_at_s:
            return False
        earliest_ms = await self.context.exchange().earliest_ms()
        wait_ms = -1 if earliest_ms is None else max(0, round(earliest_ms - poll.redis_now_ms()))
        if wait_ms:
            poll.look_in(wait_ms)
        return wait_ms == 0

    def take(self, answer: ClaimAnswer) -> None:
        """Start what a claim brought, and note when to look again."""
        self.poll.answered(answer)
        if answer.awaited or self.suspects.awaited:
            self._quarantine.make_room(answer.awaited)
        for worker_id, released in answer.swept.items():
            job_log.gone(worker_id, released)
        self._say_ready()
        if answer.jobs and not self.context.jobs.started:
            self.context.amend_health = True
        self._claim_size.begun(len(answer.jobs))
        run = None if self._is_replaced("run_job", self._ours.run_job) else self.runner.run
        self.claims.begin(answer.jobs, self._steps.run_job, run)

    async def _burst_is_done(self) -> bool:
        """Whether nothing is left for a worker in burst mode: no job of its own, and none that it may still take."""
        context, options, exchange = self.context, self.context.options, self.context.exchange()
        has_enough = 0 <= options.max_burst_jobs <= context.jobs.started
        if context.jobs.tasks or exchange.has_endings or (self.poll.more and not has_enough):
            return False
        if not has_enough:
            context.queued = await ask(context.redis, "ZCARD", options.queue_name)
            if context.queued and not await self._is_left_to_others():
                return False
        await exchange.leave()
        await statistics_writer.write_last(context, exchange)
        await exchange.close()
        return True

    async def _is_left_to_others(self) -> bool:
        """Whether only jobs that can't be read here are queued: those are not what a burst waits for."""
        unread = self.context.unread
        await unread.forget_others(self.context.redis, self.context.options.queue_name)
        return self.context.queued <= len(unread.jobs)

    async def _show_presence(self) -> None:
        presence = await self._locks.show_presence(to_ms(PRESENCE_S))
        self.idle.listen_for_old(presence.has_old)
        if presence.word or presence.pause or self._operators.is_paused:
            await self._operators.heard(presence)

    def _next_duty_s(self) -> float:
        """When the main loop must go on at the latest, whatever happens."""
        due_s, suspects = self.duties.next_s(), self.suspects
        return min(due_s, suspects.next_s(self.context.clock())) if suspects.is_careful else due_s

    @property
    def picks_jobs(self) -> bool:
        """Whether the worker takes jobs. May be changed while it runs."""
        return self.context.may_pick_jobs

    @picks_jobs.setter
    def picks_jobs(self, allow: bool) -> None:
        self.context.may_pick_jobs = allow
        if not allow:
            self.idle.disarm()
        self.context.activity.set()  # the loop may be asleep

    def pick_jobs(self, allow: bool) -> None:
        """Set `picks_jobs`."""
        self.picks_jobs = allow

    @property
    def outgoing(self) -> str:
        """Name of the workers that are about to go, if this is one of them; ''. May be changed while it runs."""
        return self.context.outgoing

    @outgoing.setter
    def outgoing(self, name: str) -> None:
        context = self.context
        context.outgoing = name
        if context.current is not None:
            context.current.cohorts = context.cohorts()
        if name:
            self.idle.mute()
        context.activity.set()
