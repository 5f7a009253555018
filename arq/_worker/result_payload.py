"""An outcome as the bytes of a result: by the codec, signed where payloads are. No I/O."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .._payloads import plain_pickles
from .._payloads.serialization import Deserializer, Serializer, serialize_result
from .attempt import COMPLETE, Outcome

if TYPE_CHECKING:
    from .._payloads.payload_format import PayloadFormat


def result_payload(
    outcome: Outcome,
    queue_name: str,
    serializer: Serializer | None,
    deserializer: Deserializer | None = None,
    payload_format: PayloadFormat | None = None,
) -> bytes:
    """What is kept of an outcome in Redis; b"": nothing can be."""
    attempt = outcome.attempt
    job_id = attempt.job_id
    if attempt.is_plain and (plain := _plain(outcome, queue_name, serializer, payload_format)) is not None:
        return plain
    fields = (
        attempt.function_name,
        attempt.args,
        attempt.kwargs,
        attempt.job_try,
        attempt.enqueue_ms,
        outcome.verdict is COMPLETE,
        outcome.value,
        attempt.start_ms,
        outcome.finish_ms,
        attempt.ref,
        queue_name,
        job_id,
    )
    if payload_format is not None:
        payload = payload_format.plain_result(queue_name, job_id, fields)
        if payload is not None:
            return payload
    payload = serialize_result(*fields, serializer=serializer, deserializer=deserializer)
    if payload_format is not None:
        shown = functools.partial(_shown, outcome)
        payload = payload_format.seal_result(payload, job_id, queue_name, shown)
    return payload or b""


def _plain(
    outcome: Outcome, queue_name: str, serializer: Serializer | None, payload_format: PayloadFormat | None
) -> bytes | None:
    attempt, value = outcome.attempt, outcome.value
    is_simple = value is None or value is True or value is False
    if not is_simple or attempt.kwargs or outcome.verdict is not COMPLETE:
        return None
    times = attempt.start_ms, outcome.finish_ms
    fields = (attempt.function_name, attempt.job_try, attempt.enqueue_ms, value, *times)
    if payload_format is not None:
        return payload_format.write_plain_result(queue_name, attempt.job_id, fields)
    return None if serializer else plain_pickles.write_result(*fields, queue_name, attempt.job_id)


def _shown(outcome: Outcome) -> dict[str, Any]:
    """What of a result need not be secret."""
    attempt = outcome.attempt
    return {
        "t": attempt.job_try,
        "f": attempt.function_name,
        "et": attempt.enqueue_ms,
        "s": outcome.verdict is COMPLETE,
        "st": attempt.start_ms,
        "ft": outcome.finish_ms,
    }
