"""Which jobs of a list are wanted, and how they are read. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from .admin_scripts import Looked, LookedDead, text
from .preview import MORE, Preview, preview_of, read_part
from .records import JobState, ListedJob
from .restricted import ENCRYPTED, UnreadableError, error_of, ms_at, read, text_at
from .shown import FULL, SHORT, Bounds, as_json, shown, shown_call

#: Payloads and results up to this size are read for lists, in bytes: of larger ones only the size is shown.
LARGEST = 262_144


@dataclass(frozen=True, slots=True)
class Filter:
    """What jobs must have to be listed.

    Attributes:
        function: name of the function.
        id_prefix: what the id begins with.
        arg: what stands somewhere in the arguments as they are shown.
        older_than_ms: so long ago they were enqueued, or, when they are over, finished.
    """

    function: str | None = None
    id_prefix: str = ""
    arg: str = ""
    older_than_ms: int | None = None

    @property
    def reads_payloads(self) -> bool:
        """Whether payloads must be read to know."""
        return self.function is not None or bool(self.arg) or self.older_than_ms is not None

    def may_match(self, data: bytes | None) -> bool:
        """Whether it is worth reading: a name stands in the bytes as it is, unless another serializer escapes it."""
        return data is not None and (
            self.function is None or not self.function.isascii() or self.function.encode() in data
        )

    def matches(self, data: bytes | None, time_key: str, now_ms: int) -> bool:
        """Whether a job is wanted, by its payload or result; `time_key`: where the time of `older_than` stands."""
        if not self.reads_payloads:
            return True
        if data is None or not self.may_match(data):
            return False
        try:
            found = read(data)
        except UnreadableError:
            return False
        if self.function is not None and found.get("f") != self.function:
            return False
        if self.older_than_ms is not None:
            since_ms = ms_at(found, time_key)
            if since_ms is None or now_ms - since_ms < self.older_than_ms:
                return False
        return not self.arg or self.arg in shown_call(found.get("a"), found.get("k"), FULL)


def fingerprint(kind: str, data: bytes | None, size: int, seen: Preview | None = None) -> str:
    """Tells a payload or a result from others, as `delete.lua` takes it; '' if it is too large to be read."""
    if seen is not None:
        return f"part {size} {len(seen.head)} {len(seen.tail)} {_sha1(seen.head + seen.tail)}"
    if data is None:
        return "" if size else f"{kind} none"
    return f"{kind} {_sha1(data)}"


def is_payload(mark: str, payload: bytes | None) -> bool:
    """Whether this is the payload of which a fingerprint was taken."""
    kind, *words = mark.split()
    if kind == "part" and payload is not None:
        size, head, tail, _ = words
        seen = Preview(payload[: int(head)], payload[-int(tail) :], int(size))
        return mark == fingerprint("payload", None, len(payload), seen)
    return mark == fingerprint("payload", payload, 0)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def state_of(found: Looked, now_ms: int) -> JobState | None:
    """Where a job is; None: nowhere."""
    if found.owner and (found.score is not None or found.since_ms is not None):
        return JobState.running
    if found.score is None:
        return JobState.done if found.has_result else None
    return JobState.queued if found.score <= now_ms else JobState.deferred


def queued_job(
    job_id: str,
    queue: str,
    found: Looked,
    now_ms: int,
    bounds: Bounds = SHORT,
    distrust: str = "",
    most_bytes: int | None = None,
) -> tuple[ListedJob, dict[str, Any] | None]:
    """A job that stands in a queue, and what its payload says, unless somebody distrusts it.

    Args:
        most_bytes: of a larger payload only the first and the last bytes are looked at; None: it is read whole.
    """
    data, problem = (None, distrust) if distrust else _read(found.payload, found.size, found.seen, most_bytes)
    fields = _called(data, bounds) if data is not None else {}
    job = ListedJob(
        job_id,
        queue,
        state_of(found, now_ms) or JobState.queued,
        problem=problem,
        due_ms=found.due_ms,
        tries=found.tries,
        interrupted=found.interrupted,
        worker=found.owner,
        since_ms=found.since_ms,
        bytes=found.size,
        fingerprint=fingerprint("payload", found.payload, found.size, found.seen),
        **fields,
    )
    return job, data


def done_job(
    job_id: str, payload: bytes | None, size: int, bounds: Bounds = SHORT, distrust: str = ""
) -> tuple[ListedJob, dict[str, Any] | None]:
    """A job that is over, and what its result says, unless somebody distrusts it; the queue is '' where that is not
    known.
    """
    data, problem = (None, distrust) if distrust else _read(payload, size)
    fields = {**_called(data, bounds), **_ended(data, bounds)} if data is not None else {}
    queue = text_at(data, "q") or "" if data is not None else ""
    mark = fingerprint("result", payload, size)
    return ListedJob(
        job_id, queue, JobState.done, problem=problem, bytes=size, fingerprint=mark, **fields
    ), data


def queue_of(payload: bytes | None) -> str:
    """The queue that a result names; '' where that is not known."""
    data, _ = _read(payload, 0)
    return "" if data is None else text_at(data, "q") or ""


def _read(
    payload: bytes | None, size: int, seen: Preview | None = None, most_bytes: int | None = None
) -> tuple[dict[str, Any] | None, str]:
    if payload is None and seen is None:
        return None, f"{size} bytes are too much to be read here" if size else "its payload has expired"
    if payload is not None and most_bytes is not None and size > most_bytes:
        seen = preview_of(payload)
    try:
        return (read_part(seen) if seen is not None else read(payload or b"")), ""
    except UnreadableError as exc:
        return None, str(exc)


def called(
    found: LookedDead, bounds: Bounds, distrust: str = "", most_bytes: int | None = None
) -> tuple[dict[str, Any], str]:
    """What the payload of a dead job says of the call, as fields of a `ListedJob`; and why it is not or can't be read,
    or ''. `most_bytes`: as for `queued_job`.
    """
    data, problem = (None, distrust) if distrust else _read(found.payload, found.size, found.seen, most_bytes)
    return ({} if data is None else _called(data, bounds)), problem


def _called(data: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
    if ENCRYPTED in data:
        return {"function": text_at(data, "f"), "arguments": ENCRYPTED, "enqueued_ms": ms_at(data, "et")}
    more = ["…"] if MORE in data else []
    of_json = bounds if bounds.characters > FULL.characters else FULL
    args, kwargs = as_json(data.get("a"), of_json), as_json(data.get("k"), of_json)
    return {
        "function": text_at(data, "f"),
        "arguments": ", ".join([shown_call(data.get("a"), data.get("k"), bounds), *more]).removeprefix(", "),
        "args": (args if isinstance(args, list) else []) + more,
        "kwargs": kwargs if isinstance(kwargs, dict) else {},
        "enqueued_ms": ms_at(data, "et"),
    }


def _ended(data: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
    told = data.get("unreadable")  # the worker could not read the value back, either
    success = data.get("s") is True or told is not None
    value, error = data.get("r"), ""
    if ENCRYPTED in data:
        error = "" if success else ENCRYPTED
    elif told is not None:
        value = told
    elif not success:
        kind, said = error_of(value)
        bare = shown(value, bounds).removesuffix("()") if kind else shown(value, bounds)
        error = f"{kind}: {said}" if kind and said else said or bare
    return {
        "success": success,
        "result": (ENCRYPTED if ENCRYPTED in data else shown(value, bounds)) if success else "",
        "error": error[: bounds.characters * 5],
        "tries": ms_at(data, "t") or 0,
        "started_ms": ms_at(data, "st"),
        "finished_ms": ms_at(data, "ft"),
    }


def job_id_of(key: bytes, prefix: str) -> str:
    """The id in the name of a key."""
    return text(key.removeprefix(prefix.encode()))
