"""Records of jobs and results that can't be read as a whole here. No I/O.

What can be read stands in them; for the rest there are stand-ins that say what is missing.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from .._errors import DeserializationError, PayloadRefused
from .._job_records import JobDef, JobResult
from ..utils import ms_to_datetime
from .pickle_errors import Recipe, Salvaged, Unreadable, explain, show
from .portable_exceptions import stand_in_of
from .serialization import Deserializer, deserialize_job, deserialize_result

UNKNOWN = "<unknown>"
#: The year 9999 in unix ms: the end of what a datetime can say.
_LAST_MS = 253_000_000_000_000
#: What a pickle begins with since protocol 2.
PICKLE = b"\x80"


def read_job(payload: bytes, *, deserializer: Deserializer | None = None) -> JobDef:
    """As `deserialize_job`, but arguments that can't be read are `Unreadable`.

    Raises:
        DeserializationError: nothing can be said about it.
    """
    try:
        return deserialize_job(payload, deserializer=deserializer)
    except DeserializationError as exc:
        found = salvage(payload, exc, rebuild=deserializer is None)
        return JobDef(**_job_fields(found))


def read_result(payload: bytes, *, deserializer: Deserializer | None = None) -> JobResult:
    """As `deserialize_result`, but what can't be read is `Unreadable`, or, of a failed job, an exception that says so.

    Raises:
        DeserializationError: nothing can be said about it.
    """
    try:
        return deserialize_result(payload, deserializer=deserializer)
    except DeserializationError as exc:
        found = salvage(payload, exc, rebuild=deserializer is None)
        if found.raw("s") not in (True, False):
            raise
        success, value = _value(found, exc, is_foreign=deserializer is not None)
        fields = _job_fields(found)
        fields["job_id"] = _text(found.raw("id"))
        return JobResult(
            **fields,
            success=success,
            result=value,
            start_time=_time(found.raw("st")),
            finish_time=_time(found.raw("ft")),
            queue_name=_text(found.raw("q")),
        )


def salvage(payload: bytes, exc: DeserializationError, *, rebuild: bool) -> Salvaged:
    """What can be read of the bytes of a job or result.

    Args:
        payload: the bytes.
        exc: why they can't be read as a whole; the cause is noted on it, if the text does not name it.
        rebuild: see `Salvaged`. False for those who have a reader of their own: it may refuse what pickle would call.

    Raises:
        DeserializationError: nothing.
    """
    if isinstance(exc, PayloadRefused):
        raise exc
    reason = explain(exc.__cause__ or exc)
    if reason not in str(exc):
        exc.add_note(reason)
    try:
        if not payload.startswith(PICKLE):
            raise exc
        found = Salvaged(payload, rebuild=rebuild)
    except Exception:  # noqa: BLE001  (it is no pickle: what the reader has said about it holds)
        raise exc from exc.__cause__
    if not isinstance(found.raw("f"), str):
        raise exc
    return found


def unread_job(job_id: str, score: int | None) -> JobDef:
    """The record of a job of which nothing else is known."""
    return JobDef(UNKNOWN, (), {}, job_try=None, enqueue_time=_time(0), score=score, job_id=job_id)


def unread_result(job_id: str, exc: DeserializationError) -> JobResult:
    """The record of a result of which nothing else is known."""
    never = _time(0)
    job = vars(unread_job(job_id, None))
    return JobResult(
        **job, success=False, result=exc, start_time=never, finish_time=never, queue_name=UNKNOWN
    )


def is_unread(result: JobResult) -> bool:
    """Whether it is the record of a result of which nothing is known, not even whether it is a failure."""
    return (result.function, result.queue_name) == (UNKNOWN, UNKNOWN)


def _job_fields(found: Salvaged) -> dict[str, Any]:
    job_try = found.raw("t")
    return {
        "function": found.raw("f"),
        "args": found.args(),
        "kwargs": found.kwargs(),
        "job_try": job_try if isinstance(job_try, int) else None,
        "enqueue_time": _time(found.raw("et")),
        "score": None,
        "job_id": None,
    }


def _value(found: Salvaged, exc: DeserializationError, *, is_foreign: bool) -> tuple[bool, Any]:
    """Whether the job was successful, and what it returned or raised."""
    told = found.raw("unreadable")
    if isinstance(told, tuple) and len(told) == 2:  # the worker could not read the value back, either
        return True, Unreadable(*map(str, told))
    raw, reason = found.raw("r"), explain(exc.__cause__ or exc)
    value = Unreadable(reason, show(raw)) if is_foreign else found.get("r")
    if found.raw("s") or not isinstance(value, Unreadable):
        return found.raw("s"), value
    return False, _exception(raw, value.reason or reason)


def _exception(raw: Any, reason: str) -> DeserializationError:
    """What is known of an exception."""
    if not isinstance(raw, Recipe):
        return DeserializationError(f"unable to deserialize job result: {reason}")
    notes = raw.state.get("__notes__") if isinstance(raw.state, dict) else None
    kept = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    notes = [*kept, f"the exception itself can't be read here: {reason}"]
    stand_in = stand_in_of(DeserializationError, repr(type(raw)), _message(raw.args), notes)
    assert isinstance(stand_in, DeserializationError)
    return stand_in


def _message(args: tuple[Any, ...]) -> str:
    """What `str` says of most exceptions with these arguments."""
    if len(args) == 1:
        return args[0] if isinstance(args[0], str) else show(args[0])
    return f"({', '.join(map(show, args))})" if args else ""


def _time(unix_ms: Any) -> datetime:
    fits = isinstance(unix_ms, int | float) and math.isfinite(unix_ms) and 0 <= unix_ms < _LAST_MS
    return ms_to_datetime(unix_ms if fits else 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else UNKNOWN
