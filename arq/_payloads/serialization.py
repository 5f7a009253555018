"""Bytes to records and back: the payloads of arq's wire format. No I/O.

A job is one dict: `t` try asked for, `f` function, `a` args, `k` kwargs, `et` enqueue ms. A result has these and
`s` success, `r` result, `st` start ms, `ft` finish ms, `q` queue name, `id` job id. Readers look up these keys and
ignore all others. One more is ours: `unreadable`, where a job was successful and its value could not be read back: why,
and what it was. `s` is false then and `r` an error that says so, for readers that do not know this key.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any

from .._errors import DeserializationError, PayloadRefused, SerializationError
from .._job_records import JobDef, JobResult
from .._printable import text_of
from ..utils import ms_to_datetime
from . import portable_exceptions
from .pickle_errors import CanNotRebuildError, CanNotWriteError, Unreadable, explain, name_of, show

logger = logging.getLogger("arq.jobs")

Serializer = Callable[[dict[str, Any]], bytes]
Deserializer = Callable[[bytes], dict[str, Any]]

UNSERIALIZABLE_RESULT = "unable to serialize result"
#: Values that come back for certain.
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
#: Stands in each pickle that names a class or a function (also in some that don't: they are read for nothing).
_NAMES_SOMETHING = pickle.STACK_GLOBAL
#: Larger results are not read back, in bytes: that takes time. Of failed jobs the exception is, whatever its size.
_LARGEST_READ_BACK = 1_000_000


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
    except BaseException as exc:  # whatever a class in it raises
        pass_on_interrupt(exc, lambda: _dump(data, serializer))
        why = f": {exc}" if isinstance(exc, CanNotWriteError) else ""
        raise SerializationError(f'unable to serialize job "{function_name}"{why}') from exc


def _dump(data: dict[str, Any], serializer: Serializer | None) -> bytes:
    payload: Any = (serializer or pickle.dumps)(data)
    if payload and type(payload) is bytes:
        return payload
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
    deserializer: Deserializer | None = None,
) -> bytes | None:
    """The payload of a result that can be read.

    A value that can't be serialized is replaced by a text that says so; an exception that can't be, or that could not
    be read, by one that can, with its type, text and notes. Arguments for which that holds are left out.

    If even that fails, the answer is None and no result can be kept.
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
    problem = None
    try:
        payload = _dump(data, serializer)
        if success and (
            type(result) in _PLAIN
            or serializer is not None
            or _NAMES_SOMETHING not in payload
            or len(payload) > _LARGEST_READ_BACK
        ):
            return payload
        if _comes_back(payload, data, serializer, deserializer):
            return payload
    except BaseException as exc:  # noqa: BLE001  (a job must not end its worker by what it returns or raises)
        pass_on_interrupt(exc, lambda: _comes_back(_dump(data, serializer), data, serializer, deserializer))
        problem = exc
    return _SecondBest(ref, serializer, deserializer).write(data, problem)


def _comes_back(
    payload: bytes, data: dict[str, Any], serializer: Serializer | None, deserializer: Deserializer | None
) -> bool:
    """Whether a result can be read, and an exception in it is the same then. Raises what reading it raises."""
    if serializer is not None and deserializer is None:
        return True  # nobody knows
    if serializer is None and len(payload) > _LARGEST_READ_BACK:  # mostly that is the arguments
        back = pickle.loads(pickle.dumps(data["r"]))
    else:
        back = (deserializer or pickle.loads)(payload)["r"]
    return data["s"] or serializer is not None or portable_exceptions.comes_back(data["r"], back)


def pass_on_interrupt(exc: BaseException, again: Callable[[], object]) -> None:
    """Raise what a signal handler has raised just now (somebody pressed Ctrl-C): what the data raises comes again."""
    if not isinstance(exc, KeyboardInterrupt | SystemExit):
        return
    try:
        again()
    except BaseException:  # noqa: BLE001  (whatever it is, it is the data's)
        return
    raise exc


def unreadable_value(why: str) -> DeserializationError:
    """What a caller gets who asks for the value of a job that was successful."""
    text = "unable to deserialize job result: the job was successful, but its value can't be read"
    return DeserializationError(f"{text}: {why}")


