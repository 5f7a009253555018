"""Which function or schedule a name stands for. Two that differ can't share a name. No I/O."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from types import FunctionType
from typing import Any

from .._function import Function, func
from .._types import WorkerCoroutine
from ..cron import CronJob

#: What a worker asks of what stands under a name, so that two of one name must agree in it.
_RUN_OPTIONS = {
    "timeout_s": "timeout",
    "keep_result_s": "keep_result",
    "keep_result_forever": "keep_result_forever",
    "max_tries": "max_tries",
    "retry_options": "options of tries",
}
#: Values that closures are compared by; all others are the same only if they are one object.
_PLAIN = (str, bytes, int, float, bool, type(None))
#: Wrappers around wrappers that are looked into: a closure may hold itself.
_DEEPEST = 10


def registry(
    functions: Iterable[Function | WorkerCoroutine | str], cron_jobs: Iterable[CronJob] | None
) -> dict[str, Function | CronJob]:
    """All functions and cron jobs by name. The same one may stand there more than once.

    Raises:
        RuntimeError: there is none, or something else where a cron job must stand.
        ValueError: two functions, or two schedules with different options, have one name.
    """
    registry: dict[str, Function | CronJob] = {}
    for function in map(_function, functions):
        _add(registry, function)
    for cron_job in cron_jobs or ():
        if not isinstance(cron_job, CronJob):
            raise RuntimeError("cron_jobs, must be instances of CronJob")  # noqa: TRY004  (arq's type)
        _add(registry, cron_job)
    if not registry:
        raise RuntimeError("at least one function or cron_job must be registered")
    return registry


def _function(given: Function | WorkerCoroutine | str) -> Function:
    try:
        return func(given)
    except ImportError as error:
        if isinstance(given, str):
            error.msg = f"functions: {error.msg}"
        raise


def _add(registry: dict[str, Function | CronJob], new: Function | CronJob) -> None:
    known = registry.get(new.name)
    if known is None:
        registry[new.name] = new
    elif not is_same(known.coroutine, new.coroutine):
        one, other = _places(known.coroutine, new.coroutine)
        raise ValueError(
            f"{new.name!r} is the name of {one} and of {other}: give one of them another, as in {_maker(new)}"
        )
    elif differing := _differing_options(known, new):
        raise ValueError(
            f"{new.name!r} ({_place(new.coroutine)}) is there twice, with {', '.join(differing)}: "
            f"give one of them another name, as in {_maker(new)}"
        )
    elif _has_ticks(new):
        registry[new.name] = new


def _differing_options(known: Function | CronJob, new: Function | CronJob) -> list[str]:
    return [
        f"{shown}={getattr(known, name)!r} and {shown}={getattr(new, name)!r}"
        for name, shown in _RUN_OPTIONS.items()
        if getattr(known, name) != getattr(new, name)
    ]


def _has_ticks(entry: Function | CronJob) -> bool:
    """Whether its runs may be ticks, which the worker treats differently: then it must be known by that."""
    return isinstance(entry, CronJob) and entry.unique and entry.job_id is None


def _maker(entry: Function | CronJob) -> str:
    call = "cron" if isinstance(entry, CronJob) else "func"
    return f'{call}(..., name="...")'


def _places(one: Any, other: Any) -> tuple[str, str]:
    """Where two functions are, told apart: by module and name, by what they wrap, or by file and line."""
    for _ in range(_DEEPEST):
        if _place(one) != _place(other):
            break
        inner = [next(filter(inspect.iscoroutinefunction, _contents(f)), None) for f in (one, other)]
        if None in inner:
            break
        one, other = inner
    where = [_place(one), _place(other)]
    if where[0] == where[1]:
        codes = [getattr(inspect.unwrap(function), "__code__", None) for function in (one, other)]
        where = [
            f"{path} ({code.co_filename}:{code.co_firstlineno})" if code else path
            for path, code in zip(where, codes, strict=True)
        ]
    return where[0], where[1]


def _place(function: Any) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(function)


def is_same(one: Any, other: Any, depth: int = _DEEPEST) -> bool:
    """Whether two functions are one. Instrumentation may wrap each registration anew: equal wrappers are the same."""
    if one is other or one == other:
        return True
    if not (depth and isinstance(one, FunctionType) and isinstance(other, FunctionType)):
        return False
    return (
        one.__code__ is other.__code__
        and one.__globals__ is other.__globals__
        and (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)
        and _are_equal(one.__defaults__ or (), other.__defaults__ or (), depth)
        and _are_equal((one.__kwdefaults__ or {}).values(), (other.__kwdefaults__ or {}).values(), depth)
        and _are_equal(_contents(one), _contents(other), depth)
    )


def _contents(function: Any) -> list[Any]:
    """What a closure has taken from where it was made; None for what is not there yet."""
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(None)
    return found


def _are_equal(values: Collection[Any], others: Collection[Any], depth: int) -> bool:
    return len(values) == len(others) and all(
        _is_equal(value, other, depth) for value, other in zip(values, others, strict=True)
    )


def _is_equal(value: Any, other: Any, depth: int) -> bool:
    if isinstance(value, _PLAIN):
        return type(value) is type(other) and bool(value == other)
    return value is other or is_same(value, other, depth - 1)
