"""The values that travel along a job's journey. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from .._function import Function
from .._job_records import JobDef, JobResult
from .._memo import Memo
from .._printable import escaped
from .._redis.scripts import ClaimedJob
from ..cron import CronJob
from ..utils import ms_to_datetime

_new = object.__new__
#: Jobs that were enqueued together have the same.
_enqueue_times = Memo(ms_to_datetime, 100)


@dataclass(slots=True)
class Attempt:
    """One start of a job, from the claim on.

    Attributes:
        job: what was claimed.
        function_name: `<unknown>` when the payload could not be read.
        args, kwargs: arguments of the job.
        enqueue_ms: unix ms; 0 when unknown.
        job_try: number of this start; from `_job_try` if that is higher than the count.
        problem: why the payload could not be read.
        unread: the payload could not be read here; another worker, of another version, may be able to.
        function: what is registered under the name; None if nothing is.
        hint: then, what may have been meant.
        start_ms: unix ms.
        job_id: the job's.
        args_json: the arguments as JSON, if `plain_json` or `plain_pickles` has read them: plain values, none by name;
            '': they are more than that, or were read in another way.
        ref: how log lines call the job.
    """

    job: ClaimedJob
    function_name: str = "<unknown>"
    args: Any = ()
    kwargs: Any = field(default_factory=dict)
    enqueue_ms: int = 0
    job_try: int = 1
    problem: Exception | None = None
    function: Function | CronJob | None = None
    start_ms: int = 0
    unread: bool = False
    hint: str = ""
    args_json: str = ""
    job_id: str = field(init=False)
    ref: str = field(init=False)

    def __post_init__(self) -> None:
        self.job_id = self.job.job_id
        self.ref = _ref(self.job_id, self.function_name, self.function)

    def context(self, worker_ctx: dict[Any, Any]) -> dict[Any, Any]:
        """The context of this run: the worker's, and what is known of the job. A new dict for each run."""
        return {
            **worker_ctx,
            "job_id": self.job_id,
            "job_try": self.job_try,
            "enqueue_time": _enqueue_times.known.get(self.enqueue_ms) or _enqueue_times.make(self.enqueue_ms),
            "score": self.job.score,
        }

    def log_fields(self) -> dict[str, Any]:
        """The job by names, for logs that programs read. `waited_s`: seconds from its enqueueing to its start."""
        waited_s = (
            max(0, self.start_ms - self.enqueue_ms) / 1000 if self.start_ms and self.enqueue_ms else None
        )
        return self.names() | {"waited_s": waited_s, "outcome": "started"}

    def names(self) -> dict[str, Any]:
        """Which job it is, and which start of it."""
        return {"job_id": self.job_id, "function": self.function_name, "try": self.job_try}

    def definition(self) -> JobDef:
        """The job as it was enqueued."""
        return JobDef(
            function=self.function_name,
            args=self.args,
            kwargs=self.kwargs,
            job_try=self.job_try,
            enqueue_time=ms_to_datetime(self.enqueue_ms),
            score=self.job.score,
            job_id=self.job_id,
        )


def _ref(job_id: str, function_name: str, function: Function | CronJob | None) -> str:
    ref = function_name if isinstance(function, CronJob) else f"{job_id}:{function_name}"
    return ref if ref.isprintable() else escaped(ref)  # anybody who may enqueue has chosen them


def readable(
    job: ClaimedJob,
    function_name: str,
    function: Function | CronJob | None,
    args: Any,
    kwargs: Any,
    enqueue_ms: int,
    job_try: int,
) -> Attempt:
    """A start of a job whose payload was read. Without `__init__`, which costs as much as the pickle of a result."""
    attempt = _new(Attempt)
    attempt.job, attempt.job_id = job, job[0]
    attempt.function_name, attempt.function = function_name, function
    attempt.args, attempt.kwargs = args, kwargs
    attempt.enqueue_ms, attempt.job_try = enqueue_ms, job_try
    attempt.problem, attempt.unread, attempt.hint = None, False, ""
    attempt.start_ms, attempt.args_json = 0, ""
    attempt.ref = _ref(attempt.job_id, function_name, function)
    return attempt


