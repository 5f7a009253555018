"""What stands in the queue of a job that was aborted before anybody ran it. No I/O."""

from __future__ import annotations

import asyncio
import logging

from ._errors import DeserializationError
from ._wire import Deserializer, Serializer, deserialize_job_raw, deserialize_result, serialize_result
from .constants import keep_cronjob_progress

logger = logging.getLogger("arq.jobs")

#: Seconds for which the result is kept. How long the worker would have kept it is unknown here: this is arq's default.
KEEP_RESULT_S = 3600
#: Cron jobs are called so unless they have a name of their own.
_CRON = "cron:"
#: How every pickle begins that arq's default serializer has written.
_PICKLE = b"\x80"
_UNKNOWN: tuple[str, tuple[()], dict[str, object], None, int] = ("<unknown>", (), {}, None, 0)


def aborted_result(
    payload: bytes | None,
    job_id: str,
    queue_name: str,
    *,
    starts: int,
    now_ms: int,
    serializer: Serializer | None,
    deserializer: Deserializer | None,
) -> tuple[bytes, int]:
    """The result of a job that was aborted while it was queued, and the seconds to keep it.

    Args:
        payload: the job's; None if it has expired.
        starts: how often it was started before.
        now_ms: when it was aborted, unix ms.

    Returns:
        b"" and 0 where no result should stand, or none that could be read again.
    """
    try:
        read = _UNKNOWN if payload is None else deserialize_job_raw(payload, deserializer=deserializer)
    except DeserializationError:
        if serializer is not None or not (payload or b"").startswith(_PICKLE):
            return _none(job_id)
        read = _UNKNOWN
    function, args, kwargs, first_try, enqueue_ms = read
    keep_s = _keep_s(function, job_id)
    if not keep_s:
        return b"", 0
    result = serialize_result(
        function,
        args,
        kwargs,
        max(first_try or 0, starts + 1),
        enqueue_ms,
        False,
        asyncio.CancelledError(),
        now_ms,
        now_ms,
        f"{job_id}:{function}",
        queue_name,
        job_id,
        serializer=serializer,
    )
    return (result, keep_s) if result and _is_readable(result, deserializer) else _none(job_id)


def _keep_s(function: str, job_id: str) -> int:
    """A schedule's next run may need the id at once; a tick's id must not come back while others may still plan it."""
    if not str(function).startswith(_CRON):
        return KEEP_RESULT_S
    return keep_cronjob_progress if job_id.startswith(f"{function}:") else 0


def _is_readable(result: bytes, deserializer: Deserializer | None) -> bool:
    try:
        deserialize_result(result, deserializer=deserializer)
    except DeserializationError:
        return False
    return True


def _none(job_id: str) -> tuple[bytes, int]:
    logger.warning(
        "job %s is aborted without a result: its payload, or a result beside it, can't be read with the serializer "
        "of this client",
        job_id,
    )
    return b"", 0