class _SecondBest:
    """Writes a result that can't be read, or not be written, as it is.

    Args:
        ref: how log lines call the job.
        serializer, deserializer: those of the worker.
    """

    def __init__(self, ref: str, serializer: Serializer | None, deserializer: Deserializer | None) -> None:
        self._ref = ref
        self._serializer = serializer
        self._load: Deserializer | None = deserializer or (None if serializer else pickle.loads)

    def write(self, data: dict[str, Any], problem: BaseException | None) -> bytes | None:
        """The payload; None if nothing helps. `problem`: what went wrong so far."""
        bare = {**data, "r": None, "a": (), "k": {}}
        for key in ("a", "k"):
            fault = self._fault({**bare, key: data[key]})
            if fault is not None:
                data[key] = bare[key]
                text = "arguments of %s can't be serialized any more, its result is kept without them: %s"
                logger.warning(text, self._ref, explain(fault))
        fault = self._fault({**bare, "r": data["r"]})
        if fault is None:
            payload = self._first([data, {**data, "a": (), "k": {}}], problem)
            if problem is not None and payload is not None and self._is_replaced(data["r"], payload):
                logger.warning("error serializing result of %s", self._ref, exc_info=problem)
            return payload
        if data["s"] and self._is_written(data):
            why = explain(fault)
            logger.warning("result of %s can't be read again: %s", self._ref, why)
            told = {"s": False, "r": unreadable_value(why), "unreadable": (why, show(data["r"]))}
            return self._first([{**data, **told}], fault)
        if isinstance(fault, CanNotWriteError):
            logger.warning("error serializing result of %s: %s", self._ref, fault)
        else:
            logger.warning("error serializing result of %s", self._ref, exc_info=fault)
        return self._first([{**data, **instead} for instead in self._instead(data, fault)], fault)

    def _dump(self, data: dict[str, Any]) -> bytes:
        return portable_exceptions.dumps(data) if self._serializer is None else _dump(data, self._serializer)

    def _fault(self, data: dict[str, Any]) -> BaseException | None:
        """What is raised when this is written or read."""
        try:
            payload = self._dump(data)
            if self._load is not None:
                self._load(payload)
        except BaseException as exc:  # noqa: BLE001  (whatever a class raises)
            return exc
        return None

    def _instead(self, data: dict[str, Any], fault: BaseException) -> list[dict[str, Any]]:
        """What to write instead of this value, the best first."""
        value = data["r"]
        if data["s"] or not isinstance(value, BaseException):
            why = f": {fault}" if isinstance(fault, CanNotWriteError) else ""
            return [{"r": UNSERIALIZABLE_RESULT + why, "s": False}]
        text = f"{UNSERIALIZABLE_RESULT}: {name_of(type(value))}: {text_of(value)}"
        return [{"r": portable_exceptions.stand_in(value, fault)}, {"r": text}, {"r": UNSERIALIZABLE_RESULT}]

    def _is_replaced(self, value: Any, payload: bytes) -> bool:
        """Whether another exception stands there."""
        if self._load is None or not isinstance(value, BaseException):
            return False
        return not isinstance(value, type(self._load(payload)["r"]))

    def _is_written(self, data: dict[str, Any]) -> bool:
        try:
            self._dump(data)
        except BaseException:  # noqa: BLE001  (whatever its class raises)
            return False
        return True

    def _first(self, candidates: list[dict[str, Any]], problem: BaseException | None) -> bytes | None:
        """The first one that can be written and read."""
        for data in candidates:
            fault = self._fault(data)
            if fault is None:
                return self._dump(data)
            problem = fault
        text = "error serializing result of %s even after replacing result"
        logger.critical(text, self._ref, exc_info=problem)
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
    except PayloadRefused as exc:
        raise _refused("unable to deserialize job", exc) from None
    except BaseException as exc:  # whatever a class in it raises
        if deserializer is None and (body := _signed_body(r, "unable to deserialize job")):
            return deserialize_job_raw(body)
        pass_on_interrupt(exc, lambda: (deserializer or pickle.loads)(r))
        raise _unread("unable to deserialize job", r, deserializer, exc) from exc


def _unread(
    what: str, r: bytes, deserializer: Deserializer | None, exc: BaseException
) -> DeserializationError:
    """What is raised, with the remedy where that can be guessed."""
    found = DeserializationError(f"{what}: {exc}" if isinstance(exc, CanNotRebuildError) else what)
    if deserializer is None and r[:1] == b"{":
        found.add_note("it looks like JSON, which is read with accepts=['pickle', 'json']")
    return found


def _refused(what: str, exc: PayloadRefused) -> PayloadRefused:
    """The same, and what it is about."""
    text = str(exc)
    return exc if text.startswith(what) else PayloadRefused(f"{what}: {text}", elsewhere=exc.elsewhere)


def _signed_body(r: bytes, what: str) -> bytes:
    """What was signed: who has no keys trusts everybody who can write to Redis. b"": nothing was.

    Raises:
        PayloadRefused: it can't be read without keys.
    """
    from .signed_envelope import JOB, MARK, opened, parse

    if not r.startswith(MARK):
        return b""
    try:
        body = opened(None, parse(r), JOB, b"", None)
    except PayloadRefused as exc:
        raise _refused(what, exc) from None
    if not body.startswith(pickle.PROTO):
        text = f"{what}: it is signed and no pickle: set codec and signing here as where it was written"
        raise PayloadRefused(text, elsewhere=True) from None
    return body


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
        success, value = d["s"], d["r"]
        if "unreadable" in d:
            success, value = True, Unreadable(*d["unreadable"])
        return JobResult(
            job_try=d["t"],
            function=d["f"],
            args=d["a"],
            kwargs=d["k"],
            enqueue_time=ms_to_datetime(d["et"]),
            score=None,
            success=success,
            result=value,
            start_time=ms_to_datetime(d["st"]),
            finish_time=ms_to_datetime(d["ft"]),
            queue_name=d.get("q", "<unknown>"),
            job_id=d.get("id", "<unknown>"),
        )
    except PayloadRefused as exc:
        raise _refused("unable to deserialize job result", exc) from None
    except BaseException as exc:  # whatever a class in it raises
        if deserializer is None and (body := _signed_body(r, "unable to deserialize job result")):
            return deserialize_result(body)
        pass_on_interrupt(exc, lambda: (deserializer or pickle.loads)(r))
        raise _unread("unable to deserialize job result", r, deserializer, exc) from exc
