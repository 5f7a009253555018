"""May a job run, and what does its ending mean? No I/O."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from .._endings import Again, Done, Ending, Unbegun, make_done
from .._errors import DeserializationError, JobExecutionFailed, PayloadRefused, Retry, RetryJob, Snooze
from .._function import Function
from .._payloads import plain_json, plain_pickles
from .._payloads.pickle_errors import explain
from .._payloads.serialization import (
    UNSERIALIZABLE_RESULT,
    Deserializer,
    Serializer,
    deserialize_job_raw,
)
from .._payloads.unreadable_records import PICKLE, salvage
from .._redis.scripts import ClaimedJob
from .._retry_options import RetryOptions
from ..cron import CronJob
from ..utils import safe_repr, to_ms, truncate
from . import dead_set_policy
from .attempt import COMPLETE, Attempt, Cause, Ended, Outcome, Verdict, completed, readable
from .dead_set_policy import burial_of, error_of_try, keep_result_ms
from .result_payload import result_payload
from .retry_policy import Failure, leaves_of, next_try_ms, policy_of
from .unknown_function import hint

if TYPE_CHECKING:
    from .._payloads.payload_format import PayloadFormat

#: The year 9999 in unix ms: the end of what a datetime can say.
_LAST_MS = 253_000_000_000_000


#: Characters of an exception that is too large for Redis which are kept.
_LONGEST_EXCEPTION = 1000
#: No try has a higher number: Redis counts them, and Lua's numbers are exact up to here.
_MOST_TRIES = 2**53
#: What may stand in a payload's fields. As tuples: to write `list | tuple` in a function makes a new type each time.
_ARGS_TYPES, _TIME_TYPES = (list, tuple), (int, float)
#: What a job raises to be run again, by itself or by whoever cancelled it.
_RUN_AGAIN = (asyncio.CancelledError, RetryJob)


class Defaults(dead_set_policy.Defaults, Protocol):
    """What functions that say nothing of their own get: the options of the worker."""

    @property
    def max_tries(self) -> float | None:
        """None: no limit."""

    expires_extra_ms: float | None
    retry_options: RetryOptions | None


def read(
    job: ClaimedJob,
    functions: Mapping[str, Function | CronJob],
    deserializer: Deserializer | None,
    payload_format: PayloadFormat | None = None,
    queue_name: str = "",
) -> Attempt:
    """Read the payload of a claimed job. What is wrong with it is noted, not raised."""
    payload = job.payload
    if not payload:
        pass
    elif payload_format is not None:
        found = payload_format.read_plain_job(payload, job.job_id, queue_name)
        if isinstance(found, tuple):
            return _plain(job, functions, *found)
        deserializer = found
    elif deserializer is None and (plain := plain_pickles.read_job(payload)) is not None:
        return _plain(job, functions, plain[0], (), plain_json.NO_ARGS, plain[1])
    return _read(job, functions, deserializer)


def _plain(
    job: ClaimedJob,
    functions: Mapping[str, Function | CronJob],
    name: str,
    args: tuple[Any, ...],
    args_json: str,
    enqueue_ms: int,
) -> Attempt:
    function = functions.get(name)
    attempt = readable(job, name, function, args, {}, enqueue_ms, job.job_try)
    attempt.args_json = args_json
    if function is None:
        attempt.hint = hint(name, functions)
    return attempt


def _read(
    job: ClaimedJob, functions: Mapping[str, Function | CronJob], deserializer: Deserializer | None
) -> Attempt:
    if job.unreadable:
        return Attempt(job, job_try=job.job_try, problem=DeserializationError(job.unreadable))
    if job.payload is None:
        return Attempt(job, job_try=job.job_try, problem=JobExecutionFailed("job expired"))
    try:
        name, args, kwargs, first_try, enqueue_ms = deserialize_job_raw(
            job.payload, deserializer=deserializer
        )
    except PayloadRefused as exc:  # it is not looked into any further
        return Attempt(job, job_try=job.job_try, problem=exc.with_traceback(None), unread=exc.elsewhere)
    except DeserializationError as exc:
        is_odd = deserializer is None and not job.payload.startswith(PICKLE)
        return _unread(job, job.payload, exc if is_odd else _with_reason(exc), functions)
    if not _have_types(name, args, kwargs, first_try, enqueue_ms):
        return Attempt(job, job_try=job.job_try, problem=DeserializationError("unable to deserialize job"))
    if deserializer is None and first_try is None and not args and not kwargs:
        plain_pickles.note_job(job.payload, name)
    job_try = first_try if first_try and first_try > job.job_try else job.job_try
    function = functions.get(name)
    attempt = readable(job, name, function, args, kwargs, enqueue_ms, job_try)
    if function is None:
        attempt.hint = hint(name, functions)
    return attempt


def _unread(
    job: ClaimedJob, payload: bytes, exc: DeserializationError, functions: Mapping[str, Function | CronJob]
) -> Attempt:
    """What can be said of a job that can't be read here. Nothing of it is imported or called for that."""
    try:
        found = salvage(payload, exc, rebuild=False)
    except DeserializationError:
        return Attempt(job, job_try=job.job_try, problem=exc, unread=True)
    name, enqueue_ms = found.raw("f"), found.raw("et")
    if not (isinstance(enqueue_ms, _TIME_TYPES) and 0 <= enqueue_ms < _LAST_MS):
        enqueue_ms = 0
    first_try, function = found.raw("t"), functions.get(name)
    job_try = max(first_try, job.job_try) if isinstance(first_try, int) else job.job_try
    attempt = Attempt(job, name, found.args(), found.kwargs(), enqueue_ms, job_try, exc, function)
    attempt.unread = found.has("f", "a", "k", "t", "et")  # else nobody can read it
    return attempt