class Cause(Enum):
    """Who cancelled a run."""

    NOBODY = auto()
    TIMEOUT = auto()
    ABORT = auto()
    SHUTDOWN = auto()


@dataclass(slots=True)
class Ended:
    """How a run ended: what it returned, or what it raised and who made it."""

    value: Any = None
    raised: BaseException | None = None
    cause: Cause = Cause.NOBODY


_NOBODY = Cause.NOBODY


def returned(value: Any) -> Ended:
    """A run that has returned a value; see `readable`."""
    ended = _new(Ended)
    ended.value, ended.raised, ended.cause = value, None, _NOBODY
    return ended


class Verdict(Enum):
    """What an ending means for the job."""

    COMPLETE = auto()
    FAILED = auto()
    ABORTED = auto()
    RETRY = auto()
    CANCELLED = auto()

    @property
    def is_final(self) -> bool:
        """Whether the job leaves the queue."""
        return self is not Verdict.RETRY and self is not Verdict.CANCELLED


#: The usual one. To look up a member of an Enum by its name takes as long as a dozen other look-ups (Python 3.11).
COMPLETE = Verdict.COMPLETE


@dataclass(slots=True)
class Leave:
    """To whom a job is left that can't be read here, and for how long.

    Attributes:
        name: for what is missing here: workers that have met it leave the job to others.
        due_ms: ms from now until it is due.
        leave_ms: ms from now until those workers may take it, too.
        times: how often workers could not read it.
    """

    name: str
    due_ms: int
    leave_ms: int
    times: int


@dataclass(slots=True)
class Outcome:
    """What is to be written about an attempt.

    Attributes:
        value: what the job returned or raised.
        defer_ms: for RETRY: ms until the next run; None: when it was due before.
        interrupted: for CANCELLED: a shutdown was the cause, so the start does not count.
        snoozed: for RETRY: the job asked for another time, so the start does not count.
        leave: for RETRY: there was no start at all, the job is put back for others as if it had not been claimed.
        note: for RETRY: which try has failed, for the log; '' if the job asked for another. For FAILED: why nobody
            could say whether it is tried again.
        started: the job's own code may have run (the hooks after a job are only called then).
        finish_ms: unix ms.
    """

    attempt: Attempt
    verdict: Verdict
    value: Any = None
    defer_ms: int | None = None
    interrupted: bool = False
    snoozed: bool = False
    leave: Leave | None = None
    note: str = ""
    started: bool = True
    finish_ms: int = 0

    def log_fields(self) -> dict[str, Any]:
        """How the job ended, by names, for logs that programs read. `seconds`: how long it ran, 0 if not at all."""
        attempt = self.attempt
        took_s = max(0, self.finish_ms - attempt.start_ms) / 1000 if attempt.start_ms else 0.0
        return attempt.names() | {"seconds": took_s, "outcome": self.verdict.name.lower()}

    def told(self, queue_name: str) -> dict[str, Any]:
        """What the hooks after a run find in their context, beside what the job had."""
        attempt = self.attempt
        result = JobResult(
            **vars(attempt.definition()),
            success=self.verdict is COMPLETE,
            result=self.value,
            start_time=ms_to_datetime(attempt.start_ms),
            finish_time=ms_to_datetime(self.finish_ms),
            queue_name=queue_name,
        )
        return {"job_result": result, "job_outcome": self.verdict.name.lower()}


def completed(attempt: Attempt, value: Any, finish_ms: int) -> Outcome:
    """What is written about an attempt that has returned a value; see `readable`."""
    outcome = _new(Outcome)
    outcome.attempt, outcome.verdict, outcome.value, outcome.finish_ms = attempt, COMPLETE, value, finish_ms
    outcome.defer_ms, outcome.interrupted, outcome.snoozed, outcome.leave = None, False, False, None
    outcome.note, outcome.started = "", True
    return outcome
