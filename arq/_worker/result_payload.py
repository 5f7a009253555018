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
    if attempt.args_json and (plain := _plain(outcome, queue_name, serializer, payload_format)) is not None:
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
    if attempt.kwargs or outcome.verdict is not COMPLETE:
        return None
    name, job_try, enqueue_ms = attempt.function_name, attempt.job_try, attempt.enqueue_ms
    times = attempt.start_ms, outcome.finish_ms
    if payload_format is not None:
        args = attempt.args_json
        return payload_format.write_plain_result(
            queue_name, attempt.job_id, name, job_try, args, enqueue_ms, value, *times
        )
    if serializer or not (value is None or value is True or value is False):
        return None
    return plain_pickles.write_result(name, job_try, enqueue_ms, value, *times, queue_name, attempt.job_id)


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