def _with_reason(exc: DeserializationError) -> DeserializationError:
    """The same with the reason in its text. (Of what was never a job's payload arq says no more than this.)"""
    reason = explain(exc.__cause__ or exc)
    told = DeserializationError(str(exc) if reason in str(exc) else f"{exc}: {reason}")
    told.__cause__ = exc.__cause__
    return told


def _have_types(name: object, args: object, kwargs: object, first_try: object, enqueue_ms: object) -> bool:
    """Whether a job can be run with that: foreign producers may have written anything."""
    if not (
        isinstance(name, str)
        and isinstance(args, _ARGS_TYPES)
        and isinstance(kwargs, dict)
        and isinstance(enqueue_ms, _TIME_TYPES)
        and 0 <= enqueue_ms < _LAST_MS
    ):
        return False
    return first_try is None or (isinstance(first_try, int) and abs(first_try) < _MOST_TRIES)


def refuse(attempt: Attempt, defaults: Defaults, now_ms: int) -> Outcome | None:
    """The outcome of a job that must not run; None if it may."""
    if attempt.problem is not None:
        return _refused(attempt, attempt.problem, now_ms)
    if attempt.job.aborted:
        outcome = _refused(attempt, asyncio.CancelledError(), now_ms)
        outcome.verdict = Verdict.ABORTED
        return outcome
    if attempt.function is None:
        failure = JobExecutionFailed(f"function {attempt.function_name!r} not found")
        failure.add_note(attempt.hint)  # the text is arq's, and others compare it
        return _refused(attempt, failure, now_ms)
    max_tries = tries_allowed(attempt, defaults)
    if attempt.job_try - attempt.job.interrupted > max_tries:
        return _refused(
            attempt, JobExecutionFailed(f"max {max_tries} retries exceeded{deaths(attempt)}"), now_ms
        )
    return None


def deaths(attempt: Attempt) -> str:
    """How often a job has killed its process, for the text of its failure."""
    crashes = attempt.job.crashes
    if crashes is None or not crashes.blamed:
        return ""
    return f": its process died {crashes.blamed} time{'s' * (crashes.blamed > 1)} ({crashes.cause})"


