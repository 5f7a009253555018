"""Cron jobs: functions that are enqueued at set times. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from ._cron_calendar import Calendar, calendar, next_instant
from ._function import none_is_no_limit, resolve_coroutine
from ._option_types import text_or_none
from ._retry_options import Backoff, BackoffFunction, ExceptionClasses, RetryOptions, retry_options
from ._types import OptionType, SecondsTimedelta, WeekdayOptionType, WorkerCoroutine
from .utils import to_seconds


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

    This is arithmetic on wall times: a change to or from summer time in between is not seen. Workers plan by
    `CronJob.next_after`.

    Raises:
        ValueError: a value is out of its range, a weekday's name is unknown, or the fields never meet (February 30).
    """
    matching = calendar(month, day, weekday, hour, minute, second, microsecond)
    start = previous_dt.replace(microsecond=0, tzinfo=None) + timedelta(seconds=1)
    try:
        found = matching.first(start)
    except ValueError:
        raise ValueError(f"no date matches month={month!r}, day={day!r}, weekday={weekday!r}") from None
    return found.replace(tzinfo=previous_dt.tzinfo)


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
    max_tries: float | None
    #: what a worker plans next, for readers; in a process with several workers, the one that has planned last
    next_run: datetime | None = field(default=None)
    coalesce: bool = True
    retry_options: RetryOptions | None = None

    def calculate_next(self, prev: datetime) -> None:
        """Set `next_run` to the first time after `prev`, by `next_cron`."""
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

    def next_after(self, instant: datetime, zone: tzinfo) -> datetime:
        """The first run in a later second than `instant`, in UTC.

        Args:
            instant: aware.
            zone: in which the schedule is read. Times of the day that its clocks leave out run right after the gap,
                those that they show twice run the first time; a schedule that matches every hour goes by intervals.

        Raises:
            ValueError: the schedule never matches.
        """
        return next_instant(self._calendar(), instant, zone)

    def schedule_id(self) -> str:
        """Tells this schedule from others of the same function; the same in every worker."""
        return f"{self.name}:{_digest(self._what())}"

    def schedule_hash(self) -> str:
        """Tells this schedule from all others, also from those of other functions; the same in every worker."""
        return _digest(repr((self.name, self._what())))

    def _what(self) -> str:
        matching = self._calendar()
        dates = matching.months, matching.days, matching.weekdays
        times = matching.hours, matching.minutes, matching.seconds, matching.microseconds
        return repr(((tuple(map(list, dates)), tuple(map(list, times))), self.job_id))

    def _calendar(self) -> Calendar:
        return calendar(
            self.month, self.day, self.weekday, self.hour, self.minute, self.second, self.microsecond
        )

    def __repr__(self) -> str:
        # as the original shows it: what there is more is shown where it was changed
        usual = {"coalesce": True, "retry_options": None}
        shown = {name: value for name, value in self.__dict__.items() if value is not usual.get(name, ...)}
        return "<CronJob {}>".format(" ".join(f"{name}={value}" for name, value in shown.items()))


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]


@none_is_no_limit
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
    max_tries: float | None = 1,
    coalesce: bool = True,
    retry_on: ExceptionClasses | None = None,
    give_up_on: ExceptionClasses | None = None,
    retry_on_timeout: bool | None = None,
    backoff: Backoff | BackoffFunction | None = None,
    retry_for: SecondsTimedelta | None = None,
) -> CronJob:
    """Schedule a function. A field takes one value or a collection of values; None matches every value.

    The fields are read in the worker's timezone. When clocks are changed, a schedule that matches every hour goes on by
    intervals; one that names hours runs once for each time: the first time in an hour that is repeated, and right after
    the gap if the time is left out.

    Args:
        coroutine: coroutine function, or the dotted path of one.
        name: name of the job. Default: None, `cron:` and the name of the function.
        month: 1 - 12. Default: None, every month.
        day: day of the month, 1 - 31. Default: None, every day.
        weekday: 0 (Monday) - 6, or mon, tues, wed, thurs, fri, sat, sun. Default: None, every day of the week.
        hour: 0 - 23. Default: None, every hour.
        minute: 0 - 59. Default: None, every minute.
        second: 0 - 59. Default: 0, so that nothing runs every second by accident.
        microsecond: 0 - 999999. Default: 123456, away from the full second, when the world is busiest.
        run_at_startup: also run when a worker starts. Default: False.
        unique: run each time once, however many workers there are. Default: True.
        job_id: id of the enqueued job, if it must not overlap with itself or with other schedules. Default: None, one
            for each time.
        timeout: how long one run may take, in seconds or as a timedelta, from 0 on; None or `math.inf`: no limit.
            Default: left out, as the worker has it.
        keep_result: how long to keep the result, in seconds or as a timedelta; None: as the worker has it; `math.inf`:
            for ever. Default: 0, not at all.
        keep_result_forever: keep the result without a limit; None: as the worker has it. Default: False.
        max_tries: how often one run may be started; None: as the worker has it; `math.inf`: no limit. Default: 1;
            left out beside one of the last five arguments: as the worker has it.
        coalesce: when times were missed (the machine stood still, Redis was away), run the job only for the newest of
            them; False: for each. Default: True.
        retry_on: after which exceptions a run is tried again; this and the following as of `arq.func`. Default: None.
        give_up_on: after which exceptions it has failed at once. Default: None.
        retry_on_timeout: whether it is tried again when it took longer than `timeout`. Default: None.
        backoff: how long to wait before the next try. Default: None.
        retry_for: no try begins later than so long after the run was enqueued. Default: None.

    Raises:
        RuntimeError: it is not a coroutine function.
        TypeError: `name` or `job_id` is no text.
        ImportError: there is nothing at the dotted path.
        ValueError: a field is out of its range, or the schedule never matches. Numbers of `timeout`, `keep_result` and
            `max_tries` are looked at by the worker that gets the schedule.
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
        name=text_or_none("name", name) or "cron:" + target_name,
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
        job_id=text_or_none("job_id", job_id),
        timeout_s=to_seconds(timeout),
        keep_result_s=to_seconds(keep_result),
        keep_result_forever=keep_result_forever,
        max_tries=max_tries,
        coalesce=coalesce,
        retry_options=retry_options(retry_on, give_up_on, retry_on_timeout, backoff, retry_for),
    )
