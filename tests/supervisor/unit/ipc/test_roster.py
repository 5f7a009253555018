"""The roster on its way to the steward."""

from supervisor.ipc.frames import Decoder
from supervisor.ipc.messages import RosterMessage
from supervisor.ipc.roster import Entry, Roster
from supervisor.pool.job_counts import JobCounts


def test_a_roster_survives_the_pipe() -> None:
    entry = Entry("p:h:0:ab", 0, "r", "q:health-check", JobCounts(1, 2, 3, 4, 5), 0.25)
    roster = Roster((entry,), (entry,), JobCounts(9, 8, 7, 0, 0))
    (frame,) = Decoder().feed(RosterMessage(roster).encode())
    assert RosterMessage.read(frame).roster == roster
