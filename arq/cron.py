"""Calendar arithmetic: when a cron job is due next. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from ._function import resolve_coroutine
from .typing import WEEKDAYS, OptionType, SecondsTimedelta, WeekdayOptionType, WorkerCoroutine
from .utils import to_seconds

#: The lowest and highest value of each field of a schedule.
_RANGES = {
    "month": (1, 12),
    "day": (1, 31),
    "weekday": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
    "microsecond": (0, 999_999),
}
#: A date and a weekday meet again within 28 years, 40 across a century: what has not come by then never comes.
_HORIZON = timedelta(days=41 * 366)
_ONE_DAY = timedelta(days=1)


def next_cron(
    previous_dt: datetime,
    *,
    month: OptionType = None,
    day: OptionType = None,
    weekday: WeekdayOptionType = None,
    hour: OptionType = None,
    minute: OptionType = None,
    second: OptionType = 0,
    microsecond: int = 123_456,
) -> datetime:
    """The first time in a later second than `previous_dt` that matches every field; its timezone is kept.

    Raises:
        ValueError: a value is out of its range, a weekday's name is unknown, or the fields never meet (February 30).
    """
    dates, times = _normalize(month, day, weekday, hour, minute, second, microsecond)
    start = previous_dt.replace(microsecond=0) + timedelta(seconds=1)
    for day_found in _matching_days(start.date(), *dates):
        earliest = start.time() if day_found == start.date() else time.min
        found = _first_time(earliest, *times)
        if found is not None:
            return datetime.combine(day_found, found, tzinfo=previous_dt.tzinfo)
    raise ValueError(f"no date matches month={month!r}, day={day!r}, weekday={weekday!r}")


def _normalize(*values: Any) -> tuple[tuple[list[int], ...], tuple[list[int], ...]]:
    fields = tuple(_values(name, value) for name, value in zip(_RANGES, values, strict=True))
    return fields[:3], fields[3:]


def _values(name: str, option: Any) -> list[int]:
    """All values of a field that match, in order."""
    low, high = _RANGES[name]
    if option is None:
        return list(range(low, high + 1))
    options: list[Any] = (
        list(option) if isinstance(option, Collection) and not isinstance(option, str) else [option]
    )
    values = sorted({_weekday(o) if name == "weekday" else o for o in options})
    if not values:
        raise ValueError(f"{name} must not be empty: no time would match")
    if not all(isinstance(v, int) and low <= v <= high for v in values):
        raise ValueError(f"{name} must be from {low} to {high}, not {option!r}")
    return values


def _weekday(option: int | str) -> int:
    if isinstance(option, int):
        return option
    try:
        return [str(name) for name in WEEKDAYS].index(option.lower())
    except ValueError:
        raise ValueError(f"weekday must be 0 to 6 or one of {', '.join(WEEKDAYS)}, not {option!r}") from None


def _matching_days(start: date, months: list[int], days: list[int], weekdays: list[int]) -> Iterator[date]:
    current, end = start, min(date.max - _HORIZON, start) + _HORIZON
    while current < end:
        if current.month not in months:
            current = (current.replace(day=1) + timedelta(days=32)).replace(day=1)
            continue
        if current.day in days and current.weekday() in weekdays:
            yield current
        current += _ONE_DAY


def _first_time(
    earliest: time, hours: list[int], minutes: list[int], seconds: list[int], microseconds: list[int]
) -> time | None:
    """The first matching time of day that is not before `earliest`."""
    for hour in (h for h in hours if h >= earliest.hour):
        for minute in minutes:
            if (hour, minute) < (earliest.hour, earliest.minute):
                continue
            for second in seconds:
                for microsecond in microseconds:
                    found = time(hour, minute, second, microsecond)
                    if found >= earliest:
                        return found
    return None


# Not frozen, no slots: instrumentation assigns to `coroutine` and marks cron jobs with attributes of its own.
@dataclass
class CronJob:
    """A function that is enqueued at set times; see `cron` for what the fields mean."""

    name: str
    coroutine: WorkerCoroutine
    month: OptionType
    day: OptionType
    weekday: WeekdayOptionType
    hour: OptionType
    minute: OptionType
    second: OptionType
    microsecond: int
    run_at_startup: bool
    unique: bool
    job_id: str | None
    timeout_s: float | None
    keep_result_s: float | None
    keep_result_forever: bool | None
    max_tries: int | None
    next_run: datetime | None = field(default=None)

    def calculate_next(self, prev: datetime) -> None:
        """Set `next_run` to the first time after `prev`."""
        self.next_run = next_cron(
            prev,
            month=self.month,
            day=self.day,
            weekday=self.weekday,
            hour=self.hour,
            minute=self.minute,
            second=self.second,
            microsecond=self.microsecond,
        )

    def schedule_id(self) -> str:
        """Tells this schedule from others of the same function; the same in every worker."""
        fields = (self.month, self.day, self.weekday, self.hour, self.minute, self.second, self.microsecond)
        text = repr((_normalize(*fields), self.job_id))
        return f"{self.name}:{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]}"

    def __repr__(self) -> str:
        return "<CronJob {}>".format(" ".join(f"{k}={v}" for k, v in self.__dict__.items()))


def cron(
    coroutine: str | WorkerCoroutine,
    *,
    name: str | None = None,
    month: OptionType = None,
    day: OptionType = None,
    weekday: WeekdayOptionType = None,
    hour: OptionType = None,
    minute: OptionType = None,
    second: OptionType = 0,
    microsecond: int = 123_456,
    run_at_startup: bool = False,
    unique: bool = True,
    job_id: str | None = None,
    timeout: SecondsTimedelta | None = None,
    keep_result: float | None = 0,
    keep_result_forever: bool | None = False,
    max_tries: int | None = 1,
) -> CronJob:
    """Schedule a function. A field takes one value or a collection of values; None matches every value.

    Args:
        coroutine: coroutine function, or the dotted path of one.
        name: name of the job; default: `cron:` and the name of the function.
        month: 1 - 12.
        day: day of the month, 1 - 31.
        weekday: 0 (Monday) - 6, or mon, tues, wed, thurs, fri, sat, sun.
        hour: 0 - 23.
        minute: 0 - 59.
        second: 0 - 59; 0 by default, so that nothing runs every second by accident.
        microsecond: 0 - 999999; the default keeps away from the full second, when the world is busiest.
        run_at_startup: also run when a worker starts.
        unique: run each time once, however many workers there are.
        job_id: id of the enqueued job, if it must not overlap with itself or with other schedules.
        timeout: how long one run may take, in seconds or as a timedelta.
        keep_result: how long to keep the result, in seconds.
        keep_result_forever: keep the result without a limit.
        max_tries: how often one run may be started.

    Raises:
        RuntimeError: it is not a coroutine function.
        ValueError: a field is out of its range, or the schedule never matches.
    """
    target, target_name = resolve_coroutine(coroutine, None)
    next_cron(
        datetime(2000, 1, 1),  # noqa: DTZ001  (any day will do)
        month=month,
        day=day,
        weekday=weekday,
        hour=hour,
        minute=minute,
        second=second,
        microsecond=microsecond,
    )  # a schedule that can't match is refused here, not by a worker that searches for it
    return CronJob(
        name=name or "cron:" + target_name,
        coroutine=target,
        month=month,
        day=day,
        weekday=weekday,
        hour=hour,
        minute=minute,
        second=second,
        microsecond=microsecond,
        run_at_startup=run_at_startup,
        unique=unique,
        job_id=job_id,
        timeout_s=to_seconds(timeout),
        keep_result_s=to_seconds(keep_result),
        keep_result_forever=keep_result_forever,
        max_tries=max_tries,
    )
