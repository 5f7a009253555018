"""What `arq.admin.Admin` answers with. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where a job is."""

    #: in the queue and due, it waits for a worker
    queued = "queued"
    #: in the queue, its time has not come yet
    deferred = "deferred"
    #: a worker has it
    running = "running"
    #: it is over, and its result is there
    done = "done"
    #: it has failed for good, and is kept so that it can be requeued
    dead = "dead"


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as lists have it. Times are unix ms by Redis's clock, None where they are not known.

    Attributes:
        job_id: its id; bytes that are no text are escaped.
        queue: name of the queue.
        state: where it is.
        function: name of the function; None if the payload can't be read.
        arguments: the arguments as they stand in a call, cut to a line.
        args, kwargs: the arguments as JSON has them; what JSON has no word for is text, what is long is cut.
        problem: why payload or result can't be read; '' if they can.
        enqueued_ms: when it was enqueued.
        due_ms: when it is due, or was.
        tries: how often it was started.
        interrupted: how many of these starts were ended by the shutdown of a worker.
        worker: id of the worker that has it; '1': a worker of python-arq.
        since_ms: when that worker took it.
        success: of a job that is over: whether it returned.
        result: what it returned, as text.
        error: what it raised, as text.
        started_ms, finished_ms: start and end of the last try of a job that is over.
        bytes: size of the payload, or of the result.
        fingerprint: tells the payload from that of another job with the same id, for `Admin.delete`.
        server: name of the server where it was found, in a list over several; '' otherwise.
    """

    job_id: str
    queue: str
    state: JobState
    function: str | None = None
    arguments: str = ""
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    enqueued_ms: int | None = None
    due_ms: int | None = None
    tries: int = 0
    interrupted: int = 0
    worker: str = ""
    since_ms: int | None = None
    success: bool | None = None
    result: str = ""
    error: str = ""
    started_ms: int | None = None
    finished_ms: int | None = None
    bytes: int = 0
    fingerprint: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs of a list.

    Attributes:
        jobs: those that were found, `limit` at most.
        cursor: where the next page begins; '': there is none.
        looked_at: how many entries were looked at for this page.
        is_cut: the search has ended at a limit before the page was full: the cursor goes on with it.
        now_ms: Redis's clock, unix ms.
    """

    jobs: list[ListedJob]
    cursor: str = ""
    looked_at: int = 0
    is_cut: bool = False
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that became of a job, or will.

    Attributes:
        at_ms: when, unix ms; None: nobody knows.
        what: enqueued | due | started | running | finished | failed | expires | result expires
        detail: more about it.
    """

    at_ms: int | None
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JobDetails:
    """All that is known of one job.

    Attributes:
        job: as lists have it, with longer texts.
        timeline: what became of it, in order of time.
        traceback: what the result has of it; '' if nothing.
        crashes: what is known of workers that died while they ran it; ''.
        abort_asked_ms: when somebody asked to abort it, unix ms; None: nobody has.
        now_ms: Redis's clock, unix ms.
    """

    job: ListedJob
    timeline: list[Event]
    traceback: str = ""
    crashes: str = ""
    abort_asked_ms: int | None = None
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """A queue is paused.

    Attributes:
        by: who has paused it.
        since_ms: since when, unix ms; None: it is not known.
        note: why.
    """

    by: str = ""
    since_ms: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs a queue has.

    Attributes:
        queued, deferred, running: so many.
        done: results of the queue's jobs; None: not counted.
        done_is_least: there are more results than were looked at.
        oldest_due_ms: since when the first queued job is due, unix ms; None: there is none.
        paused: None: the queue is not paused.
        dead: jobs in the dead set.
        evicted: jobs that had to leave it lately, because it was full.
        now_ms: Redis's clock, unix ms.
    """

    queued: int
    deferred: int
    running: int
    done: int | None = None
    done_is_least: bool = False
    oldest_due_ms: int | None = None
    paused: Pause | None = None
    now_ms: int = 0
    dead: int = 0
    evicted: int = 0


