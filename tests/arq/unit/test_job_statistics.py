"""Counts and histograms of jobs, without Redis."""

from __future__ import annotations

import pytest

from arq._job_statistics import (
    BUCKETS,
    DONE,
    FAILED,
    MOST_NAMES,
    OTHERS,
    RETRIED,
    Histogram,
    JobStatistics,
    by_function,
    function_stats,
    point,
)


@pytest.mark.parametrize(
    ("ms", "bucket"), [(0, 0), (7, 0), (8, 1), (15, 1), (16, 2), (131_071, 14), (131_072, 15), (10**12, 15)]
)
def test_each_bucket_is_twice_as_long_as_the_one_before(ms: int, bucket: int) -> None:
    statistics = JobStatistics()
    statistics.noted.append(("f", DONE, ms, ms))
    taken = statistics.take()
    assert (taken[f"f|run:{bucket}"], taken[f"f|wait:{bucket}"]) == (1, 1)


def test_what_is_noted_is_added_up_and_taken_once() -> None:
    statistics = JobStatistics()
    statistics.noted += [
        ("f", DONE, 10, 3),
        ("f", DONE, 12, -5),
        ("f", FAILED, None, None),
        ("g", RETRIED, 0, None),
    ]
    assert statistics.take() == {
        "f|done": 2,
        "f|failed": 1,
        "f|run:1": 2,
        "f|run_ms": 22,
        "f|wait:0": 2,
        "f|wait_ms": 3,
        "g|retried": 1,
        "g|run:0": 1,
    }
    assert statistics.take() == {}


def test_what_could_not_be_written_comes_with_the_next() -> None:
    statistics = JobStatistics()
    statistics.noted.append(("f", DONE, None, None))
    taken = statistics.take()
    statistics.noted.append(("f", DONE, None, None))
    statistics.put_back(taken)
    assert statistics.take() == {"f|done": 2}


def test_the_number_of_names_is_bounded_and_one_that_was_counted_goes_on_to_be() -> None:
    statistics = JobStatistics()
    names = [f"f{number}" for number in range(MOST_NAMES + 50)]
    for _ in range(2):
        statistics.noted += [(name, DONE, None, None) for name in names]
        taken = statistics.take()
        assert len(taken) == MOST_NAMES + 1
        assert taken[f"{OTHERS}|done"] == 50


def test_names_may_be_anything() -> None:
    statistics = JobStatistics()
    statistics.noted += [("a|b:c", DONE, 1, 1), ("x" * 1000, DONE, None, None), ("\ud800", DONE, None, None)]
    taken = statistics.take()
    assert all(len(name.encode()) < 200 for name in taken)
    assert set(by_function([taken], None)) == {"a|b:c", "x" * 100, "\\ud800"}


def test_percentiles_lie_in_the_bucket_of_the_duration() -> None:
    buckets = [0] * BUCKETS
    buckets[4], buckets[9] = 94, 6
    found = Histogram(tuple(buckets), 27_400)
    assert found.count == 100
    assert found.mean_ms == 274
    p50, p95 = found.percentile(50), found.percentile(95)
    assert p50 is not None
    assert 64 <= p50 <= 128
    assert p95 is not None
    assert 2048 <= p95 <= 4096
    assert Histogram((0,) * 15 + (3,), 10**6).percentile(50) == 131_072
    empty = Histogram()
    assert (empty.percentile(50), empty.mean_ms) == (None, None)


def test_sums_are_of_all_rows_or_of_one_function() -> None:
    rows = [
        {"f|done": 2, "f|run:1": 2, "|depth": 7, "|oldest_ms": 90},
        {"f|done": 1, "g|failed": 4, "|depth": 1},
    ]
    found = by_function(rows, None)
    assert found == {"f": {"done": 3, "run:1": 2}, "g": {"failed": 4}}
    assert by_function(rows, "g") == {"g": {"failed": 4}}
    stats = function_stats("f", found["f"], 2.0)
    assert (stats.done, stats.failed, stats.retried, stats.per_minute, stats.run.count) == (3, 0, 0, 1.5, 2)
    one = point(60_000, rows[0], None)
    assert (one.start_ms, one.done, one.depth, one.oldest_ms) == (60_000, 2, 7, 90)
    other = point(60_000, rows[1], "f")
    assert (other.done, other.failed, other.depth, other.oldest_ms) == (1, 0, 1, None)
