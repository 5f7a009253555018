"""The same as `plain_pickles` for JSON: what `JsonCodec` writes of jobs and results without arguments. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii

#: Times in unix ms with thirteen digits: from 2001 to 2286.
_FIRST_MS, _END_MS = 10**12, 10**13
_DIGITS = 13
#: Where in a job its time begins, from the end; behind it stands a bracket.
_TIME_AT = -_DIGITS - 1
#: How many of each are kept, and how large a job is of which that is done.
_MOST_KEPT, _LARGEST_HEAD = 500, 1000
#: Stand in a sample where times will be.
_SAMPLE_MS = (1_111_111_111_111, 2_222_222_222_222, 3_333_333_333_333)

#: Function, try, enqueue ms, value, start ms and finish ms of a result.
PlainResult = tuple[str, int, int, bool | None, int, int]
#: Writes a result: function, args, kwargs, try, enqueue ms, success, value, start ms, finish ms, ref, queue, id.
WriteResult = Callable[..., bytes | None]
#: Writes a job: try, function, args, enqueue ms.
WriteJob = Callable[[int | None, str, tuple[()], int], bytes | None]


class PlainJson:
    """Reads such jobs and writes such results.

    Args:
        write_job, write_result: write samples of them.
    """

    def __init__(self, write_job: WriteJob, write_result: WriteResult) -> None:
        self._write_job, self._write_result = write_job, write_result
        #: what stands before the time of a job -> its function; None: it is written in another way
        self._heads: dict[bytes, str | None] = {}
        #: what stands around times and id, by function, try, queue, and value
        self._results: dict[tuple[str, int, str, bool | None], tuple[str, ...] | None] = {}

    def read_job(self, body: bytes) -> tuple[str, int] | None:
        """Function name and enqueue ms of a job without arguments, if such a one was noted; None: it must be read."""
        name = self._heads.get(body[:_TIME_AT])
        digits = body[_TIME_AT:-1]
        if name is None or body[-1:] != b"}" or not digits.isdigit():
            return None
        enqueue_ms = int(digits)
        return (name, enqueue_ms) if enqueue_ms >= _FIRST_MS else None

    def note_job(self, body: bytes, name: object) -> None:
        """A job without arguments was read: if it is a usual one, the next of this function looks the same."""
        head = body[:_TIME_AT]
        if head in self._heads or len(head) > _LARGEST_HEAD or type(name) is not str:
            return
        sample = self._write_job(None, name, (), _SAMPLE_MS[0])
        if len(self._heads) >= _MOST_KEPT:
            self._heads.clear()
        self._heads[head] = name if sample is not None and head == sample[:_TIME_AT] else None

    def write_result(
        self,
        name: str,
        job_try: int,
        enqueue_ms: int,
        value: bool | None,
        start_ms: int,
        finish_ms: int,
        queue_name: str,
        job_id: str,
    ) -> bytes | None:
        """The result of a successful job that `read_job` has read; None: it must be written in the usual way."""
        kind = (name, job_try, queue_name, value)
        parts = self._results[kind] if kind in self._results else self._note_result(*kind)
        if parts is None:
            return None
        head, to_start, to_finish, to_id = parts
        written_id = encode_basestring_ascii(job_id)
        return f"{head}{enqueue_ms}{to_start}{start_ms}{to_finish}{finish_ms}{to_id}{written_id}}}".encode()

    def _note_result(
        self, name: str, job_try: int, queue_name: str, value: bool | None
    ) -> tuple[str, ...] | None:
        times = enqueue_ms, start_ms, finish_ms = _SAMPLE_MS
        sample = self._write_result(
            name, (), {}, job_try, enqueue_ms, True, value, start_ms, finish_ms, "", queue_name, ""
        )
        parts, rest = list[str](), (sample or b"").decode()
        for key, time_ms in zip(("et", "st", "ft"), times, strict=True):
            # quotes in a text are written with a backslash: this is in no name
            before, _, after = rest.partition(f'"{key}":{time_ms},')
            parts.append(f'{before}"{key}":')
            rest = f",{after}"
        found = (*parts, rest.removesuffix('""}')) if rest.endswith('"id":""}') else None
        if len(self._results) >= _MOST_KEPT:
            self._results.clear()
        self._results[name, job_try, queue_name, value] = found
        return found