class Deed(StrEnum):
    """What became of an action on one job."""

    #: it is done
    done = "done"
    #: a worker has the job: it is left alone
    running = "running"
    #: no such job
    unknown = "unknown"
    #: another job has the id since it was listed: it is left alone
    changed = "changed"
    #: a worker has the job, and was asked to end it
    asked = "asked"
    #: the job is over
    over = "over"
    #: of a job that is requeued: its id stands in the queue already
    queued = "queued"


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker has.

    Attributes:
        job_id, queue: which.
        function: name of its function; None if the payload can't be read.
        since_ms: when the worker took it, unix ms.
    """

    job_id: str
    queue: str
    function: str | None
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker.

    Attributes:
        worker_id: its id in Redis.
        host: where it runs.
        pid: its process; None under a supervisor.
        pool, slot: under a supervisor: which; '' and None otherwise.
        is_late: it has not been heard of in time: its jobs will be given to others.
        looks: whether it looks at the queue that was asked about.
        obeys: whether it knows of pauses and words; None: that is not known, since it does not look at this queue.
        jobs: what it runs.
        queues: those of the queues that were asked about that it looks at.
        server: name of the server that it works for, in a list over several; '' otherwise.
    """

    worker_id: str
    host: str
    pid: int | None
    pool: str
    slot: int | None
    is_late: bool
    looks: bool
    obeys: bool | None
    jobs: list[RunningJob]
    queues: list[str] = field(default_factory=list)
    server: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of a Redis, as one queue sees them.

    Attributes:
        workers: those that say so themselves.
        old_jobs: jobs of the queue that workers of python-arq run. These say nothing of themselves.
        has_old: whether at least one worker of python-arq works on the queue, or has lately.
        now_ms: Redis's clock, unix ms.
    """

    workers: list[LiveWorker]
    old_jobs: list[RunningJob]
    has_old: bool
    now_ms: int

    @property
    def ignore_pauses(self) -> int:
        """How many workers that look at the queue start jobs also while it is paused: at least so many."""
        earlier = sum(worker.looks and worker.obeys is False for worker in self.workers)
        return earlier + int(self.has_old)


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A schedule, as workers say it is.

    Attributes:
        name: of the schedule. Several may share one: they are paused and run together.
        spec: its fields as in a crontab: minute, hour, day, month, weekday; and other seconds than 0.
        timezone: in which it is read.
        next_ms: its next run, unix ms; None: not known.
        last_ms: its last run that was enqueued; None: not known, or it was more than a week ago.
        is_paused: whether no runs are enqueued.
        seen_ms: when a worker has said so.
        timeout_s: time limit of a run; None: as the worker has it.
        unique: whether each time is run once however many workers there are.
        server: name of the server that has it, in a list over several; '' otherwise.
    """

    name: str
    spec: str
    timezone: str
    next_ms: int | None
    last_ms: int | None
    is_paused: bool
    seen_ms: int | None
    timeout_s: float | None
    unique: bool
    server: str = ""


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """A queue at a glance.

    Attributes:
        queue: its name.
        queued, deferred, running, dead: so many jobs.
        evicted: jobs that had to leave the dead set lately, because it was full.
        oldest_due_ms: since when the first queued job is due, unix ms; None: there is none.
        paused: None: it is not paused.
        workers: how many look at it, without those of python-arq.
        ignore_pauses: how many of all workers start jobs also while it is paused: at least so many.
        has_old: whether at least one worker of python-arq works on it, or has lately.
        problem: why nothing is known of it; '' otherwise.
    """

    queue: str
    queued: int = 0
    deferred: int = 0
    running: int = 0
    dead: int = 0
    evicted: int = 0
    oldest_due_ms: int | None = None
    paused: Pause | None = None
    workers: int = 0
    ignore_pauses: int = 0
    has_old: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """Queues and workers at a glance.

    Attributes:
        queues: those that were asked about, in that order.
        workers: how many there are, without those of python-arq.
        late: how many of them have not been heard of in time.
        now_ms: Redis's clock, unix ms.
    """

    queues: list[QueueOverview]
    workers: int
    late: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class AuditNote:
    """Something that an operator has done.

    Attributes:
        note_id: names it, and tells which come before it.
        at_ms: when, unix ms by Redis's clock.
        by: who.
        action: what: `delete`, `requeue`, `pause`, and so on.
        queue: which queue; '' for workers.
        count: with how many jobs, schedules or workers.
        outcomes: what became of them, so many each; empty: it had just begun.
        ids: the first ones of them.
        note: more about it.
        server: name of the server where that was done, in a list over several; '' otherwise.
    """

    note_id: str
    at_ms: int
    by: str
    action: str
    queue: str
    count: int
    outcomes: dict[str, int]
    ids: list[str]
    note: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class SlotReport:
    """A place for a worker in a pool, and the process in it.

    Attributes:
        slot: its number.
        pid: the process; None: it waits to be started again.
        worker_id: id of the worker in Redis; '' before it is ready.
        state: `ready`, `booting`, `draining`, and so on.
        uptime_s: seconds since the process was started.
        rss_mb: its resident memory, in MB.
        restarts: how often it was started again.
        last_exit: how the process before it has ended; '': there was none.
        last_exit_age_s: seconds since then; None: there was none.
    """

    slot: int
    pid: int | None
    worker_id: str = ""
    state: str = ""
    uptime_s: float = 0.0
    rss_mb: float = 0.0
    restarts: int = 0
    last_exit: str = ""
    last_exit_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool as its supervisor says it is.

    Attributes:
        pool, host: which.
        at_ms: when it has said so, unix ms by the clock of that host.
        state: `running`, `stopping`, and so on.
        pid: the supervisor's process.
        uptime_s: seconds since it was started.
        procs, ready: workers that there are to be, and that are.
        restarts, restarts_window: workers that were started again, in all and lately.
        is_quiet: whether its workers take no more jobs.
        rss_mb: resident memory of the supervisor itself, in MB.
        slots: the places for workers.
    """

    pool: str
    host: str
    at_ms: int
    state: str
    pid: int
    uptime_s: float
    procs: int
    ready: int
    restarts: int
    restarts_window: int
    is_quiet: bool
    rss_mb: float
    slots: list[SlotReport]


_KINDS = (JobState, ListedJob, JobPage, Event, JobDetails, Pause, Counts, Deed)
for _kind in (
    *_KINDS,
    RunningJob,
    LiveWorker,
    Fleet,
    CronSchedule,
    QueueOverview,
    Overview,
    AuditNote,
    SlotReport,
    PoolReport,
):
    _kind.__module__ = "arq.admin"  # where everybody imports them from
