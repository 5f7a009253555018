"""What a job costs stays within budget: commands and round trips in Redis, calls of Python functions. Not timed."""

from collections.abc import Iterator

import pytest

from tests.perf import budget
from tests.perf.budget import Costs
from tests.perf.measure import ROWS
from tests.support.servers import running_server

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

CASES = [(row, what) for row, counts in budget.allowed().items() for what in counts]


@pytest.fixture(scope="module")
def costs() -> Iterator[Costs]:
    """Measured on a server of its own: once, if nothing is over the budget.

    A machine that stands still lets a heart beat fall into a run that has none otherwise. What a job costs is the least
    that was found.
    """
    with running_server() as server:
        found = budget.found(server.dsn)
        for _ in range(2):
            if budget.overruns(found):
                found = budget.least(found, budget.found(server.dsn))
        yield found


@pytest.mark.parametrize(("row", "what"), CASES)
def test_within_budget(costs: Costs, row: str, what: str) -> None:
    problem = budget.over(row, what, costs[row][what], budget.allowed()[row][what])
    assert not problem, problem


def test_every_row_has_a_budget() -> None:
    assert {row: set(counts) for row, counts in budget.allowed().items()} == {
        row: set(budget.HEADROOM_PERCENT) for row in ROWS
    }


def test_a_disturbed_measurement_does_not_count() -> None:
    quiet = {"noop-100": {"commands": 4.0, "round_trips": 0.02}}
    disturbed = {"noop-100": {"commands": 4.0, "round_trips": 0.5}}
    assert budget.least(disturbed, quiet) == budget.least(quiet, disturbed) == quiet
    assert budget.overruns(
        {row: dict.fromkeys(counts, 1000000000.0) for row, counts in budget.allowed().items()}
    ) == [budget.over(row, what, 1e9, budget.allowed()[row][what]) for row, what in CASES]


def test_too_much_is_named() -> None:
    assert budget.over("noop-100", "commands", 6.0, 5.0).startswith(
        "noop-100: commands a job: 6.000, budget 5.000"
    )
    assert not budget.over("noop-100", "commands", 5.0, 5.0)
