"""The roster on its way to the steward."""

from supervisor.ipc.messages import Decoder
from supervisor.ipc.roster import Entry, Roster, read_roster, write_roster
from supervisor.pool.job_counts import JobCounts


def test_a_roster_survives_the_pipe() -> None:
    entry = Entry("p:h:0:ab", 0, "r", "q:health-check", JobCounts(1, 2, 3, 4, 5), 0.25)
    roster = Roster((entry,), (entry,), JobCounts(9, 8, 7, 0, 0))
    (message,) = Decoder().feed(write_roster(roster))
    assert read_roster(message) == roster
