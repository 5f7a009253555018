"""Events and reports are values."""

from supervisor.pool.events import Report


def test_reports_are_values() -> None:
    assert Report() == Report()
