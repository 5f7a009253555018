"""What stands in the queue of a job that was aborted before anybody ran it. No I/O."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from .._errors import DeserializationError, SerializationError
from .._job_records import JobDef
from .._printable import printable
from ..constants import keep_cronjob_progress
from ..utils import to_unix_ms
from .serialization import Deserializer, Serializer, deserialize_job_raw, serialize_job, serialize_result
from .unreadable_records import PICKLE, read_job, unread_job

if TYPE_CHECKING:
    from .payload_format import PayloadFormat

logger = logging.getLogger("arq.jobs")

#: Seconds for which the result is kept. How long the worker would have kept it is unknown here: this is arq's default.
KEEP_RESULT_S = 3600
#: Cron jobs are called so unless they have a name of their own.
_CRON = "cron:"


def aborted_result(
    payload: bytes | None,
    job_id: str,
    queue_name: str,
    *,
    starts: int,
    now_ms: int,
    serializer: Serializer | None,
    deserializer: Deserializer | None,
    payload_format: PayloadFormat | None = None,
) -> tuple[bytes, int]:
    """The result of a job that was aborted while it was queued, and the seconds to keep it.

    Args:
        payload: the job's; None if it has expired.
        starts: how often it was started before.
        now_ms: when it was aborted, unix ms.
        payload_format: of the client, if it has one; it is used instead of the serializers.

    Returns:
        b"" and 0 where no result should stand, or none that could be read again.
    """
    if payload_format is None:
        job = _job(payload, job_id, serializer, deserializer)
    else:
        job = _job_of(payload_format, payload, job_id, queue_name)
        serializer, deserializer = payload_format.serializer, payload_format.deserializer
    if job is None:
        return _none(job_id)
    keep_s = _keep_s(job.function, job_id)
    if not keep_s:
        return b"", 0
    tries, enqueue_ms = max(job.job_try or 0, starts + 1), to_unix_ms(job.enqueue_time)
    result = serialize_result(
        job.function,
        job.args,
        job.kwargs,
        tries,
        enqueue_ms,
        False,
        asyncio.CancelledError(),
        now_ms,
        now_ms,
        printable(f"{job_id}:{job.function}"),
        queue_name,
        job_id,
        serializer=serializer,
        deserializer=deserializer,
    )
    if payload_format is not None:
        shown = {"t": tries, "f": job.function, "et": enqueue_ms, "s": False, "st": now_ms, "ft": now_ms}
        result = payload_format.seal_result(result, job_id, queue_name, lambda: shown)
    return (result, keep_s) if result else _none(job_id)


def _job_of(payload_format: PayloadFormat, payload: bytes | None, job_id: str, queue_name: str) -> JobDef:
    """The job, as far as it may be read."""
    if payload is None:
        return unread_job(job_id, None)
    try:
        return read_job(payload, deserializer=payload_format.job_reader(job_id, queue_name))
    except DeserializationError:
        return unread_job(job_id, None)


def _job(
    payload: bytes | None, job_id: str, serializer: Serializer | None, deserializer: Deserializer | None
) -> JobDef | None:
    """The job, as far as it can be read; None: what is written of it could not be read again."""
    if not _fit_together(serializer, deserializer):
        return None
    if payload is None:
        return unread_job(job_id, None)
    try:
        return read_job(payload, deserializer=deserializer)
    except DeserializationError:
        is_pickle = serializer is None and payload.startswith(PICKLE)
        return unread_job(job_id, None) if is_pickle else None


def _fit_together(serializer: Serializer | None, deserializer: Deserializer | None) -> bool:
    """Whether the one reads what the other writes: a client may know one of them only."""
    try:
        deserialize_job_raw(
            serialize_job("", (), {}, None, 0, serializer=serializer), deserializer=deserializer
        )
    except SerializationError:
        return False
    return True


def _keep_s(function: str, job_id: str) -> int:
    """A schedule's next run may need the id at once; a tick's id must not come back while others may still plan it."""
    if not function.startswith(_CRON):
        return KEEP_RESULT_S
    return keep_cronjob_progress if job_id.startswith(f"{function}:") else 0


def _none(job_id: str) -> tuple[bytes, int]:
    logger.warning(
        "job %s is aborted without a result: its payload, or a result beside it, can't be read with the serializer "
        "of this client",
        printable(job_id),
    )
    return b"", 0
