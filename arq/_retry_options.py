"""When a job that has failed is tried again, as `func`, `cron` and `Worker` are told it. No I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from ._types import SecondsTimedelta
from .utils import LONGEST_S, is_no_limit, to_seconds

#: One class of exceptions, or several; subclasses match.
ExceptionClasses: TypeAlias = type[BaseException] | Collection[type[BaseException]]
#: Gets the number of the try that has failed, from 1 on, and its exception; says how long to wait.
BackoffFunction: TypeAlias = Callable[[int, BaseException], SecondsTimedelta]


_HOUR_S = 3600.0


@dataclass(frozen=True)
class Backoff:
    """Pauses between the tries of a job that grow from try to try. Times are seconds or timedeltas.

    Args:
        first: the pause after the first try, from 0 on. Default: 1.
        factor: by what each pause is longer than the one before, from 1 on; 1: all are alike. Default: 2.
        most: no pause is longer, from `first` on. Default: None, an hour, or `first` if that is longer.
        jitter: the share of a pause by which it may be shorter, by chance, 0 to 1, so that jobs that have failed
            together do not come back together. 1: anything between nothing and the whole pause. Default: 0.25.

    Raises:
        ValueError: one of them is no number, or out of its range.
    """

    first: SecondsTimedelta = 1
    factor: float = 2
    most: SecondsTimedelta | None = None
    jitter: float = 0.25

    def __post_init__(self) -> None:
        first_s = _seconds("first", self.first)
        if self.most is not None and _seconds("most", self.most) < first_s:
            raise ValueError(
                f"most of Backoff must not be shorter than first, {self.first!r}, it is {self.most!r}"
            )
        if not is_number(self.factor) or not 1 <= self.factor < math.inf:
            raise ValueError(f"factor of Backoff must be a number from 1 on, not {self.factor!r}")
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter of Backoff must be a number from 0 to 1, not {self.jitter!r}")

    def longest_s(self, tries: int) -> float:
        """The pause after so many tries, in seconds, without jitter."""
        first_s = to_seconds(self.first)
        most_s = max(first_s, _HOUR_S) if self.most is None else to_seconds(self.most)
        try:
            return min(most_s, first_s * float(self.factor) ** (tries - 1))
        except OverflowError:
            return most_s

    def __call__(self, tries: int, exc: BaseException | None = None) -> float:
        """The pause after so many tries, in seconds: no longer than `longest_s`, and shorter by chance."""
        return self.longest_s(tries) * (1 - self.jitter * random.random())


Backoff.__module__ = "arq"  # where everybody imports it from


@dataclass(frozen=True)
class RetryOptions:
    """What was said about tries, of one function or of a worker; see `func`. None: nothing."""

    retry_on: ExceptionClasses | None = None
    give_up_on: ExceptionClasses | None = None
    retry_on_timeout: bool | None = None
    backoff: Backoff | BackoffFunction | None = None
    retry_for: SecondsTimedelta | None = None

    def __repr__(self) -> str:
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f"{name}={value!r}" for name, value in given if value is not None)


#: Their names.
NAMES = tuple(field.name for field in fields(RetryOptions))


def retry_options(
    retry_on: ExceptionClasses | None,
    give_up_on: ExceptionClasses | None,
    retry_on_timeout: bool | None,
    backoff: Backoff | BackoffFunction | None,
    retry_for: SecondsTimedelta | None,
) -> RetryOptions | None:
    """What was said; None if that is nothing. Checked by a worker (`checked`), which knows whose options these are."""
    found = RetryOptions(retry_on, give_up_on, retry_on_timeout, backoff, retry_for)
    return found if any(getattr(found, name) is not None for name in NAMES) else None


def checked(options: RetryOptions | None, of: str = "") -> RetryOptions | None:
    """The same options, if they can be used.

    Args:
        of: whose they are, for the text of the error.

    Raises:
        TypeError: one of them is something else; it is named.
        ValueError: one of them is out of its range.
    """
    if options is None:
        return None
    _check_classes(f"retry_on{of}", options.retry_on)
    _check_classes(f"give_up_on{of}", options.give_up_on)
    if not isinstance(options.retry_on_timeout, bool | None):
        raise TypeError(f"retry_on_timeout{of} must be True or False, not {options.retry_on_timeout!r}")
    backoff: Any = options.backoff
    if backoff is not None and (not callable(backoff) or isinstance(backoff, type) or _is_async(backoff)):
        raise TypeError(
            f"backoff{of} must be a Backoff, or a plain function that takes the number of the try and the exception "
            f"and returns seconds, not {backoff!r}"
        )
    if options.retry_for is not None and not _is_time(options.retry_for):
        raise ValueError(
            f"retry_for{of} must be a time in seconds from 0 on, or math.inf for no limit, not {options.retry_for!r}"
        )
    return options


def classes(given: ExceptionClasses | None) -> tuple[type[BaseException], ...]:
    """Classes of exceptions as `isinstance` takes them."""
    if given is None:
        return ()
    return (given,) if isinstance(given, type) else tuple(given)


def limit_s(retry_for: SecondsTimedelta | None) -> float:
    """For how long after its enqueueing a job is tried again, in seconds; `math.inf`: no limit."""
    found = to_seconds(retry_for)
    return math.inf if found is None or is_no_limit(found) else found


def _check_classes(name: str, given: Any) -> None:
    if given is None:
        return
    is_list = isinstance(given, Collection) and not isinstance(given, str | bytes | type)
    for one in given if is_list else (given,):
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"{name} must be classes of exceptions, as (ConnectionError,), not {given!r}")
        if any(base.__name__ == "CancelledError" for base in one.__mro__):
            raise ValueError(
                f"{name} can't have {one.__name__}: whether a job that was cancelled is run again says who did that"
            )


def _is_async(backoff: object) -> bool:
    return iscoroutinefunction(backoff) or iscoroutinefunction(getattr(backoff, "__call__", None))  # noqa: B004


def _seconds(name: str, given: SecondsTimedelta) -> float:
    if not _is_time(given) or to_seconds(given) > LONGEST_S:
        raise ValueError(f"{name} of Backoff must be a time in seconds from 0 on, not {given!r}")
    return to_seconds(given)


def _is_time(given: Any) -> bool:
    found = to_seconds(given) if isinstance(given, timedelta) else given
    return is_number(found) and found >= 0  # no number is NaN


def is_number(given: object) -> bool:
    """Whether something is a number, and no truth value."""
    return isinstance(given, int | float) and not isinstance(given, bool)
