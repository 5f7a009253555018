"""Calendar arithmetic: the wall times that a schedule matches, and the instants at which it runs in a zone. No I/O.

Wall times are matched as they stand on the clocks of the zone. Everything else - order, distance, the next search - is
done in UTC: wall times jump and repeat.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from ._types import WEEKDAYS

#: The lowest and highest value of each field of a schedule.
RANGES = {
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
_ONE_SECOND, _ONE_DAY = timedelta(seconds=1), timedelta(days=1)
#: No offset from UTC is longer, says Python.
_LONGEST_OFFSET = timedelta(hours=24)
#: Offsets do not change twice within this time.
_GRID = timedelta(hours=6)
#: So far ahead the clocks are looked at one by one; further on it is enough to look where the calendar matches.
_NEAR = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The values that each field of a schedule matches, in order."""

    months: Sequence[int]
    days: Sequence[int]
    weekdays: Sequence[int]
    hours: Sequence[int]
    minutes: Sequence[int]
    seconds: Sequence[int]
    microseconds: Sequence[int]

    @property
    def is_interval(self) -> bool:
        """Whether it goes by intervals: it matches in every hour. Else it names times of the day."""
        return len(self.hours) == 24

    def first(self, start: datetime) -> datetime:
        """The first matching wall time that is not before `start`, a naive one.

        Raises:
            ValueError: the fields never meet (February 30).
        """
        for day in self._matching_days(start.date()):
            found = self._first_time(start.time() if day == start.date() else time.min)
            if found is not None:
                return datetime.combine(day, found)
        raise ValueError("no date matches")

    def _matching_days(self, start: date) -> Iterator[date]:
        current, end = start, min(date.max - _HORIZON, start) + _HORIZON
        while current < end:
            if current.month not in self.months:
                current = (current.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if current.day in self.days and current.weekday() in self.weekdays:
                yield current
            current += _ONE_DAY

    def _first_time(self, earliest: time) -> time | None:
        """The first matching time of day that is not before `earliest`."""
        for hour in (h for h in self.hours if h >= earliest.hour):
            for minute in self.minutes:
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in self.seconds:
                    for microsecond in self.microseconds:
                        found = time(hour, minute, second, microsecond)
                        if found >= earliest:
                            return found
        return None


def calendar(*values: Any) -> Calendar:
    """The calendar of a schedule's fields: month, day, weekday, hour, minute, second, microsecond.

    Raises:
        ValueError: a value is out of its range, or a weekday's name is unknown.
    """
    return Calendar(*(_values(name, value) for name, value in zip(RANGES, values, strict=True)))


def _values(name: str, option: Any) -> Sequence[int]:
    """All values of a field that match, in order."""
    low, high = RANGES[name]
    if option is None:
        return range(low, high + 1)
    options: list[Any] = (
        list(option) if isinstance(option, Collection) and not isinstance(option, str) else [option]
    )
    values = [_weekday(o) if name == "weekday" else o for o in options]
    if not values:
        raise ValueError(f"{name} must not be empty: no time would match")
    if not all(isinstance(v, int) and low <= v <= high for v in values):
        raise ValueError(f"{name} must be from {low} to {high}, not {option!r}")
    return sorted(set(values))


def _weekday(option: int | str) -> int:
    if isinstance(option, int):
        return option
    try:
        return [str(name) for name in WEEKDAYS].index(option.lower())
    except (ValueError, AttributeError):
        raise ValueError(f"weekday must be 0 to 6 or one of {', '.join(WEEKDAYS)}, not {option!r}") from None


def next_instant(matching: Calendar, after: datetime, zone: tzinfo) -> datetime:
    """The first run of a schedule in a later second than `after`.

    A schedule that goes by intervals runs whenever the clocks show a matching time: through an hour that is repeated it
    goes on, and an hour that is left out is not made up for. One that names times of the day runs once for each of
    them: the first time in an hour that is repeated; and if the clocks leave times out, right after the gap, once for
    all of them.

    Args:
        matching: what it matches.
        after: aware.
        zone: whose clocks are meant. Of it, only the conversion from UTC is used.

    Returns:
        the instant, in UTC.

    Raises:
        ValueError: the fields never meet (February 30).
    """
    start = after.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    found = (_next_interval if matching.is_interval else _next_time)(matching, start, zone)
    return found.replace(tzinfo=UTC)


# From here on, datetimes are naive: instants in UTC, or wall times.


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) - instant


def _segments(start: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The parts of a time, by second, in which the offset does not change: first instant, end, offset."""
    offset, looked = _offset(start, zone), start
    while looked < end:
        ahead = min(looked + _GRID, end)
        other = _offset(ahead, zone)
        if other == offset:
            looked = ahead
            continue
        change = _change(looked, ahead, offset, zone)
        if change >= end:
            break
        yield start, change, offset
        start = looked = change
        offset = _offset(change, zone)
    yield start, end, offset


def _change(before: datetime, after: datetime, offset: timedelta, zone: tzinfo) -> datetime:
    """The first second between two instants in which the offset is another one."""
    while after - before > _ONE_SECOND:
        middle = before + (after - before) // _ONE_SECOND // 2 * _ONE_SECOND
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after


def _next_interval(matching: Calendar, after: datetime, zone: tzinfo) -> datetime:
    start = after + _ONE_SECOND
    while True:
        end = start + _NEAR
        for first, last, offset in _segments(start, end, zone):
            found = matching.first(first + offset) - offset
            if found < last:
                return found
        # Nothing near. Wall times may repeat: go on a day before the clocks can show the next one that matches.
        wall = matching.first(end + offset - 2 * _LONGEST_OFFSET)
        start = max(end, wall.replace(microsecond=0) - _LONGEST_OFFSET - _ONE_SECOND)


def _next_time(matching: Calendar, after: datetime, zone: tzinfo) -> datetime:
    """Each wall time counts when the clocks show it, or a later one, for the first time."""
    seen = _segments(after - 2 * _LONGEST_OFFSET, after + _ONE_SECOND, zone)
    latest_shown = max(last - _ONE_SECOND + offset for _, last, offset in seen)
    wall = matching.first(latest_shown + _ONE_SECOND)
    second = wall.replace(microsecond=0)
    for first, last, offset in _segments(second - _LONGEST_OFFSET, second + _LONGEST_OFFSET, zone):
        reached = max(first, second - offset)
        if reached < last:
            return reached + (wall - second)
    raise AssertionError("an offset of more than a day")