def _refused(attempt: Attempt, reason: BaseException, now_ms: int) -> Outcome:
    attempt.start_ms = now_ms
    return Outcome(attempt, Verdict.FAILED, reason, started=False, finish_ms=now_ms)


def tries_allowed(attempt: Attempt, defaults: Defaults) -> float:
    """How often the job may be started."""
    function = attempt.function
    given = defaults.max_tries if function is None or function.max_tries is None else function.max_tries
    return math.inf if given is None else given


def decide(attempt: Attempt, ended: Ended, defaults: Defaults, *, retry_jobs: bool, now_ms: int) -> Outcome:
    """What the ending of a run means for the job."""
    told = ended.raised
    if told is None:
        return completed(attempt, ended.value, now_ms)
    raised: BaseException = told
    if isinstance(told, BaseExceptionGroup):
        raised = _retry_in(told) or told
    if isinstance(raised, asyncio.CancelledError) and ended.cause is Cause.ABORT:
        return Outcome(attempt, Verdict.ABORTED, raised, finish_ms=now_ms)
    if retry_jobs and isinstance(raised, Retry):
        snoozed = isinstance(raised, Snooze) and all(isinstance(one, Snooze) for one in leaves_of(told))
        return Outcome(
            attempt, Verdict.RETRY, raised, defer_ms=raised.defer_score, snoozed=snoozed, finish_ms=now_ms
        )
    if retry_jobs and isinstance(raised, _RUN_AGAIN):
        if (failure := _cancelled_too_often(attempt, ended, defaults)) is not None:
            return Outcome(attempt, Verdict.FAILED, failure, finish_ms=now_ms)
        interrupted = ended.cause is Cause.SHUTDOWN
        return Outcome(attempt, Verdict.CANCELLED, raised, interrupted=interrupted, finish_ms=now_ms)
    function = attempt.function
    has_policy = defaults.retry_options is not None or (
        function is not None and function.retry_options is not None
    )
    if has_policy and retry_jobs and ended.cause is not Cause.ABORT:
        return _by_policy(attempt, told, defaults, now_ms, timed_out=ended.cause is Cause.TIMEOUT)
    return Outcome(attempt, Verdict.FAILED, told, finish_ms=now_ms)


def _by_policy(
    attempt: Attempt, raised: BaseException, defaults: Defaults, now_ms: int, *, timed_out: bool
) -> Outcome:
    """The job has failed, and there are options that say whether it is tried again."""
    own = None if attempt.function is None else attempt.function.retry_options
    tries, most_tries = attempt.job_try - attempt.job.interrupted, tries_allowed(attempt, defaults)
    outcome = Outcome(attempt, Verdict.FAILED, raised, finish_ms=now_ms)
    failure = Failure(raised, timed_out, tries, most_tries, now_ms - attempt.enqueue_ms)
    try:
        defer_ms = next_try_ms(policy_of(own, defaults.retry_options), failure)
    except ValueError as exc:
        outcome.note = str(exc)
        return outcome
    if defer_ms is not None:
        outcome.verdict, outcome.defer_ms = Verdict.RETRY, defer_ms
        limit = "" if most_tries == math.inf else f" of {most_tries}"
        outcome.note = f"try {tries}{limit}{' took too long' if timed_out else ''}"
    return outcome


def _retry_in(group: BaseExceptionGroup[BaseException]) -> Retry | RetryJob | None:
    """The wish of a task group whose tasks raised `Retry` or `RetryJob` and nothing else: the longest wait counts."""
    leaves = list(leaves_of(group))
    wishes = [wish for wish in leaves if isinstance(wish, Retry | RetryJob)]
    if len(wishes) < len(leaves):
        return None
    retries = [wish for wish in wishes if isinstance(wish, Retry)]
    return max(retries, key=lambda retry: retry.defer_score or 0) if retries else wishes[0]


