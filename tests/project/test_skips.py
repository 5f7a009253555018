"""The end of a run says what was not run."""

from collections import Counter
from types import SimpleNamespace

from tests.support.skips import lines, reasons


def test_what_is_skipped_is_counted_by_its_reason() -> None:
    reports = [
        SimpleNamespace(longrepr=("a.py", 1, "Skipped: only root can be another user")),
        SimpleNamespace(longrepr=("b.py", 2, "Skipped: only root can be another user")),
        SimpleNamespace(longrepr="no chromium on the PATH"),
    ]
    assert list(lines(reasons(reports))) == [
        "not run here: 3 tests",
        "    2  only root can be another user",
        "    1  no chromium on the PATH",
    ]


def test_when_all_was_run_nothing_is_said() -> None:
    assert list(lines(Counter())) == []
