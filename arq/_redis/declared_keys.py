"""Which keys a script uses that it is not given, as far as its arguments tell: on a cluster all are named. No I/O.

Elsewhere scripts make the names of a job's keys themselves, which costs less. What they only learn inside (which jobs
are due, whom a lock names) can't be named; what becomes of that while a slot is moved says decision 34.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .._keys import (
    MEMBERS_KEY,
    NEVER_KEY,
    batches_key,
    claims_key,
    crashes_key,
    dead_key,
    dead_set_key,
    epoch_key,
    errors_key,
    evicted_key,
    in_progress_key,
    interrupted_key,
    job_key,
    left_key,
    paused_key,
    quarantine_key,
    result_key,
    retry_key,
    wake_key,
)
from ..constants import abort_jobs_ss

Word = Any
_Keys = Iterator[Word]

_LOCK, _JOB, _RETRY, _RESULT = in_progress_key(""), job_key(""), retry_key(""), result_key("")
_INTERRUPTED, _CRASHES, _LEFT = interrupted_key(""), crashes_key(""), left_key("")
_DEAD, _ERRORS = dead_key(""), errors_key("")
_OF_A_JOB = (_JOB, _LOCK, _RETRY, _INTERRUPTED, _CRASHES, _LEFT, _RESULT)


def _named(kinds: Sequence[str], names: Sequence[Word]) -> _Keys:
    for name in names:
        for kind in kinds:
            yield kind.encode() + name if isinstance(name, bytes) else kind + name


def _each(
    kinds: Sequence[str], first: int, step: int = 1
) -> Callable[[Sequence[Word], Sequence[Word]], _Keys]:
    """Such keys of every job from an argument on."""
    return lambda _, args: _named(kinds, args[first::step])


def _enqueue(keys: Sequence[Word], args: Sequence[Word]) -> _Keys:
    yield from (paused_key(keys[0]), abort_jobs_ss)
    at = 2
    while at < len(args):
        first = at + (4 if args[at] < 0 else 1)
        at = first + 2 * abs(args[at])
        yield from _named((_JOB, _RESULT, _LOCK), args[first:at:2])


def _claim(keys: Sequence[Word], args: Sequence[Word]) -> _Keys:
    yield from (epoch_key(args[1]), paused_key(keys[0]), quarantine_key(keys[0]), abort_jobs_ss, MEMBERS_KEY)
    yield from _named(_OF_A_JOB[:-1], args[10:])


def _finish(keys: Sequence[Word], args: Sequence[Word]) -> _Keys:
    yield from (epoch_key(args[1]), claims_key(args[1]), wake_key(keys[0]), abort_jobs_ss)
    at, is_any_dead = 5, False
    while at < len(args):
        if isinstance(args[at], int):
            stop = at + 4 + 2 * abs(args[at])
            yield from _named((*_OF_A_JOB, _ERRORS), args[at + 4 : stop : 2])
        elif args[at] == "died":
            stop, is_any_dead = at + 10, True
            yield from _named((*_OF_A_JOB, _ERRORS, _DEAD), [args[at + 4]])
        elif args[at] == "over":
            stop = at + 2
        else:
            stop = at + 7
            yield from _named((*_OF_A_JOB, _ERRORS), [args[at + 2]])
        at = stop
    if is_any_dead:
        yield from (dead_set_key(keys[0]), evicted_key(keys[0]))


def _of_worker(_: Sequence[Word], args: Sequence[Word]) -> _Keys:
    yield from (batches_key(args[1]), claims_key(args[1]), epoch_key(args[1]))


def _extend(keys: Sequence[Word], args: Sequence[Word]) -> _Keys:
    yield claims_key(args[1])
    yield from _named((_LOCK, _JOB, _RETRY, _INTERRUPTED), args[3:])


def _held(_: Sequence[Word], args: Sequence[Word]) -> _Keys:
    yield from _named((batches_key(""), claims_key("")), args[1:])


_MORE: dict[str, Callable[[Sequence[Word], Sequence[Word]], _Keys]] = {
    "abort": lambda _, args: _named(_OF_A_JOB, args[1:2]),
    "aborted": _each((_LOCK, _JOB), 2),
    "claim": _claim,
    "delete": _each(_OF_A_JOB, 1, 2),
    "enqueue": _enqueue,
    "extend": _extend,
    "finish": _finish,
    "forget_dead": _each((_DEAD, _ERRORS), 1, 2),
    "held": _held,
    "inspect": _each((_RESULT, _JOB, _LOCK), 2),
    "look": _each((_JOB, _LOCK, _RETRY, _INTERRUPTED, _RESULT), 4),
    "look_dead": _each((_DEAD, _ERRORS), 4),
    "present": lambda _, args: iter(args[3:4]),
    "reclaim": _of_worker,
    "release": _of_worker,
    "requeue": _each((*_OF_A_JOB, _DEAD), 5, 2),
    "results": _each((_RESULT,), 2),
    "run_now": _each((_JOB, _LOCK, _RESULT), 1, 2),
}
#: Name of each script that was loaded, by its SHA-1 and by its text.
SCRIPT_NAMES: dict[str, str] = {}


def further_keys(script: str, keys: Sequence[Word], args: Sequence[Word]) -> list[Word]:
    """The keys to be named behind those that the script is given: what it is known to use, and one that is never there.

    Args:
        script: its SHA-1, or its text.
        keys, args: what it is given, without any prefix but `arq:`.
    """
    more = _MORE.get(SCRIPT_NAMES.get(script, ""))
    return [*(more(keys, args) if more else ()), NEVER_KEY]
