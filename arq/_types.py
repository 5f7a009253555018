"""Aliases and protocols for annotations, as `arq.typing` shows them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Literal, Protocol

WeekdayName = Literal["mon", "tues", "wed", "thurs", "fri", "sat", "sun"]

#: One value or several of a cron field; None matches always.
OptionType = None | int | Collection[int]
#: Day(s) of the week: 0 (Monday) to 6, or names.
WeekdayOptionType = None | int | WeekdayName | Collection[int | WeekdayName]
#: The names that stand for weekdays, Monday first.
WEEKDAYS: tuple[WeekdayName, ...] = ("mon", "tues", "wed", "thurs", "fri", "sat", "sun")
#: A duration: seconds, or a timedelta.
SecondsTimedelta = int | float | timedelta


class WorkerCoroutine(Protocol):
    """An async function that can be run as a job: the context comes first, the job's arguments follow."""

    __qualname__: str

    async def __call__(self, ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any: ...


class StartupShutdown(Protocol):
    """An async hook: it gets the worker's context (start, shutdown) or the job's (the job hooks)."""

    __qualname__: str

    async def __call__(self, ctx: dict[Any, Any]) -> Any: ...


for _protocol in (WorkerCoroutine, StartupShutdown):
    _protocol.__module__ = "arq.typing"  # where everybody imports them from
