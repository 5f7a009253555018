"""The scripts of `arq.admin`, with their arguments and answers as Python types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .._keys import PREFIX, dead_set_key, lookers_key, wake_key
from .._redis.script_loader import Call, load
from .._redis.scripts import RETRY_TTL_S, score_ms
from ..constants import abort_jobs_ss, expires_extra_ms
from .preview import HEAD, TAIL, Preview

_LOOK, _HELD, _RESULTS = load("look"), load("held"), load("results")
_DELETE, _RUN_NOW, _OLD_HELD = load("delete"), load("run_now"), load("old_held")
_REQUEUE, _FORGET_DEAD, _LOOK_DEAD = load("requeue"), load("forget_dead"), load("look_dead")


class Looked(NamedTuple):
    """What Redis knows of a job that is, or may be, in a queue.

    Attributes:
        score: of its entry in the queue; None: it has none.
        payload: None if it has expired, or is too large.
        seen: of one that is too large the first and the last bytes.
        size: bytes of the payload.
        owner: who has its lock; '' nobody, '1' a worker of python-arq.
        tries: how often it was started.
        due_ms: when it is due, or was before it was claimed.
        since_ms: when it was claimed.
        has_result: whether there is a result.
    """

    score: float | None
    payload: bytes | None
    seen: Preview | None
    size: int
    owner: str
    tries: int
    interrupted: int
    due_ms: int | None
    since_ms: int | None
    has_result: bool


def text(value: bytes | None) -> str:
    """What Redis holds as text, also what is none: `raw` makes the same bytes of it again."""
    return "" if value is None else value.decode(errors="surrogateescape")


def number(answer: Any) -> int:
    """A count as Redis holds or tells it; what is none counts as 0."""
    if isinstance(answer, bytes):
        return int(answer) if answer.isdigit() else 0
    return answer if isinstance(answer, int) else 0


def raw(name: str) -> bytes:
    """The bytes of an id or a name as Redis has them."""
    return name.encode(errors="surrogateescape")


def look(queue: str, job_ids: Sequence[bytes], most_bytes: int) -> Call:
    """Ask about jobs; for the answer see `read_look`."""
    return Call(_LOOK, (queue,), (PREFIX, most_bytes, HEAD, TAIL, *job_ids))


def read_look(answer: Any) -> tuple[int, list[Looked]]:
    """Redis's clock in unix ms, and what is known of each job."""
    now_ms, rows = answer
    return now_ms, [_looked(*row) for row in rows]


def _looked(
    score: bytes | None,
    payload: Any,
    owner: bytes | None,
    tries: int,
    interrupted: int,
    before: bytes | None,
    stamp: bytes | None,
    has_result: int,
) -> Looked:
    due = before or score
    return Looked(
        None if score is None else float(score),
        *_sized(payload),
        text(owner),
        max(tries, 1) if owner else tries,
        interrupted,
        None if due is None else score_ms(due),
        claimed_ms(stamp),
        has_result == 1,
    )


def _sized(payload: Any) -> tuple[bytes | None, Preview | None, int]:
    """A payload, or what was given of it, and its size."""
    if isinstance(payload, list):
        size, head, tail = payload
        return None, Preview(head, tail, size), size
    return payload, None, len(payload or b"")


def claimed_ms(stamp: bytes | None) -> int | None:
    """When a claim was made: its stamp is the time in us."""
    return int(stamp) // 1000 if stamp and stamp.isdigit() else None


class Held(NamedTuple):
    """A job that a worker has. `queue`: '' where it is not known."""

    job_id: bytes
    worker: str
    due_ms: int | None
    since_ms: int | None
    queue: str


def held(worker_ids: Sequence[str]) -> Call:
    """Ask which jobs workers have; for the answer see `read_held`."""
    return Call(_HELD, (), (PREFIX, *worker_ids))


def read_held(answer: Any, worker_ids: Sequence[str]) -> list[Held]:
    """The jobs of all of them."""
    return [
        Held(job_id, worker, None if before is None else score_ms(before), claimed_ms(stamp), text(queue))
        for worker, rows in zip(worker_ids, answer, strict=True)
        for job_id, before, stamp, queue in rows
    ]


#: The bytes and the size of a payload or a result; no bytes of what is too large, and size 0 where there is none.
Sized = tuple[bytes | None, int]


def old_held(queue: str, first: int, number: int) -> Call:
    """Ask which of some entries workers of python-arq have; the answer: number of entries, and ids."""
    return Call(_OLD_HELD, (queue,), (PREFIX, first, number))


def results(job_ids: Sequence[bytes], most_bytes: int) -> Call:
    """Ask for results; for the answer see `read_bytes`."""
    return Call(_RESULTS, (), (PREFIX, most_bytes, *job_ids))


def read_bytes(answer: Any) -> list[Sized]:
    """What there is of each."""
    return [(one, len(one)) if isinstance(one, bytes) else (None, one or 0) for one in answer]


def delete(queue: str, jobs: Sequence[tuple[bytes, str]]) -> Call:
    """Remove jobs: ids, and the fingerprints that they must have or ''. The answer has a word for each, see `Deed`."""
    return Call(_DELETE, (queue, abort_jobs_ss), (PREFIX, *(word for job in jobs for word in job)))


def run_now(queue: str, jobs: Sequence[tuple[bytes, str]]) -> Call:
    """Let jobs be due now: ids and fingerprints as for `delete`. The answer has a word for each, see `Deed`."""
    keys = (queue, wake_key(queue), lookers_key(queue))
    return Call(_RUN_NOW, keys, (PREFIX, *(word for job in jobs for word in job)))


class LookedDead(NamedTuple):
    """What is kept of a dead job.

    Attributes:
        died: the time of its death as Redis has it; b"" if it is not in the dead set.
        payload: None if it is too large.
        seen: of one that is too large the first and the last bytes.
        size: bytes of the payload.
        entry: what is known of its failure; None: nothing.
        errors: those of earlier tries.
    """

    died: bytes
    payload: bytes | None
    seen: Preview | None
    size: int
    entry: bytes | None
    errors: list[bytes]


def look_dead(queue: str, job_ids: Sequence[bytes], most_bytes: int) -> Call:
    """Ask about dead jobs; for the answer see `read_look_dead`."""
    return Call(_LOOK_DEAD, (dead_set_key(queue),), (PREFIX, most_bytes, HEAD, TAIL, *job_ids))


def read_look_dead(answer: Any) -> tuple[int, list[LookedDead]]:
    """Redis's clock in unix ms, and what is known of each job."""
    now_ms, rows = answer
    return now_ms, [
        LookedDead(
            died or b"",
            *_sized(payload),
            entry,
            errors,
        )
        for died, payload, entry, errors in rows
    ]


def requeue(queue: str, jobs: Sequence[tuple[bytes, str]], defer_ms: int, *, one_more: bool) -> Call:
    """Put dead jobs into the queue again: ids and fingerprints. The answer has a word for each, see `Deed`."""
    keys = (queue, dead_set_key(queue), wake_key(queue), lookers_key(queue))
    how = (defer_ms, expires_extra_ms, RETRY_TTL_S, "one" if one_more else "")
    return Call(_REQUEUE, keys, (PREFIX, *how, *(word for job in jobs for word in job)))


def forget_dead(queue: str, jobs: Sequence[tuple[bytes, str]]) -> Call:
    """Remove dead jobs: ids and fingerprints. The answer has a word for each, see `Deed`."""
    return Call(_FORGET_DEAD, (dead_set_key(queue),), (PREFIX, *(word for job in jobs for word in job)))
