"""Counts of jobs and their sum."""

from supervisor.ipc.roster import Entry, merge_by_key
from supervisor.pool.job_counts import JobCounts


def test_counts_add_up_and_the_length_of_the_queue_stays() -> None:
    one, other = JobCounts(1, 2, 3, 4, 5), JobCounts(10, 20, 30, 40, 50)
    assert one + other == JobCounts(11, 22, 33, 44, 5)
    assert one.ended == 6


def test_a_report_shows_them_by_name() -> None:
    assert JobCounts(1, 2, 3, 4, 5).as_json() == {"complete": 1, "failed": 2, "retried": 3, "ongoing": 4}


def test_counts_add_up_and_the_queue_does_not() -> None:
    old = Entry("a", 0, "r", "k", JobCounts(1, 1, 1, 1, 50), beat_age_s=2.0)
    new = Entry("b", 1, "r", "k", JobCounts(10, 0, 0, 2, 7), beat_age_s=0.1)
    other = Entry("c", 2, "r", "other", JobCounts(queued=3))
    sums = merge_by_key([new, old, other], JobCounts(100, 0, 0, 0, 999))
    assert sums["k"] == JobCounts(111, 1, 1, 3, 7)
    assert sums["other"].queued == 3
