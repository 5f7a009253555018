"""Every log line of a job's life, with the texts that arq's users grep for."""

from __future__ import annotations

import logging
import math
from typing import Any

from .._crash_records import Crashes
from .._errors import DeserializationError, PayloadRefused
from .._payloads.pickle_errors import CanNotRebuildError
from .._printable import escaped, printable, printable_lines
from .._redis.scripts import Released
from ..utils import args_to_string, safe_repr, truncate
from .attempt import COMPLETE, Attempt, Outcome, Verdict
from .blocked_loop import Standstill
from .quick_log import QuickLog

logger = logging.getLogger("arq.worker")
_info = QuickLog(logger, __file__, "report").info

_INFO = logging.INFO
#: A job that starts later than this after its time is called delayed, in ms.
_LATE_MS = 1200
#: Jobs that a line has room for.
_MOST_NAMED = 5
#: Characters of an exception that the line about another try has room for.
_LONGEST_REASON = 200


def gone(worker_id: str, released: Released) -> None:
    """Another worker has not been heard of in time, and its jobs are free again."""
    job_ids = released.job_ids
    to_blame = released.blamed and f"; to blame: {printable(released.blamed)}"
    logger.warning(
        "worker %s is gone, %d jobs given back: %s%s",
        printable(worker_id),
        len(job_ids),
        job_ids[:10],
        to_blame,
    )


def started(attempt: Attempt) -> None:
    """The job starts."""
    if not logger.isEnabledFor(_INFO):
        return
    extra = f" try={attempt.job_try}" if attempt.job_try > 1 else ""
    late_ms = attempt.start_ms - attempt.job.score
    if late_ms > _LATE_MS:
        extra += f" delayed={late_ms / 1000:0.2f}s"
    waited_s = (attempt.start_ms - attempt.enqueue_ms) / 1000
    _info(
        attempt,
        waited_s,
        "s → %s(%s)%s",
        attempt.ref,
        args_to_string(attempt.args, attempt.kwargs) if attempt.args or attempt.kwargs else "",
        extra,
    )


def ended(outcome: Outcome, log_results: bool) -> None:
    """A job that was started has ended."""
    if outcome.verdict is not COMPLETE:
        _ended_otherwise(outcome)
    elif logger.isEnabledFor(_INFO):
        attempt, value = outcome.attempt, outcome.value
        took_s = (outcome.finish_ms - attempt.start_ms) / 1000
        result = "" if value is None or not log_results else _shown(value)
        _info(outcome, took_s, "s ← %s ● %s", attempt.ref, result)


def _ended_otherwise(outcome: Outcome) -> None:
    ref, verdict, value = outcome.attempt.ref, outcome.verdict, outcome.value
    took_s = (outcome.finish_ms - outcome.attempt.start_ms) / 1000
    if verdict is Verdict.FAILED:
        if outcome.note:
            _undecided(outcome, took_s)
        logger.error(
            "%6.2fs ! %s failed, %s: %s",
            took_s,
            ref,
            printable(value.__class__.__name__),
            printable_lines(_text(value)),
            exc_info=value,
            extra={"extra": _extra(value), "job": outcome.log_fields()},
        )
    elif not logger.isEnabledFor(_INFO):
        pass
    elif verdict is Verdict.RETRY and (outcome.note or outcome.snoozed):
        _tried_again(outcome, took_s)
    elif verdict is Verdict.RETRY:
        _info(outcome, took_s, "s ↻ %s retrying job in %0.2fs", ref, (outcome.defer_ms or 0) / 1000)
    elif verdict is Verdict.CANCELLED:
        _info(outcome, took_s, "s ↻ %s cancelled, will be run again", ref)
    else:
        _info(outcome, took_s, "s ⊘ %s aborted", ref)


def _shown(value: object) -> str:
    """What a job has returned, as it stands in a line."""
    result = truncate(safe_repr(value))
    return result if result.isprintable() else escaped(result)


def _tried_again(outcome: Outcome, took_s: float) -> None:
    """Options say that the job is tried again, or it snoozes. Where it has failed is for those who look for it."""
    why, value = outcome.note, outcome.value
    if outcome.snoozed:
        why = "snoozed, this try does not count"
    else:
        why += f", {value.__class__.__name__}"
        if text := _text(value):
            why += f": {truncate(text, _LONGEST_REASON)}"
        logger.debug("%s is tried again after this:", outcome.attempt.ref, exc_info=value)
    delay_s = (outcome.defer_ms or 0) / 1000
    _info(
        outcome,
        took_s,
        "s ↻ %s retrying job in %0.2fs: %s",
        outcome.attempt.ref,
        delay_s,
        printable(why),
    )


def _undecided(outcome: Outcome, took_s: float) -> None:
    """The function of the application that says when to try again does not say it."""
    logger.error(
        "%6.2fs ! %s is not tried again, its %s; it fails with its own error",
        took_s,
        outcome.attempt.ref,
        printable(outcome.note),
        extra={"job": outcome.log_fields()},
    )


def ignored_timeout(outcome: Outcome) -> None:
    """A job was told that its time is over, and went on."""
    if outcome.verdict is not Verdict.COMPLETE:
        return
    took_s = (outcome.finish_ms - outcome.attempt.start_ms) / 1000
    logger.warning(
        "%6.2fs ! %s was cancelled at its timeout, ignored that and returned: its result is kept",
        took_s,
        outcome.attempt.ref,
        extra={"job": outcome.log_fields()},
    )


