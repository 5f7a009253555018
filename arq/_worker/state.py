"""What a worker has while it runs, and what all its parts ask of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from .._link import Link
from .._lock_time import lease_ms, lock_ms
from .._pools import forget_dead
from .._scripts import ClaimedJob, Ending
from ..connections import ArqRedis
from ..constants import keep_cronjob_progress
from ..utils import timestamp_ms
from . import report
from .options import WorkerOptions
from .places import Places
from .pump import Pump
from .standstill import Standstill, Standstills
from .suspects import Suspects
from .unread import Unread
from .wake import Listener

#: Seconds after which a job that was cancelled and still runs is cancelled again.
CANCEL_AGAIN_S = 5.0
#: A job that holds up the event loop for so many seconds is told of, and its function again after so many more.
_WORTH_TELLING_S, _TELL_AGAIN_S = 0.5, 60.0
#: Seconds between two looks at the queue of a worker that waits for no tokens, because it is about to go.
_OUTGOING_POLL_S = 0.5


class WorkerState(WorkerOptions):
    """The state of a worker."""

    #: what was met that can't be read here
    _unread: Unread

    def _start_state(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pump: Pump | None = None
        self._listener: Listener | None = None
        #: set when the main loop has something to do
        self._activity = asyncio.Event()
        self._may_pick_jobs = True
        self._in_main = self._draining = self._stopping = False
        #: those workers that leave to others what this one gives back; '' unless it is about to be replaced
        self._outgoing = ""
        #: those workers that will go together with this one, at a reload; under arq-supervise, the supervisor says
        self.cohort = ""
        #: what was claimed and has no outcome yet
        self._claimed: dict[str, ClaimedJob] = {}
        #: ids of claimed jobs whose task was cancelled before its first step
        self._unbegun: set[str] = set()
        self._suspects = Suspects()
        #: the tasks that take up one of the `max_jobs` places
        self._slots: set[asyncio.Task[Any]] = set()
        #: places that were taken by way of `job_counter` and `sem`, by code that overrides parts of a worker
        self._counted = 0
        self._places: Places | None = None
        #: function names of the jobs whose code is being run
        self._names: dict[str, str] = {}
        #: how many jobs were started
        self._started = 0
        #: whether more jobs may be due, and when to look again if not
        self._more, self._look_at_s = True, 0.0
        #: how far Redis's clock is ahead of ours
        self._redis_ahead_ms = 0
        #: what it said last, and when that was by the monotonic clock
        self._redis_said_ms, self._redis_said_at_s = 0, 0.0
        #: when a job that was aborted and still runs is cancelled once more
        self._abort_again_at_s: dict[str, float] = {}
        #: writes endings while the main loop does not run
        self._flush_task: asyncio.Task[None] | None = None
        #: the first health line is there before the first job, which may block the loop; it is amended after that
        self._amend_health = False
        #: endings of jobs that were cut off, while what they have started is ended
        self._held_back: list[Ending] = []
        self._watch_standstills()

    def _watch_standstills(self) -> None:
        self._standstills = Standstills(
            lambda: bool(self.job_tasks), self._name_of, self._stood_still, self._is_held_up
        )
        #: until when nothing is said of a function that holds up the others
        self._told_until_s: dict[str, float] = {}

    @property
    def pool(self) -> ArqRedis:
        """The client of Redis; None before the worker was started and after it was closed."""
        return cast(ArqRedis, self._pool)

    @property
    def allow_pick_jobs(self) -> bool:
        """Whether the worker takes jobs. May be changed while it runs."""
        return self._may_pick_jobs

    @allow_pick_jobs.setter
    def allow_pick_jobs(self, allow: bool) -> None:
        self._may_pick_jobs = allow
        if not allow and self._listener is not None:
            self._listener.disarm()
        self._activity.set()  # the loop may be asleep

    @property
    def outgoing(self) -> str:
        """Name of the workers that are about to go, if this is one of them; ''. May be changed while it runs.

        They leave to all others, for a while, what one of them has given back, and all wake-up tokens.
        """
        return self._outgoing

    @outgoing.setter
    def outgoing(self, name: str) -> None:
        self._outgoing = name
        if self._pump is not None:
            self._pump.cohorts = self._cohorts()
            self._pump.known = self._claimed
        if name and self._listener is not None:
            self._listener.mute()
        self._activity.set()

    def _cohorts(self) -> str:
        names = dict.fromkeys(name for name in (self.cohort, self._outgoing, *self._unread.names) if name)
        return f" {' '.join(names)} " if names else ""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the worker: the running one, or a new one for `run`."""
        if self._loop is None or self._loop.is_closed():
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                self._loop = new_event_loop()
        return self._loop

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def job_counter(self) -> int:
        """Jobs that take up one of the `max_jobs` places. What somebody adds to it counts, too."""
        return len(self._slots) + self._counted

    @job_counter.setter
    def job_counter(self, number: int) -> None:
        self._counted = number - len(self._slots)

    def running_jobs(self) -> list[tuple[str, str]]:
        """Id and function name of the jobs whose code is being run."""
        return [(job_id, self._names.get(job_id, "?")) for job_id in self.job_tasks]

    def _hold_back(self, ending: Ending) -> None:
        """A job that was cut off is given back when what it has started is ended, if somebody sees to that."""
        if self.before_giving_back is None:
            self._get_pump().record(ending)
        else:
            self._held_back.append(ending)

    def _name_of(self, task: asyncio.Task[Any]) -> str:
        """What log lines call a task that blocks the loop: mostly it is a job's."""
        for job_id, job_task in list(self.job_tasks.items()):
            if job_task is task:
                return f"job {job_id}:{self._names.get(job_id, '?')}"
        return f"task {getattr(task.get_coro(), '__qualname__', task.get_name())}"

    def _stood_still(self, standstill: Standstill) -> None:
        """Say what holds up the jobs; not each time."""
        now_s = self._clock()
        function = standstill.name.rpartition(":")[2]
        is_alone = self.max_jobs == 1 and standstill.task is not None
        if standstill.seconds < _WORTH_TELLING_S or is_alone or now_s < self._told_until_s.get(function, 0.0):
            return
        self._told_until_s[function] = now_s + _TELL_AGAIN_S
        report.stood_still(standstill)

    def _is_held_up(self) -> None:
        if self.on_held_up is not None:
            self.on_held_up()

    def _get_pump(self) -> Pump:
        if self._pump is None:
            link = Link(self.pool.connection_pool)
            self._pump = Pump(
                link,
                self.queue_name,
                self.worker_id,
                lock_ms(self.in_progress_timeout_s, self.supervised),
                self._lease_ms(),
                self.allow_abort_jobs,
            )
            self._pump.cohorts = self._cohorts()
            self._pump.known = self._claimed
            self._pump.caution = self._suspects.settle(self.max_jobs, self._clock())
        return self._pump

    def _lease_ms(self) -> int:
        return lease_ms(self.in_progress_timeout_s, self.supervised)

    def _forget_dead_loop(self) -> None:
        """Let go of what belongs to an event loop that was closed under the worker: nothing there goes on or ends."""
        if self._pool is not None:
            forget_dead(self._pool.connection_pool)
        for job_id, task in list(self.tasks.items()):
            if task.get_loop().is_closed():
                del self.tasks[job_id]
        flush = self._flush_task
        if flush is not None and flush.get_loop().is_closed():
            self._flush_task = None
            if (body := flush.get_coro()) is not None:
                with suppress(RuntimeError):  # it may want to close something by way of that loop
                    body.close()  # so it puts back what it was about to write

    def stop_as_told(self) -> None:
        """Stop as on SIGTERM: an operator wants that."""

    def _wake_up(self) -> None:
        """Something is to be written: by the main loop, or by a task of its own where that does not run."""

    def _redis_now_ms(self) -> float:
        """Redis's clock, unix ms, as we reckon it from its last answer.

        Our clock may have been set back since, the monotonic one does not go on while a machine is suspended: the one
        that is further on counts. A look at the queue that comes too early costs little, and tells us better.
        """
        passed_ms = (monotonic() - self._redis_said_at_s) * 1000
        return max(self._redis_said_ms + passed_ms, timestamp_ms() + self._redis_ahead_ms)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    def _room(self) -> int:
        """Places for jobs, if any may be taken."""
        if self._stopping or not self.allow_pick_jobs:
            return 0
        suspects = self._suspects
        most = suspects.places(self.max_jobs, self._clock()) if suspects.is_careful else self.max_jobs
        free = most - len(self._slots) - self._counted
        return free if self._places is None else min(free, free + 1 - self._places.taken)

    def _free_slots(self) -> int:
        """Places for jobs without the one that is kept for a claim that waits."""
        kept = self._listener is not None and self._listener.has_claim
        return max(0, self._room() - kept)

    def _look_again(self, wait_ms: int) -> None:
        longest_s = min(self.poll_delay_s, _OUTGOING_POLL_S) if self._outgoing else self.poll_delay_s
        self._look_at_s = self._clock() + (min(longest_s, wait_ms / 1000) if wait_ms > 0 else longest_s)

    def _say_ready(self) -> None:
        """Redis has answered: tell whoever waits for it. Once, and before the first job, which may block the loop."""
        ready, self.on_ready = self.on_ready, None
        if ready is not None:
            ready()

    def _counts(self) -> str:
        return f"{self.jobs_complete} jobs complete ◆ {self.jobs_failed} failed ◆ {self.jobs_retried} retries"

    def _hold_cron_s(self) -> float:
        """Seconds for which the id of a cron job that has run stays taken."""
        return keep_cronjob_progress


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
