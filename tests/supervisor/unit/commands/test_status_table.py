"""A status as text for people."""

from supervisor.commands.status_table import span


def test_durations_for_people() -> None:
    assert [span(seconds) for seconds in (5, 300, 7380, 352800)] == ["5s", "5m", "2h03m", "4d2h"]
