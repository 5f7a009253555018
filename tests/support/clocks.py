"""When schedules run, found without arithmetic: by looking at the clocks of a zone minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from arq.cron import CronJob, cron

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Before and after a change of the offset: a whole day may be left out, as in Samoa.
AROUND = timedelta(hours=30)
ZONES = sorted(available_timezones())
TEN_YEARS = datetime(2025, 6, 1, tzinfo=UTC), datetime(2035, 6, 1, tzinfo=UTC)


async def job(ctx: dict[Any, Any]) -> None: ...


def scheduled(**fields: Any) -> CronJob:
    return cron(job, microsecond=0, **fields)


def fits(wall: datetime, schedule: CronJob) -> bool:
    values = (
        (wall.month, schedule.month),
        (wall.day, schedule.day),
        (wall.weekday(), schedule.weekday),
        (wall.hour, schedule.hour),
        (wall.minute, schedule.minute),
    )
    return all(
        option is None or (value in option if isinstance(option, set) else value == option)
        for value, option in values
    )


def clocks(zone: tzinfo, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Each minute, and what the clocks show. It begins long enough before for what they have shown already."""
    count = (end - start + AROUND) // MINUTE
    instants = (start - AROUND + n * MINUTE for n in range(count))
    return [(instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in instants]


def search(schedule: CronJob, clocks: list[tuple[datetime, datetime]], after: datetime) -> list[datetime]:
    """The runs after a time, found by looking at each minute."""
    every_hour = schedule.hour is None or set(range(24)) <= as_set(schedule.hour)
    found, shown = [], clocks[0][1]
    for instant, wall in clocks:
        new = [wall]
        if not every_hour:  # what the clocks show for the first time, and what they have skipped
            new = [shown + n * MINUTE for n in range(1, (wall - shown) // MINUTE + 1)]
            shown = max(shown, wall)
        if instant > after and any(fits(one, schedule) for one in new):
            found.append(instant)
    return found


def as_set(option: Any) -> set[int]:
    return option if isinstance(option, set) else {option}


def runs(schedule: CronJob, zone: tzinfo, start: datetime, end: datetime) -> list[datetime]:
    found = [schedule.next_after(start, zone)]
    while found[-1] < end:
        found.append(schedule.next_after(found[-1], zone))
    return found[:-1]


@cache
def changes(name: str, first: datetime, last: datetime) -> list[datetime]:
    """The days on which the offset of a zone changes."""
    zone, found = ZoneInfo(name), []
    day, offset = first, first.astimezone(zone).utcoffset()
    while day < last:
        day += DAY
        before, offset = offset, day.astimezone(zone).utcoffset()
        if offset != before:
            found.append(day - DAY)
    return found


#: one of each kind
SWEPT = [
    scheduled(hour=2, minute=30),
    scheduled(hour={0, 1, 2, 3, 23}, minute={0, 45}),
    scheduled(minute=20),
    scheduled(hour=None, minute={0, 30}, weekday={5, 6}),
]