def stood_still(standstill: Standstill) -> None:
    """The event loop stood still, and with it all jobs."""
    if standstill.task is None:
        logger.warning(
            "the event loop stood still for %0.1fs: the process was stopped, or a job did not let go; "
            "running jobs get that time back",
            standstill.seconds,
        )
        return
    logger.warning(
        "%s blocked the event loop for %0.1fs (%s); other jobs stood still meanwhile and get that time back",
        printable(standstill.name),
        standstill.seconds,
        standstill.where,
    )


def refused(outcome: Outcome) -> None:
    """A job was not even started."""
    attempt = outcome.attempt
    job_id = printable(attempt.job.job_id)
    waited_s = (outcome.finish_ms - attempt.enqueue_ms) / 1000
    extra = {"job": outcome.log_fields()}
    if outcome.verdict is Verdict.ABORTED:
        _info(outcome, waited_s, "s ⊘ %s:%s aborted before start", job_id, printable(attempt.function_name))
    elif isinstance(attempt.problem, DeserializationError):
        if isinstance(attempt.problem, PayloadRefused) or isinstance(
            attempt.problem.__cause__, CanNotRebuildError
        ):  # it says all that there is to say
            logger.error("deserializing job %s failed: %s", job_id, attempt.problem, extra=extra)
        else:
            logger.error("deserializing job %s failed", job_id, exc_info=attempt.problem, extra=extra)
    elif attempt.problem is not None:
        logger.warning("job %s expired", job_id, extra=extra)
    elif attempt.function is None:
        told = (job_id, attempt.function_name, attempt.hint)
        logger.warning("job %s, function %r not found; %s", *told, extra=extra)
    else:
        words, _, why = str(outcome.value).partition(": ")  # "max N retries exceeded: why"
        why = why and f": {why}"
        logger.warning(
            "%6.2fs ! %s max retries %s exceeded%s", waited_s, attempt.ref, words.split()[1], why, extra=extra
        )


def waits_for(jobs: list[tuple[str, str]], wait_s: float, again: str = "") -> None:
    """The worker is to stop, and these jobs may end first. `again`: what happens if that is asked for once more."""
    if jobs:
        names = ", ".join(printable(f"{job_id}:{name}") for job_id, name in jobs[:_MOST_NAMED])
        more = f" and {len(jobs) - _MOST_NAMED} more" if len(jobs) > _MOST_NAMED else ""
        limit = "however long it takes" if wait_s == math.inf else f"up to {wait_s:g}s"
        hint = again and f"; {again}"
        logger.info("waiting %s for %d running: %s%s%s", limit, len(jobs), names, more, hint)


def suspect(job_id: str, crashes: Crashes) -> None:
    """A job starts that was in a process that died."""
    with_whom = "alone" if crashes.level > 1 else "with few others"
    logger.info(
        "job %s is tried %s: a process died that ran it (%s)",
        printable(job_id),
        with_whom,
        printable(crashes.cause),
    )


def makes_room(job_id: str) -> None:
    """A worker takes nothing but one job that it may not run beside others."""
    logger.info(
        "taking no more jobs until there is room for %s: a process died that ran it", printable(job_id)
    )


def left_to_others(outcome: Outcome) -> None:
    """A job that can't be read here was put back for another worker. There may be many of them, for hours."""
    assert outcome.leave is not None
    level = logging.WARNING if outcome.leave.times <= 1 else logging.DEBUG
    text = "job %s can't be read here, it is left to other workers for %0.0fs: %s"
    logger.log(
        level, text, outcome.attempt.ref, outcome.leave.leave_ms / 1000, printable(_text(outcome.value))
    )


def unwritten(exc: Exception) -> None:
    """Endings could not be written while no main loop runs; they are kept."""
    logger.warning("outcomes are not written yet, redis trouble: %s: %s", exc.__class__.__name__, exc)


def nameless(job_id: str | bytes) -> None:
    """A job can't be run: arq's ids are text."""
    logger.error("job id %r is not UTF-8: no arq makes such, and none can run it; it is removed", job_id)


def not_ours(job_id: str | bytes) -> None:
    """The ending of a job came too late: the job had been given to another worker."""
    name = job_id if isinstance(job_id, str) else repr(job_id)
    logger.warning(
        "job %s was given to another worker meanwhile, its outcome here is dropped", printable(name)
    )


def result_replaced(job_id: str | bytes, why: str, *, is_kept: bool) -> None:
    """Redis can't take a result; `is_kept`: a text that says why is kept instead of it."""
    instead = "a text that says so is kept instead" if is_kept else "no result is kept"
    logger.error("job %s: unable to serialize result: %s; %s", job_id, why, instead)


def ending_refused(job_id: str | bytes, why: str) -> None:
    """Redis takes nothing that is said about a job."""
    logger.error(
        "job %s: Redis refuses its outcome, the job will be run again when its lock has lapsed: %s",
        job_id,
        why,
    )


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001  (a log line must not decide about a job)
        return safe_repr(exc)


def _extra(exc: BaseException) -> Any:
    try:
        extra = getattr(exc, "extra", None)
        return extra() if callable(extra) else extra
    except Exception:
        logger.exception("the `extra` of %s failed", exc.__class__.__name__)
        return None
