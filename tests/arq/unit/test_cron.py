"""`next_cron` against a brute-force search, and the errors of schedules that can not be."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq._cron_table import spec_of
from arq._function import func
from arq.cron import CronJob, cron, next_cron
from arq.typing import WEEKDAYS

START = datetime(2028, 2, 28, 23, 58, 57, 999_999)  # a leap year's last ordinary second
moments = st.datetimes(datetime(1999, 12, 30), datetime(2101, 3, 1))


def field(low: int, high: int) -> st.SearchStrategy[Any]:
    one = st.integers(low, high)
    return st.none() | one | st.sets(one, min_size=1, max_size=4) | st.lists(one, min_size=1, max_size=4)


schedules = st.fixed_dictionaries(
    {
        "month": field(1, 12),
        # day 29 to 31 with one month may never match: that is a test of its own
        "day": field(1, 28),
        "weekday": field(0, 6) | st.sampled_from(WEEKDAYS) | st.sets(st.sampled_from(WEEKDAYS), min_size=1),
        "hour": field(0, 23),
        "minute": field(0, 59),
        "second": field(0, 59),
        "microsecond": st.integers(0, 999_999),
    }
)


def allowed(name: str, option: Any) -> Collection[int] | None:
    """The values that a field of a schedule matches; None: all."""
    if option is None:
        return None
    values: list[Any] = [option] if isinstance(option, int | str) else list(option)
    return [WEEKDAYS.index(v) if name == "weekday" and isinstance(v, str) else v for v in values]


def value_of(moment: datetime, name: str) -> int:
    return moment.weekday() if name == "weekday" else int(getattr(moment, name))


def matches(moment: datetime, schedule: dict[str, Any]) -> bool:
    wanted = {name: allowed(name, option) for name, option in schedule.items()}
    return all(values is None or value_of(moment, name) in values for name, values in wanted.items())


@given(moments, schedules)
def test_the_result_is_later_and_matches_every_field(previous: datetime, schedule: dict[str, Any]) -> None:
    found = next_cron(previous, **schedule)
    assert found.replace(microsecond=0) > previous.replace(microsecond=0)
    assert matches(found, schedule)


@given(
    st.datetimes(datetime(2027, 12, 31, 22), datetime(2028, 3, 1, 2)),
    st.fixed_dictionaries(
        {"hour": field(0, 23), "minute": field(0, 59), "second": field(0, 59), "day": field(1, 28)}
    ),
)
def test_nothing_earlier_matches(previous: datetime, schedule: dict[str, Any]) -> None:
    """Brute force over the seconds of a quarter of an hour, or over the whole way if it is shorter."""
    found = next_cron(previous, microsecond=0, **schedule)
    moment = previous.replace(microsecond=0) + timedelta(seconds=1)
    for _ in range(900):
        if moment >= found:
            break
        assert not matches(moment, schedule)
        moment += timedelta(seconds=1)


@given(moments, schedules)
def test_the_results_of_a_schedule_are_a_row(previous: datetime, schedule: dict[str, Any]) -> None:
    first = next_cron(previous, **schedule)
    assert next_cron(first - timedelta(seconds=1), **schedule) == first
    assert next_cron(first, **schedule) > first


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"second": 58}, datetime(2028, 2, 28, 23, 58, 58, 123_456)),
        ({"second": 57}, datetime(2028, 2, 28, 23, 59, 57, 123_456)),
        ({"minute": 0}, datetime(2028, 2, 29, 0, 0, 0, 123_456)),
        ({"day": 29, "month": 2, "hour": 0, "minute": 0}, datetime(2028, 2, 29, 0, 0, 0, 123_456)),
        ({"day": 31, "hour": 1, "minute": 2}, datetime(2028, 3, 31, 1, 2, 0, 123_456)),
        ({"weekday": "mon", "hour": 0, "minute": 0}, datetime(2028, 3, 6, 0, 0, 0, 123_456)),
        ({"weekday": {"SAT", "Sun"}, "hour": 0, "minute": 0}, datetime(2028, 3, 4, 0, 0, 0, 123_456)),
        ({"microsecond": 0, "second": None}, datetime(2028, 2, 28, 23, 58, 58)),
        (
            {"month": 2, "day": 29, "weekday": 3, "hour": 0, "minute": 0},
            datetime(2052, 2, 29, 0, 0, 0, 123_456),
        ),
    ],
)
def test_known_results(schedule: dict[str, Any], expected: datetime) -> None:
    assert next_cron(START, **schedule) == expected


def test_the_timezone_is_kept_as_it_is() -> None:
    for zone in (UTC, ZoneInfo("Europe/Berlin")):
        assert next_cron(START.replace(tzinfo=zone), hour=3).tzinfo is zone


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        ({"month": 2, "day": 30}, "no date matches month=2, day=30"),
        ({"month": {4, 6, 9, 11}, "day": 31}, "no date matches"),
        ({"month": 0}, "month must be from 1 to 12, not 0"),
        ({"day": 32}, "day must be from 1 to 31"),
        ({"weekday": 7}, "weekday must be from 0 to 6"),
        ({"weekday": "monday"}, "weekday must be 0 to 6 or one of mon, tues, wed, thurs, fri, sat, sun"),
        ({"hour": {3, 24}}, "hour must be from 0 to 23"),
        ({"minute": -1}, "minute must be from 0 to 59"),
        ({"second": "5"}, "second must be from 0 to 59"),
        ({"microsecond": 1_000_000}, "microsecond must be from 0 to 999999"),
        ({"hour": set()}, "hour must not be empty"),
        ({"second": 0.5}, "second must be"),
        ({"minute": {1, "a"}}, "minute must be from 0 to 59, not {"),
        ({"weekday": 1.5}, "weekday must be 0 to 6 or one of mon"),
    ],
)
def test_a_schedule_that_can_not_be_is_refused_when_it_is_written(
    schedule: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        cron(job, **schedule)


async def job(ctx: dict[Any, Any]) -> None: ...


def test_defaults_of_a_cron_job() -> None:
    made = cron(job)
    assert made == CronJob(
        name="cron:job",
        coroutine=job,
        month=None,
        day=None,
        weekday=None,
        hour=None,
        minute=None,
        second=0,
        microsecond=123_456,
        run_at_startup=False,
        unique=True,
        job_id=None,
        timeout_s=None,
        keep_result_s=0,
        keep_result_forever=False,
        max_tries=1,
    )
    assert repr(made).startswith("<CronJob name=cron:job coroutine=<function job")


def test_a_cron_job_by_path_is_named_after_it() -> None:
    assert cron("arq.worker.async_check_health").name == "cron:arq.worker.async_check_health"


def test_only_coroutine_functions_can_be_scheduled() -> None:
    with pytest.raises(RuntimeError, match="is not a coroutine function"):
        cron(print)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match='does not define a "nothing" attribute'):
        cron("arq.worker.nothing")


def test_names_and_ids_are_texts() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="name must be a text, not 3"):
        cron(job, name=wrong)
    with pytest.raises(TypeError, match="job_id must be a text, not 3"):
        cron(job, job_id=wrong)
    with pytest.raises(TypeError, match="name must be a text, not 3"):
        func(job, name=wrong)


def test_calculate_next_moves_on() -> None:
    made = cron(job, minute={0, 30}, timeout=timedelta(minutes=2))
    made.calculate_next(START)
    assert made.next_run == datetime(2028, 2, 29, 0, 0, 0, 123_456)
    made.calculate_next(made.next_run)
    assert made.next_run == datetime(2028, 2, 29, 0, 30, 0, 123_456)
    assert made.timeout_s == 120


@pytest.mark.parametrize(
    ("fields", "spec"),
    [
        ({"second": set(range(60))}, "* * * * * second=*"),
        ({"minute": set(range(0, 60, 5)), "hour": set(range(9, 18))}, "*/5 9-17 * * *"),
        ({"minute": {0, 30}, "day": {1, 15}}, "0,30 * 1,15 * *"),
        ({"minute": 0, "hour": 3, "month": {1, 2, 3}, "weekday": {"mon", "fri"}}, "0 3 * 1-3 mon,fri"),
        ({"minute": {1, 21, 41}}, "1,21,41 * * * *"),
    ],
)
def test_a_schedule_is_shown_as_in_a_crontab(fields: dict[str, Any], spec: str) -> None:
    async def f(ctx: dict[str, Any]) -> None: ...

    assert spec_of(cron(f, **fields)) == spec
