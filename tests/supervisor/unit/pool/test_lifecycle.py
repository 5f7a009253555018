"""What is written about a child's journey is what the table does."""

from supervisor.pool import lifecycle
from supervisor.pool.events import Tick
from supervisor.pool.lifecycle import TABLE
from supervisor.pool.state import Phase
from tests.support.programs import ROOT


def drawn() -> str:
    """The table as text: a row for each phase, a column for each event."""
    events = [*(event for event in TABLE[Phase.BOOTING] if event is not Tick), Tick]
    rows = [["phase", *("deadline" if event is Tick else event.__name__ for event in events)]]
    rows += [[phase.name, *(TABLE[phase][event].__name__ for event in events)] for phase in Phase]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def test_the_table_in_the_docstring_is_the_one_that_is_used() -> None:
    assert (lifecycle.__doc__ or "").partition("\n\n")[2].rstrip() == drawn()


def test_every_phase_knows_every_event() -> None:
    assert all(set(row) == set(TABLE[Phase.BOOTING]) for row in TABLE.values())


def test_the_drawing_for_readers_has_every_phase() -> None:
    drawing = (ROOT / "docs" / "journeys.md").read_text().partition("## A child")[2].split("```")[1]
    assert not [phase.name for phase in Phase if phase.name.lower() not in drawing]
