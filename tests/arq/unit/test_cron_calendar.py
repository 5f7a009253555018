"""When schedules run, against a search that looks at the clocks minute by minute."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arq._worker.system_timezone import SystemZone, now_in_system_zone
from arq.cron import CronJob, cron
from tests.support.clocks import (
    AROUND,
    DAY,
    HOUR,
    MINUTE,
    SWEPT,
    TEN_YEARS,
    ZONES,
    changes,
    clocks,
    job,
    runs,
    scheduled,
    search,
)

# ---------------------------------------------------------------- against the search


def some(low: int, high: int, **sizes: int) -> st.SearchStrategy[Any]:
    return st.sets(st.integers(low, high), min_size=1, **sizes)


hours = st.none() | st.just(set(range(24))) | some(0, 4) | some(0, 23) | st.integers(0, 23)
minutes = st.none() | st.sampled_from([0, 30, {0, 15, 30, 45}]) | some(0, 59, max_size=3)
days: st.SearchStrategy[dict[str, Any]] = (
    st.just({}) | st.fixed_dictionaries({"weekday": some(0, 6)}) | st.fixed_dictionaries({"day": some(1, 28)})
)


@pytest.mark.slow
@given(st.sampled_from(ZONES), st.data(), hours, minutes, days)
def test_around_changes_of_the_offset(
    name: str, data: st.DataObject, hour: Any, minute: Any, date: dict[str, Any]
) -> None:
    moment = data.draw(st.sampled_from(changes(name, *TEN_YEARS) or [TEN_YEARS[0]]))
    start = moment - data.draw(st.integers(0, 24 * 60)) * MINUTE
    schedule = scheduled(hour=hour, minute=minute, **date)
    end = start + AROUND + DAY
    assert runs(schedule, ZoneInfo(name), start, end) == search(
        schedule, clocks(ZoneInfo(name), start, end), start
    )


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.sampled_from(
        [
            ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC)),  # a whole day left out
            ("Pacific/Apia", datetime(2011, 9, 24, tzinfo=UTC)),
            ("America/Caracas", datetime(2007, 12, 9, tzinfo=UTC)),  # half an hour back, at night
            ("America/Caracas", datetime(2016, 5, 1, tzinfo=UTC)),
            ("Asia/Pyongyang", datetime(2015, 8, 14, tzinfo=UTC)),
            ("Asia/Pyongyang", datetime(2018, 5, 4, tzinfo=UTC)),
            ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC)),  # half an hour each time
            ("Australia/Lord_Howe", datetime(2027, 4, 3, tzinfo=UTC)),
            ("America/Sao_Paulo", datetime(2018, 11, 4, tzinfo=UTC)),  # at midnight
            ("America/Sao_Paulo", datetime(2018, 2, 17, tzinfo=UTC)),
            ("Africa/Casablanca", datetime(2026, 2, 14, tzinfo=UTC)),  # for Ramadan
            ("Antarctica/Troll", datetime(2026, 3, 28, tzinfo=UTC)),  # two hours
            ("Asia/Kathmandu", datetime(2026, 3, 28, tzinfo=UTC)),  # no change, an odd offset
        ]
    ),
    hours,
    minutes,
    days,
    st.integers(0, 24 * 60),
)
def test_around_odd_changes(
    change: tuple[str, datetime], hour: Any, minute: Any, date: dict[str, Any], earlier: int
) -> None:
    zone, start = ZoneInfo(change[0]), change[1] - earlier * MINUTE
    schedule = scheduled(hour=hour, minute=minute, **date)
    end = start + 2 * AROUND
    assert runs(schedule, zone, start, end) == search(schedule, clocks(zone, start, end), start)


# ---------------------------------------------------------------- by hand


def walls(schedule: CronJob, name: str, start: datetime, hours: int) -> list[str]:
    zone, start = ZoneInfo(name), start.replace(tzinfo=UTC)
    found = runs(schedule, zone, start, start + hours * HOUR)
    return [f"{run.astimezone(zone):%d %H:%M%z}" for run in found]


SPRING, AUTUMN = datetime(2027, 3, 27, 12), datetime(2027, 10, 30, 12)


@pytest.mark.parametrize(
    ("fields", "start", "expected"),
    [
        ({"hour": 2, "minute": 30}, SPRING, ["28 03:00+0200"]),
        ({"hour": 2, "minute": {0, 20, 40}}, SPRING, ["28 03:00+0200"]),
        ({"hour": {2, 3}, "minute": 0}, SPRING, ["28 03:00+0200"]),
        ({"hour": {2, 3}, "minute": 30}, SPRING, ["28 03:00+0200", "28 03:30+0200"]),
        ({"hour": 2, "minute": 30, "day": 29}, SPRING, ["29 02:30+0200"]),
        ({"hour": 2, "minute": 30}, AUTUMN, ["31 02:30+0200"]),
        ({"hour": {1, 2, 3}, "minute": 0}, AUTUMN, ["31 01:00+0200", "31 02:00+0200", "31 03:00+0100"]),
    ],
)
def test_times_of_the_day_in_berlin(fields: dict[str, Any], start: datetime, expected: list[str]) -> None:
    hours = 48 if "day" in fields else 24
    assert walls(scheduled(**fields), "Europe/Berlin", start, hours) == expected


def test_intervals_in_berlin() -> None:
    for start in (SPRING, AUTUMN):
        assert len(walls(scheduled(minute={0, 30}), "Europe/Berlin", start, 24)) == 47
    found = walls(scheduled(minute=0), "Europe/Berlin", AUTUMN + 11.5 * HOUR, 4)
    assert found == ["31 02:00+0200", "31 02:00+0100", "31 03:00+0100", "31 04:00+0100"]


def test_a_day_that_is_left_out() -> None:
    start = datetime(2011, 12, 29, 20)
    assert walls(scheduled(hour=9, minute=0), "Pacific/Apia", start, 60) == [
        "31 00:00+1400",
        "31 09:00+1400",
        "01 09:00+1400",
    ]


def test_the_fraction_of_a_second_is_kept_in_a_gap_too() -> None:
    found = cron(job, hour=2, minute=30).next_after(SPRING.replace(tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert found == datetime(2027, 3, 28, 1, 0, 0, 123_456, tzinfo=UTC)


def test_far_times() -> None:
    """Years are not looked through hour by hour."""
    zone = ZoneInfo("Europe/Berlin")
    leap = scheduled(month=2, day=29, minute=0)
    assert leap.next_after(datetime(2024, 3, 1, tzinfo=UTC), zone) == datetime(2028, 2, 28, 23, tzinfo=UTC)
    once = scheduled(month=2, day=29, weekday=3, hour=0, minute=0)
    assert once.next_after(datetime(2024, 3, 1, tzinfo=UTC), zone) == datetime(2052, 2, 28, 23, tzinfo=UTC)


# ---------------------------------------------------------------- other kinds of zones


class LikePytz(tzinfo):
    """What a datetime gets from `fromutc` is a fixed offset."""

    def __init__(self, zone: ZoneInfo, offset: timedelta = HOUR) -> None:
        self.zone, self.offset = zone, offset

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return self.offset

    def dst(self, dt: datetime | None) -> timedelta:
        return self.offset - HOUR

    def tzname(self, dt: datetime | None) -> str:
        return str(self.offset)

    def fromutc(self, dt: datetime) -> datetime:
        local = dt.replace(tzinfo=UTC).astimezone(self.zone)
        offset = local.utcoffset()
        assert offset is not None
        return local.replace(tzinfo=LikePytz(self.zone, offset), fold=0)


class WithoutFold(tzinfo):
    """Right from UTC, and wrong the other way round in the repeated hour."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else dt.replace(tzinfo=self.zone, fold=0).utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None

    def fromutc(self, dt: datetime) -> datetime:
        return dt.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=self, fold=0)


