"""What the parts of a worker share while it runs. They know this, and neither each other nor the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from ..connections import ArqRedis
from .attempt import Cause
from .commit_and_claim import Exchange
from .job_table import JobTable
from .options import WorkerOptions
from .unreadable_jobs import Unread

#: Seconds after which a job that was cancelled and still runs is cancelled again.
CANCEL_AGAIN_S = 5.0
#: Seconds between two looks at the queue of a worker that waits for no tokens, because it is about to go.
_OUTGOING_POLL_S = 0.5


class Context:
    """Options, jobs and connections of a worker, and how far it has come.

    Attributes:
        options: what was asked for. May be changed while the worker runs.
        open_exchange: opens the exchange with Redis.
        pool: the client of Redis; None before the worker was started and after it was closed.
        jobs: its jobs.
        unread: what it has met that can't be read here.
        activity: set when the main loop has something to do. A new one for each `main`: its loop may be another.
        in_main: whether the main loop runs.
        draining: whether running jobs may still end, and no others are taken: the worker stops.
        stopping: whether the running jobs are cancelled, because the worker stops.
        may_pick_jobs: whether jobs may be taken.
        outgoing: those workers that leave to others what this one gives back; '' unless it is about to be replaced.
        queued: how many jobs were in the queue when that was asked last.
        amend_health: whether to write a health line before it is due. The first one is there before the first job,
            which may block the loop; it is amended after that.
        current: the exchange, once it is open.
    """

    __slots__ = (
        "_loop",
        "activity",
        "amend_health",
        "current",
        "draining",
        "in_main",
        "jobs",
        "may_pick_jobs",
        "open_exchange",
        "options",
        "outgoing",
        "pool",
        "queued",
        "stopping",
        "unread",
    )

    def __init__(
        self, options: WorkerOptions, open_exchange: Callable[[], Exchange], pool: ArqRedis | None = None
    ) -> None:
        self.options = options
        self.open_exchange = open_exchange
        self.pool = pool
        self.jobs = JobTable()
        self.unread = Unread()
        self.activity = asyncio.Event()
        self.in_main = self.draining = self.stopping = self.amend_health = False
        self.may_pick_jobs = True
        self.outgoing = ""
        self.queued = 0
        self.current: Exchange | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def redis(self) -> ArqRedis:
        """The client of Redis, for what only goes on while there is one."""
        return cast(ArqRedis, self.pool)

    def exchange(self) -> Exchange:
        """The exchange with Redis, opened if it is not."""
        if self.current is None:
            self.current = self.open_exchange()
        return self.current

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
    def has_loop(self) -> bool:
        """Whether the worker has been in an event loop, and has not ended there."""
        return self._loop is not None

    def forget_loop(self) -> None:
        """The loop is closed."""
        self._loop = None

    def clock(self) -> float:
        """The time of the running event loop, in s."""
        return asyncio.get_running_loop().time()

    def longest_pause_s(self) -> float:
        """The longest pause between two looks at the queue."""
        poll_delay_s = self.options.poll_delay_s
        return min(poll_delay_s, _OUTGOING_POLL_S) if self.outgoing else poll_delay_s

    def cohorts(self) -> str:
        """Names of the workers to which this one belongs, as claims say it."""
        names = dict.fromkeys(
            name for name in (self.options.cohort, self.outgoing, *self.unread.names) if name
        )
        return f" {' '.join(names)} " if names else ""

    def who_cancelled(self, job_id: str) -> Cause:
        """On whose behalf a job is cancelled now."""
        if job_id in self.jobs.aborting:
            return Cause.ABORT
        return Cause.SHUTDOWN if self.stopping else Cause.NOBODY


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
