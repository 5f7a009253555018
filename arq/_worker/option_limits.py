"""Limits as options give them: which of them say "no limit", and which can't be. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from .._retry_options import checked as checked_retry_options
from ..utils import is_no_limit, to_seconds

_Functions = TypeVar("_Functions", bound=Mapping[str, Any])

#: Why these options can't be without a limit.
_WHY = {
    "poll_delay": "without it, jobs from other versions of arq would wait for ever",
    "health_check_interval": "the line must go when its worker has gone",
    "max_jobs": "it is how many jobs there is room for",
    "dead_max": "dead_letter=False keeps none",
}


def seconds(name: str, given: Any) -> float:
    """An option that must be a time with an end, in seconds or as a timedelta.

    Raises:
        ValueError: it is something else, below 0, or more than a thousand years.
    """
    found = _number(to_seconds(given) if isinstance(given, timedelta) else given)
    if math.isnan(found) or found < 0 or is_no_limit(found):
        raise ValueError(f"{name} must be a time in seconds from 0 on, not {given!r}: {_WHY[name]}")
    return found


def seconds_or_none(name: str, given: Any) -> float | None:
    """A time limit in seconds; None if there is none: None, `math.inf`, or more than a thousand years.

    Raises:
        ValueError: it is no number.
    """
    found = None if given is None else _number(to_seconds(given))
    if found is not None and math.isnan(found):
        raise ValueError(f"{name} must be a time in seconds, or None for no limit, not {given!r}")
    return None if is_no_limit(found) else found


def seconds_or_inf(name: str, given: Any) -> float:
    """The same with `math.inf` for no limit."""
    found = seconds_or_none(name, given)
    return math.inf if found is None else found


def time_limit(name: str, given: Any) -> float | None:
    """How long a run may take: as `seconds_or_none`, and not below 0.

    Raises:
        ValueError: it is no number, or below 0.
    """
    found = seconds_or_none(name, given)
    if found is not None and found < 0:
        raise ValueError(f"{name} must be a time in seconds from 0 on, or None for no limit, not {given!r}")
    return found


def lifetime(name: str, given: Any) -> float:
    """For how long something is kept, in seconds.

    Raises:
        ValueError: it is no number, not above 0, or more than a thousand years.
    """
    found = _number(to_seconds(given) if isinstance(given, timedelta) else given)
    if not found > 0 or is_no_limit(found):
        raise ValueError(f"{name} must be a time in seconds above 0, not {given!r}")
    return found


def wait_s(given: Any) -> float:
    """How long to wait for jobs, in seconds; None is 0, as in the original.

    Raises:
        ValueError: it is no number.
    """
    found = 0 if given is None else to_seconds(given)
    if math.isnan(_number(found)):
        raise ValueError(
            f"job_completion_wait must be a time in seconds, or math.inf for no limit, not {given!r}"
        )
    return found


def number(name: str, given: Any) -> int:
    """An option that must be a whole number from 1 on.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(given, int) or given < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {given!r}: {_WHY[name]}")
    return given


def count_or_none(name: str, given: Any) -> Any:
    """An option that must be a number, or None.

    Raises:
        ValueError: it is something else.
    """
    found = to_seconds(given) if isinstance(given, timedelta) else given
    if found is not None and math.isnan(_number(found)):
        raise ValueError(f"{name} must be a number, not {given!r}")
    return given


def with_good_ones(functions: _Functions) -> _Functions:
    """The same functions and schedules, by name, if the limits of their own can be used.

    Raises:
        ValueError: one of them is no number; the function is named.
    """
    for name, function in functions.items():
        time_limit(f"timeout of {name}", function.timeout_s)
        seconds_or_none(f"keep_result of {name}", function.keep_result_s)
        count_or_none(f"max_tries of {name}", function.max_tries)
        checked_retry_options(function.retry_options, f" of {name}")
    return functions


def _number(given: Any) -> float:
    return given if isinstance(given, (int, float)) else math.nan
