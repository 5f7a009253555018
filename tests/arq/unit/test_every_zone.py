"""Every change of the offset, of every zone that the system knows, in ten years."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.clocks import AROUND, DAY, HOUR, SWEPT, TEN_YEARS, ZONES, changes, clocks, runs, search

PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_change_of_the_offset(part: int) -> None:
    seen: set[tuple[Any, ...]] = set()
    for name in ZONES:
        zone = ZoneInfo(name)
        for day in changes(name, *TEN_YEARS):
            kind = day, day.astimezone(zone).utcoffset(), (day + DAY).astimezone(zone).utcoffset()
            if kind in seen:  # another name for the same clocks
                continue
            seen.add(kind)
            if len(seen) % PARTS != part:
                continue
            start, end = day - HOUR, day + AROUND
            shown = clocks(zone, start, end)
            for schedule in SWEPT:
                assert runs(schedule, zone, start, end) == search(schedule, shown, start), (name, schedule)
    assert len(seen) > 300
