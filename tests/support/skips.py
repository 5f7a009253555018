"""The last lines of a run: what was skipped, and why. Who has no root sees here what nobody looked at."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

PREFIX = "Skipped: "


def reasons(reports: Iterable[Any]) -> Counter[str]:
    """Reason -> how many tests were skipped for it."""
    texts = (
        report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in reports
    )
    return Counter(text.removeprefix(PREFIX) for text in texts)


def lines(found: Counter[str]) -> Iterator[str]:
    """What is said: the most frequent reason first."""
    if not found:
        return
    total = found.total()
    yield f"not run here: {total} {'test' if total == 1 else 'tests'}"
    yield from (f"  {count:3}  {reason}" for reason, count in found.most_common())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Behind all that pytest itself has to say."""
    yield
    for line in lines(reasons(terminalreporter.stats.get("skipped", ()))):
        terminalreporter.write_line(line)