def _cancelled_too_often(attempt: Attempt, ended: Ended, defaults: Defaults) -> JobExecutionFailed | None:
    """The failure of a job whose last run was cancelled, and by nobody we know: now, while that is known."""
    max_tries = tries_allowed(attempt, defaults)
    is_ours = ended.cause is not Cause.NOBODY or not isinstance(ended.raised, asyncio.CancelledError)
    if is_ours or attempt.job_try - attempt.job.interrupted < max_tries:
        return None
    failure = JobExecutionFailed(
        f"max {max_tries} retries exceeded: the job was cancelled, neither by an abort nor by a stop of the worker; "
        "something that it awaited was cancelled, or its task was"
    )
    failure.__cause__ = ended.raised  # the log shows where
    return failure


def ending(
    outcome: Outcome,
    defaults: Defaults,
    queue_name: str,
    hold_cron_s: Callable[[], float],
    serializer: Serializer | None,
    deserializer: Deserializer | None = None,
    payload_format: PayloadFormat | None = None,
) -> Ending:
    """What is written to Redis about an outcome."""
    attempt, verdict = outcome.attempt, outcome.verdict
    job = attempt.job
    if verdict is not COMPLETE and not verdict.is_final:
        return _run_again(outcome, defaults)
    only_start = not job.is_counted and job.job_try == 1 and not job.interrupted and job.crashes is None
    is_tick = isinstance(attempt.function, CronJob) and _is_tick(attempt, attempt.function)
    hold_ms = to_ms(hold_cron_s()) if is_tick else None
    keep_ms = keep_result_ms(attempt, defaults)
    burial = None
    if verdict is not COMPLETE and verdict is Verdict.FAILED:
        burial = burial_of(outcome, defaults)
        if burial is not None and payload_format is not None:
            entry = payload_format.sign_entry(burial.entry, job.job_id, queue_name, job.payload or b"")
            burial = burial._replace(entry=entry)
    if keep_ms == 0:
        return Done(job.job_id, job.stamp, b"", None, hold_ms, only_start, None, burial)
    result = result_payload(outcome, queue_name, serializer, deserializer, payload_format)
    smaller = (_smaller_result, (outcome, queue_name, serializer, payload_format))
    return make_done((attempt.job_id, job.stamp, result, keep_ms, hold_ms, only_start, smaller, burial))


def _run_again(outcome: Outcome, defaults: Defaults) -> Ending:
    attempt = outcome.attempt
    job_id, stamp = attempt.job.job_id, attempt.job.stamp
    if (leave := outcome.leave) is not None:
        return Unbegun(job_id, stamp, leave.due_ms or None, leave.name, leave.leave_ms)
    return Again(
        job_id,
        stamp,
        outcome.defer_ms,
        attempt.job_try,
        outcome.interrupted,
        outcome.snoozed,
        defaults.expires_extra_ms,
        error_of_try(outcome),
    )


def _is_tick(attempt: Attempt, schedule: CronJob) -> bool:
    """Whether this is the run of a unique cron job at one time, which nobody may repeat."""
    return schedule.unique and schedule.job_id is None and attempt.job.job_id.startswith(f"{schedule.name}:")


def _smaller_result(
    outcome: Outcome,
    queue_name: str,
    serializer: Serializer | None,
    payload_format: PayloadFormat | None,
    why: str,
    most_bytes: int,
) -> bytes:
    """A result that says why the real one is not there; without the arguments if they are what is too large."""
    attempt = outcome.attempt
    if isinstance(outcome.value, BaseException):
        why = f"{why}: {truncate(safe_repr(outcome.value), _LONGEST_EXCEPTION)}"
    said = replace(outcome, verdict=Verdict.FAILED, value=f"{UNSERIALIZABLE_RESULT}: {why}")
    result = result_payload(said, queue_name, serializer, None, payload_format)
    if len(result) <= most_bytes:
        return result
    said.attempt = Attempt(attempt.job, attempt.function_name, (), {}, attempt.enqueue_ms, attempt.job_try)
    said.attempt.start_ms = attempt.start_ms
    return result_payload(said, queue_name, serializer, None, payload_format)
