"""Pickles of jobs and results without arguments, read and written by what the last ones looked like. No I/O.

Two such jobs of one function differ in their time alone, two such results in their times and ids. What stands around
these was written by `pickle` itself, so the bytes are its own; and what is read is compared with that byte for byte, so
that nothing but the six bytes of a time is understood here. It takes a fifth of the time.
"""

from __future__ import annotations

import pickle

#: Times in unix ms that pickle writes as six bytes: from 1987 to the year 6429.
_FIRST_MS, _END_MS = 1 << 39, 1 << 47
_TIME_BYTES = 6
#: What stands before such a time, and behind that of a job.
_BEFORE_TIME, _END_OF_JOB = b"\x8a\x06", b"u."
#: Where in a job its time begins and ends, from the end.
_TIME_AT, _TIME_END = -len(_END_OF_JOB) - _TIME_BYTES, -len(_END_OF_JOB)
#: How many of each are kept: there are as many as functions, or functions and lengths of ids.
_MOST_KEPT = 500
#: Larger jobs are not kept; larger ids are written in another way. One character is the same object everywhere, and
#: pickle refers to what it has written already.
_LARGEST_HEAD, _SHORTEST_ID, _LONGEST_ID = 1000, 2, 255
#: Stand in a sample where times will be. Such bytes are in no text.
_SAMPLE_MS = (_FIRST_MS + 0x01010101, _FIRST_MS + 0x02020202, _FIRST_MS + 0x03030303)

#: What stands before the time of a job -> its function; None: it is not as pickle would write it here.
_heads: dict[bytes, str | None] = {}
#: What stands around times and id of a result, by function, try, queue, length of the id, and value.
_results: dict[tuple[str, int, str, int, bool | None], tuple[bytes, ...] | None] = {}


def read_job(payload: bytes) -> tuple[str, int] | None:
    """Function name and enqueue ms of a job without arguments, if such a one was noted; None: it must be read."""
    name = _heads.get(payload[:_TIME_AT])
    if name is None or payload[_TIME_END:] != _END_OF_JOB:
        return None
    enqueue_ms = int.from_bytes(payload[_TIME_AT:_TIME_END], "little")
    return (name, enqueue_ms) if _FIRST_MS <= enqueue_ms < _END_MS else None


def note_job(payload: bytes, name: str) -> None:
    """A job was read that has no arguments and no `_job_try`: the next one of this function looks the same."""
    head = payload[:_TIME_AT]
    if head in _heads or len(head) > _LARGEST_HEAD or type(name) is not str:
        return
    sample = pickle.dumps({"t": None, "f": name, "a": (), "k": {}, "et": _SAMPLE_MS[0]})
    if len(_heads) >= _MOST_KEPT:
        _heads.clear()
    is_usual = head == sample[:_TIME_AT] and head.endswith(_BEFORE_TIME)
    _heads[head] = name if is_usual else None


def write_result(
    name: str,
    job_try: int,
    enqueue_ms: int,
    value: bool | None,
    start_ms: int,
    finish_ms: int,
    queue_name: str,
    job_id: str,
) -> bytes | None:
    """The result of a successful job that `read_job` has read; None: it must be pickled."""
    if not (
        _FIRST_MS <= enqueue_ms < _END_MS
        and _FIRST_MS <= start_ms < _END_MS
        and _FIRST_MS <= finish_ms < _END_MS
    ):
        return None
    raw_id = job_id.encode()
    if not _SHORTEST_ID <= len(raw_id) <= _LONGEST_ID:
        return None
    kind = (name, job_try, queue_name, len(raw_id), value)
    parts = _results[kind] if kind in _results else _note_result(*kind)
    if parts is None:
        return None
    head, to_start, to_finish, to_id, end = parts
    enqueued, started = enqueue_ms.to_bytes(_TIME_BYTES, "little"), start_ms.to_bytes(_TIME_BYTES, "little")
    finished = finish_ms.to_bytes(_TIME_BYTES, "little")
    return b"".join((head, enqueued, to_start, started, to_finish, finished, to_id, raw_id, end))


def _note_result(
    name: str, job_try: int, queue_name: str, id_bytes: int, value: bool | None
) -> tuple[bytes, ...] | None:
    """What stands around times and id; None: they are not written one by one there."""
    enqueue_ms, start_ms, finish_ms = _SAMPLE_MS
    job_id = "#" * id_bytes
    data = {"t": job_try, "f": name, "a": (), "k": {}, "et": enqueue_ms, "s": True, "r": value}
    data |= {"st": start_ms, "ft": finish_ms, "q": queue_name, "id": job_id}
    parts, rest = list[bytes](), pickle.dumps(data)
    for time_ms in _SAMPLE_MS:
        before, _, rest = rest.partition(time_ms.to_bytes(_TIME_BYTES, "little"))
        parts.append(before)
    to_id, _, end = rest.rpartition(job_id.encode())
    is_usual = all(part.endswith(_BEFORE_TIME) for part in parts)
    found = (*parts, to_id, end) if is_usual else None
    if len(_results) >= _MOST_KEPT:
        _results.clear()
    _results[name, job_try, queue_name, id_bytes, value] = found
    return found