@pytest.mark.parametrize("start", [SPRING, AUTUMN])
@pytest.mark.parametrize("schedule", SWEPT)
@pytest.mark.parametrize("kind", [LikePytz, WithoutFold])
def test_every_kind_of_zone(kind: Any, schedule: CronJob, start: datetime) -> None:
    zone, start = ZoneInfo("Europe/Berlin"), start.replace(tzinfo=UTC)
    end = start + 3 * DAY
    assert runs(schedule, kind(zone), start, end) == runs(schedule, zone, start, end)


@pytest.mark.slow
@given(st.integers(-24 * 60 + 1, 24 * 60 - 1), hours, minutes)
def test_fixed_offsets(offset: int, hour: Any, minute: Any) -> None:
    zone, start = timezone(offset * MINUTE), datetime(2028, 2, 28, 5, tzinfo=UTC)
    schedule = scheduled(hour=hour, minute=minute)
    assert runs(schedule, zone, start, start + DAY) == search(
        schedule, clocks(zone, start, start + DAY), start
    )


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", ":America/New_York", "Australia/Lord_Howe"]
)
def test_the_systems_zone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    known = ZoneInfo("Europe/Berlin" if "," in name else name.removeprefix(":"))
    monkeypatch.setenv("TZ", name)
    time.tzset()
    try:
        system = SystemZone()
        for start in (datetime(2027, 3, 26, tzinfo=UTC), datetime(2027, 10, 29, tzinfo=UTC)):
            for schedule in SWEPT:
                assert runs(schedule, system, start, start + 10 * DAY) == runs(
                    schedule, known, start, start + 10 * DAY
                )
            for n in range(10 * 24 * 2):
                moment = start + n * HOUR / 2
                local, same = moment.astimezone(system), moment.astimezone(known)
                assert (local.utcoffset(), local.tzname()) == (same.utcoffset(), same.tzname())
                assert local.astimezone(UTC) == moment
        assert datetime.now(now_in_system_zone()).utcoffset() == datetime.now(known).utcoffset()
    finally:
        monkeypatch.undo()
        time.tzset()
