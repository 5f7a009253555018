"""Counts of jobs and their sum."""

from supervisor.pool.job_counts import JobCounts


def test_counts_add_up_and_the_length_of_the_queue_stays() -> None:
    one, other = JobCounts(1, 2, 3, 4, 5), JobCounts(10, 20, 30, 40, 50)
    assert one + other == JobCounts(11, 22, 33, 44, 5)
    assert one.ended == 6


def test_a_report_shows_them_by_name() -> None:
    assert JobCounts(1, 2, 3, 4, 5).as_json() == {"complete": 1, "failed": 2, "retried": 3, "ongoing": 4}
