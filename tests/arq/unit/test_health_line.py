"""The health line, both ways."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq._health_line import Tally, format_line, parse_line

counts = st.integers(0, 10**12)


def test_the_line_is_arqs() -> None:
    line = format_line(Tally(1, 2, 3, 4, 5), datetime(2026, 3, 1, 17, 41, 22))
    assert line == "Mar-01 17:41:22 j_complete=1 j_failed=2 j_retried=3 j_ongoing=4 queued=5"


@given(st.builds(Tally, counts, counts, counts, counts, counts), st.datetimes())
def test_what_was_written_is_read(tally: Tally, now: datetime) -> None:
    line = format_line(tally, now)
    assert parse_line(line) == parse_line(line.encode()) == tally


@pytest.mark.parametrize("text", ["", "j_complete=1", "Mar-01 17:41:22 j_complete=x j_failed=0", b"\x01"])
def test_what_is_no_health_line_is_named(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="not a health line"):
        parse_line(text)
