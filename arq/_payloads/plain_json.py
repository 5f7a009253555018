"""The same as `plain_pickles` for JSON: jobs of plain arguments, none by name, and their results. No I/O.

Of such a job the arguments alone are decoded, and what was read of them is written into the result as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from json.encoder import encode_basestring_ascii
from typing import Any

#: Times in unix ms with thirteen digits: from 2001 to 2286.
_FIRST_MS, _END_MS = 10**12, 10**13
_DIGITS = 13
#: What stands before the arguments of a job, and between these and its time. Quotes within a text have a backslash.
_BEFORE_ARGS, _BEFORE_TIME = b',"a":', b',"k":{},"et":'
#: Where in a job its time begins, from the end, behind which stands a bracket; and where its arguments end.
_TIME_AT = -_DIGITS - 1
_ARGS_END = _TIME_AT - len(_BEFORE_TIME)
NO_ARGS = "[]"
#: How many of each are kept, and how large a job is of which that is done.
_MOST_KEPT, _LARGEST_HEAD = 500, 1000
#: Stand in a sample where times will be.
_SAMPLE_MS = (1_111_111_111_111, 2_222_222_222_222, 3_333_333_333_333)

#: Function, arguments, these as they were written ('': they are more than plain values), and enqueue ms of a job.
PlainJob = tuple[str, tuple[Any, ...], str, int]
#: Writes a result: function, args, kwargs, try, enqueue ms, success, value, start ms, finish ms, ref, queue, id.
WriteResult = Callable[..., bytes | None]
#: Writes a job: try, function, args, enqueue ms.
WriteJob = Callable[[int | None, str, tuple[()], int], bytes | None]


class PlainJson:
    """Reads such jobs and writes such results.

    Args:
        write_job, write_result: write samples of them.
        plain: types of plain values.
    """

    def __init__(self, write_job: WriteJob, write_result: WriteResult, plain: Container[object]) -> None:
        self._write_job, self._write_result, self._types = write_job, write_result, plain
        self._scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # what `raw_decode` calls
        #: what stands before the arguments of a job -> its function; None: it is written in another way
        self._heads: dict[bytes, str | None] = {}
        #: what stands around arguments, value, times and id, by function, try and queue
        self._results: dict[tuple[str, int, str], tuple[str, ...] | None] = {}

    def read_job(self, body: bytes) -> PlainJob | None:
        """A job without arguments by name, if one of this function was noted; None: it must be read by the codec."""
        begin = body.find(_BEFORE_ARGS) + len(_BEFORE_ARGS)
        name, digits = self._heads.get(body[:begin]), body[_TIME_AT:-1]
        if (
            name is None
            or body[_ARGS_END:_TIME_AT] != _BEFORE_TIME
            or body[-1:] != b"}"
            or not digits.isdigit()
        ):
            return None
        enqueue_ms, raw = int(digits), body[begin:_ARGS_END]
        if enqueue_ms < _FIRST_MS:
            return None
        if raw == b"[]":
            return name, (), NO_ARGS, enqueue_ms
        found = self._read_args(raw)
        return None if found is None else (name, *found, enqueue_ms)

    def _read_args(self, raw: bytes) -> tuple[tuple[Any, ...], str] | None:
        if b"$" in raw or b"\\u0024" in raw:  # there may be tags
            return None
        try:
            text = raw.decode()
            args, end = self._scan(text, 0)
        except Exception:  # noqa: BLE001  (the codec says what is wrong)
            return None
        if type(args) is not list or end != len(text):
            return None
        types = self._types
        for item in args:
            if type(item) not in types:
                text = ""
        return tuple(args), text

    def note_job(self, body: bytes, name: object) -> None:
        """A job without arguments by name was read: if it is a usual one, the next of this function begins alike."""
        head = _head(body)
        if head in self._heads or len(head) > _LARGEST_HEAD or type(name) is not str:
            return
        sample = self._write_job(None, name, (), _SAMPLE_MS[0])
        if len(self._heads) >= _MOST_KEPT:
            self._heads.clear()
        self._heads[head] = name if sample is not None and head == _head(sample) else None

    def write_result(
        self,
        name: str,
        job_try: int,
        args: str,
        enqueue_ms: int,
        value: str,
        start_ms: int,
        finish_ms: int,
        queue_name: str,
        job_id: str,
    ) -> bytes | None:
        """The result of a successful job that `read_job` has read; None: it must be written in the usual way."""
        kind = (name, job_try, queue_name)
        parts = self._results[kind] if kind in self._results else self._note_result(*kind)
        if parts is None:
            return None
        head, to_time, to_value, to_start, to_finish, to_id = parts
        written_id = encode_basestring_ascii(job_id)
        return (
            f"{head}{args}{to_time}{enqueue_ms}{to_value}{value}"
            f"{to_start}{start_ms}{to_finish}{finish_ms}{to_id}{written_id}}}"
        ).encode()

    def _note_result(self, name: str, job_try: int, queue_name: str) -> tuple[str, ...] | None:
        enqueue_ms, start_ms, finish_ms = _SAMPLE_MS
        sample = self._write_result(
            name, (), {}, job_try, enqueue_ms, True, None, start_ms, finish_ms, "", queue_name, ""
        )
        parts, rest = list[str](), (sample or b"").decode()
        values = (("a", NO_ARGS), ("et", enqueue_ms), ("r", "null"), ("st", start_ms), ("ft", finish_ms))
        for key, value in values:
            # quotes in a text are written with a backslash: this is in no name
            before, _, after = rest.partition(f'"{key}":{value},')
            parts.append(f'{before}"{key}":')
            rest = f",{after}"
        found = (*parts, rest.removesuffix('""}')) if rest.endswith('"id":""}') else None
        if len(self._results) >= _MOST_KEPT:
            self._results.clear()
        self._results[name, job_try, queue_name] = found
        return found


def _head(body: bytes) -> bytes:
    """What stands before the arguments of a job."""
    return body[: body.find(_BEFORE_ARGS) + len(_BEFORE_ARGS)]
