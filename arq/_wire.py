"""Bytes to records and back: the payloads of arq's wire format. No I/O.

A job is one dict: `t` try asked for, `f` function, `a` args, `k` kwargs, `et` enqueue ms. A result has these and
`s` success, `r` result, `st` start ms, `ft` finish ms, `q` queue name, `id` job id. Readers look up these keys and
ignore all others.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any

from ._errors import DeserializationError, SerializationError
from ._records import JobDef, JobResult
from .utils import ms_to_datetime

logger = logging.getLogger("arq.jobs")

Serializer = Callable[[dict[str, Any]], bytes]
Deserializer = Callable[[bytes], dict[str, Any]]

UNSERIALIZABLE_RESULT = "unable to serialize result"


def serialize_job(
    function_name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    job_try: int | None,
    enqueue_time_ms: int,
    *,
    serializer: Serializer | None = None,
) -> bytes:
    """The payload of a job.

    Raises:
        SerializationError: the serializer (default `pickle.dumps`) refused the arguments.
    """
    data = {"t": job_try, "f": function_name, "a": args, "k": kwargs, "et": enqueue_time_ms}
    try:
        return _dump(data, serializer)
    except Exception as exc:
        raise SerializationError(f'unable to serialize job "{function_name}"') from exc


def _dump(data: dict[str, Any], serializer: Serializer | None) -> bytes:
    payload: Any = (serializer or pickle.dumps)(data)
    if isinstance(payload, str):  # json.dumps
        payload = payload.encode()
    elif isinstance(payload, bytearray | memoryview):
        payload = bytes(payload)
    if not isinstance(payload, bytes):
        raise TypeError(f"the serializer returned {type(payload).__name__}, not bytes")
    if not payload:  # in Redis that would be a job that has expired, or no result
        raise ValueError("the serializer returned nothing")
    return payload


def serialize_result(
    function: str,
    args: Any,
    kwargs: dict[str, Any],
    job_try: int,
    enqueue_time_ms: int,
    success: bool,
    result: Any,
    start_ms: int,
    finished_ms: int,
    ref: str,
    queue_name: str,
    job_id: str,
    *,
    serializer: Serializer | None = None,
) -> bytes | None:
    """The payload of a result.

    What can't be serialized is replaced by a text that says so. If even that fails (the arguments can't be serialized
    any more), the answer is None and no result can be kept.
    """
    data = {
        "t": job_try,
        "f": function,
        "a": args,
        "k": kwargs,
        "et": enqueue_time_ms,
        "s": success,
        "r": result,
        "st": start_ms,
        "ft": finished_ms,
        "q": queue_name,
        "id": job_id,
    }
    try:
        return _dump(data, serializer)
    except Exception:
        logger.warning("error serializing result of %s", ref, exc_info=True)
    data.update(r=UNSERIALIZABLE_RESULT, s=False)
    try:
        return _dump(data, serializer)
    except Exception:
        logger.critical("error serializing result of %s even after replacing result", ref, exc_info=True)
    return None


def deserialize_job_raw(
    r: bytes, *, deserializer: Deserializer | None = None
) -> tuple[str, tuple[Any, ...], dict[str, Any], int | None, int]:
    """Function name, args, kwargs, try asked for and enqueue ms of a job's payload.

    Raises:
        DeserializationError: the bytes can't be read, or a key is missing.
    """
    try:
        d = (deserializer or pickle.loads)(r)
        return d["f"], d["a"], d["k"], d["t"], d["et"]
    except Exception as exc:
        raise DeserializationError("unable to deserialize job") from exc


def deserialize_job(r: bytes, *, deserializer: Deserializer | None = None) -> JobDef:
    """A job's payload as a record (without id and score, which are not in it).

    Raises:
        DeserializationError: the bytes can't be read, or a key is missing.
    """
    function, args, kwargs, job_try, enqueue_ms = deserialize_job_raw(r, deserializer=deserializer)
    return JobDef(
        function=function,
        args=args,
        kwargs=kwargs,
        job_try=job_try,
        enqueue_time=ms_to_datetime(enqueue_ms),
        score=None,
        job_id=None,
    )


def deserialize_result(r: bytes, *, deserializer: Deserializer | None = None) -> JobResult:
    """A result's payload as a record.

    Raises:
        DeserializationError: the bytes can't be read, or a key is missing.
    """
    try:
        d = (deserializer or pickle.loads)(r)
        return JobResult(
            job_try=d["t"],
            function=d["f"],
            args=d["a"],
            kwargs=d["k"],
            enqueue_time=ms_to_datetime(d["et"]),
            score=None,
            success=d["s"],
            result=d["r"],
            start_time=ms_to_datetime(d["st"]),
            finish_time=ms_to_datetime(d["ft"]),
            queue_name=d.get("q", "<unknown>"),
            job_id=d.get("id", "<unknown>"),
        )
    except Exception as exc:
        raise DeserializationError("unable to deserialize job result") from exc
