"""A function that can be run as a job, and its options."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar, cast

from ._option_types import text_or_none
from ._retry_options import NAMES as RETRY_OPTIONS
from ._retry_options import Backoff, BackoffFunction, ExceptionClasses, RetryOptions, retry_options
from ._types import SecondsTimedelta, WorkerCoroutine
from .utils import import_string, to_seconds

_P = ParamSpec("_P")
_R = TypeVar("_R")


# Not frozen, no slots: instrumentation assigns to `coroutine` and reads it from the instance's __dict__.
@dataclass
class Function:
    """A registered function; see `func` for what the fields mean."""

    name: str
    coroutine: WorkerCoroutine
    timeout_s: float | None
    keep_result_s: float | None
    keep_result_forever: bool | None
    max_tries: float | None
    retry_options: RetryOptions | None = field(default=None, repr=False)
    dead_letter: bool | None = field(default=None, repr=False)


Function.__module__ = "arq.worker"  # where everybody imports it from


def none_is_no_limit(make: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let `timeout=None`, given in so many words, mean "no limit"; left out, it means "as the worker has it".

    `max_tries` that is left out means that, too, beside options that speak of tries. The signature remains the
    original's, with its defaults.
    """

    @functools.wraps(make)
    def told_apart(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if "timeout" in kwargs and kwargs["timeout"] is None:
            kwargs["timeout"] = math.inf
        if "max_tries" not in kwargs and any(kwargs.get(name) is not None for name in RETRY_OPTIONS):
            kwargs["max_tries"] = None
        return make(*args, **kwargs)

    return told_apart


@none_is_no_limit
def func(
    coroutine: str | Function | WorkerCoroutine,
    *,
    name: str | None = None,
    keep_result: SecondsTimedelta | None = None,
    timeout: SecondsTimedelta | None = None,
    keep_result_forever: bool | None = None,
    max_tries: float | None = None,
    retry_on: ExceptionClasses | None = None,
    give_up_on: ExceptionClasses | None = None,
    retry_on_timeout: bool | None = None,
    backoff: Backoff | BackoffFunction | None = None,
    retry_for: SecondsTimedelta | None = None,
    dead_letter: bool | None = None,
) -> Function:
    """Register a coroutine function with options of its own. What is left out is as the worker has it.

    Args:
        coroutine: the function, or the dotted path of one. A `Function` comes back unchanged.
        name: what jobs call it. Default: None, `coroutine.__qualname__`, or the path that was given.
        keep_result: how long to keep results, in seconds or as a timedelta; 0: not at all; `math.inf`: for ever.
            Default: None, as the worker has it.
        timeout: how long one run may take, in seconds or as a timedelta, from 0 on; None or `math.inf`: no limit.
            Default: left out, as the worker has it.
        keep_result_forever: keep results without a limit; wins over `keep_result`. Default: None, as the worker has it.
        max_tries: how often a job may be started; 1: never again; `math.inf`: no limit. Default: None, as the worker
            has it.
        retry_on: a class of exceptions, or several, after which the job is tried again; subclasses match, and groups of
            which all parts match. Default: None, as the worker has it; where that says nothing, none, or, beside
            `give_up_on`, `backoff` or `retry_for` and without `retry_on_timeout`, every Exception.
        give_up_on: classes of exceptions after which the job has failed at once; wins over the other options.
            Default: None, as the worker has it.
        retry_on_timeout: whether a run that took longer than `timeout` is tried again. Default: None, as the worker has
            it; where that says nothing, as `retry_on` says of TimeoutError.
        backoff: how long to wait before the next try: a `Backoff`, or a function that gets the number of the try that
            has failed and its exception, and returns seconds or a timedelta. Default: None, as the worker has it; where
            that says nothing, `Backoff()`.
        retry_for: no try begins later than so many seconds (or a timedelta) after the job was enqueued; `math.inf`: no
            limit. Default: None, as the worker has it.
        dead_letter: whether a job that fails for good goes into the dead set of its queue, from where it can be
            requeued. Default: None, as the worker has it; where `keep_result` is 0, not.

    `max_tries` holds as well: after the last try the job has failed with the exception of that one. `raise Retry(...)`
    is none of these options' business.

    Raises:
        RuntimeError: it is not a coroutine function, or it has no name and none was given.
        TypeError: `name` is no text.
        ImportError: there is nothing at the dotted path.

    An option that is out of its range is refused with its name by the worker that gets the function (ValueError).
    """
    if isinstance(coroutine, Function):
        return coroutine
    target, target_name = resolve_coroutine(coroutine, text_or_none("name", name))
    retries = retry_options(retry_on, give_up_on, retry_on_timeout, backoff, retry_for)
    return Function(
        target_name,
        target,
        to_seconds(timeout),
        to_seconds(keep_result),
        keep_result_forever,
        max_tries,
        retries,
        dead_letter,
    )


def resolve_coroutine(coroutine: str | WorkerCoroutine, name: str | None) -> tuple[WorkerCoroutine, str]:
    """The coroutine function behind a path or object, and the name it goes by."""
    if isinstance(coroutine, str):
        name = name or coroutine
        target = cast(WorkerCoroutine, import_string(coroutine))
    else:
        target = coroutine
    if not inspect.iscoroutinefunction(target):
        raise RuntimeError(f"{_told(target)} is not a coroutine function: a job is an `async def`")
    name = name or getattr(target, "__qualname__", None)
    if not name:
        raise RuntimeError(f"{target} has no name of its own, pass name=...")
    return target, name


def _told(target: object) -> str:
    """A function by its name: the address of an object says nothing to anybody."""
    name, module = getattr(target, "__qualname__", None), getattr(target, "__module__", None)
    return f"{module}.{name}" if name and module else str(target)
