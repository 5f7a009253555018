"""Aliases and protocols for users' annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ._types import (
    WEEKDAYS,
    OptionType,
    SecondsTimedelta,
    StartupShutdown,
    WeekdayOptionType,
    WorkerCoroutine,
)

if TYPE_CHECKING:
    from ._function import Function
    from .cron import CronJob

__all__ = (
    "WEEKDAYS",
    "OptionType",
    "SecondsTimedelta",
    "StartupShutdown",
    "WeekdayOptionType",
    "WorkerCoroutine",
    "WorkerSettingsType",
)


class WorkerSettingsBase(Protocol):
    """What a settings class looks like; every attribute but `functions` may be left out."""

    functions: Sequence[WorkerCoroutine | Function]
    cron_jobs: Sequence[CronJob] | None
    on_startup: StartupShutdown | None
    on_shutdown: StartupShutdown | None


#: What `run_worker` and `create_worker` take: a dict, a class, or an instance of one.
WorkerSettingsType = dict[str, Any] | type[WorkerSettingsBase] | WorkerSettingsBase
