"""How many jobs a worker runs beside one that was in a process that died, and for how long."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq._crash_records import Crashes, read_crashes
from arq._worker.crash_suspects import LONGEST_TRIAL_S, MAKE_ROOM_S, REST_S, TRIAL_S, Suspects, few, trial_s

PLACES = 100
FIRST, SECOND, THIRD = (Crashes(level, 0, "signal 9") for level in (1, 2, 3))


@pytest.mark.parametrize(("places", "expected"), [(1, 1), (2, 1), (4, 2), (10, 3), (100, 10)])
def test_few_is_about_the_root(places: int, expected: int) -> None:
    assert few(places) == expected


def test_trials_grow_and_have_an_end() -> None:
    assert [trial_s(level) for level in (1, 2, 3, 4)] == [TRIAL_S, TRIAL_S, 4 * TRIAL_S, 16 * TRIAL_S]
    assert trial_s(9) == LONGEST_TRIAL_S


def test_a_worker_without_suspects_need_not_be_careful() -> None:
    suspects = Suspects()
    assert not suspects.is_careful
    assert suspects.places(PLACES, 0) == PLACES
    assert suspects.settle(PLACES, 0) == (10, 0, "room")
    assert suspects.next_s(0) == math.inf


def test_a_first_suspect_has_few_neighbours_and_a_second_one_none_until_its_trial_is_over() -> None:
    for crashes, places in ((FIRST, 10), (SECOND, 1), (THIRD, 1)):
        suspects = Suspects()
        suspects.begin("a", crashes, 5)
        ends_s = 5 + trial_s(crashes.level)
        assert suspects.is_careful
        assert suspects.places(PLACES, 5) == suspects.places(PLACES, ends_s - 0.1) == places
        assert suspects.next_s(5) == ends_s
        assert suspects.places(PLACES, ends_s) == PLACES
        suspects.end("a", ends_s)
        suspects.settle(PLACES, ends_s + REST_S)
        assert not suspects.is_careful


def test_first_suspects_that_do_no_harm_make_place_for_more() -> None:
    """A hundred long jobs of one process that died are not run ten at a time."""
    suspects, now_s, started = Suspects(), 0.0, 0
    while started < 100:
        free = suspects.places(PLACES, now_s) - started
        caution = suspects.settle(PLACES, now_s)
        for _ in range(min(free, caution.few - (started - caution.uncounted), 100 - started)):
            suspects.begin(str(started), FIRST, now_s)
            started += 1
        now_s += TRIAL_S
    assert now_s <= 10 * TRIAL_S


def test_after_a_whole_trial_alone_other_jobs_have_their_turn() -> None:
    suspects = Suspects()
    suspects.begin("a", SECOND, 0)
    assert suspects.settle(PLACES, TRIAL_S - 1).without_room == "room"
    assert suspects.settle(PLACES, TRIAL_S) == (10, 0, "leave")
    suspects.end("a", TRIAL_S + 1)
    assert suspects.settle(PLACES, TRIAL_S + 1).without_room == "leave"
    assert suspects.is_careful
    assert suspects.settle(PLACES, TRIAL_S + REST_S).without_room == "room"
    assert not suspects.is_careful


def test_after_a_short_trial_the_next_one_may_come() -> None:
    suspects = Suspects()
    suspects.begin("a", SECOND, 0)
    suspects.end("a", 2)
    assert suspects.settle(PLACES, 2) == (10, 0, "room")
    assert not suspects.is_careful


def test_who_makes_room_asks_when_it_is_empty_and_once_a_second_and_gives_in_at_last() -> None:
    suspects = Suspects()
    suspects.await_("a", 100)
    assert suspects.is_careful
    assert suspects.places(PLACES, 100) == 0
    assert suspects.asks(PLACES, 5, 100.5) is None
    assert suspects.asks(PLACES, 5, 101) == (10, 0, "room")
    assert suspects.asks(PLACES, 0, 100.1) == (10, 0, "room")
    suspects.await_("a", 101)  # not yet
    assert suspects.next_s(101) == 102
    assert suspects.asks(PLACES, 5, 101.5) is None
    assert suspects.asks(PLACES, 5, 100 + MAKE_ROOM_S) == (10, 0, "beside")
    suspects.await_("", 130)
    assert suspects.places(PLACES, 130) == PLACES


def test_jobs_that_have_stood_their_trial_are_not_waited_for() -> None:
    suspects = Suspects()
    suspects.begin("long", FIRST, 0)
    suspects.await_("a", TRIAL_S + 1)
    assert suspects.asks(PLACES, 1, TRIAL_S + 1.1) == (10, 1, "room")


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end", "await", "stop waiting", "settle"]),
            st.sampled_from("abc"),
            st.integers(1, 9),
            st.floats(0, 100),
        )
    )
)
def test_whatever_happens_a_worker_comes_back_to_all_its_places(
    steps: list[tuple[str, str, int, float]],
) -> None:
    suspects, now_s = Suspects(), 0.0
    for what, job_id, level, pause_s in steps:
        now_s += pause_s
        match what:
            case "begin":
                suspects.begin(job_id, Crashes(level, 0, "x"), now_s)
            case "end":
                suspects.end(job_id, now_s)
            case "await":
                suspects.await_(job_id, now_s)
            case "stop waiting":
                suspects.await_("", now_s)
            case _:
                suspects.settle(PLACES, now_s)
        assert 0 <= suspects.places(PLACES, now_s) <= PLACES
        assert suspects.awaited or suspects.next_s(now_s) > now_s
    for job_id in "abc":
        suspects.end(job_id, now_s)
    suspects.await_("", now_s)
    assert suspects.places(PLACES, now_s) == PLACES
    suspects.settle(PLACES, now_s + LONGEST_TRIAL_S + REST_S)
    assert not suspects.is_careful


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        (b"4 1 signal 9", Crashes(2, 1, "signal 9")),
        (b"3 0 ", Crashes(1, 0, "")),
        (b"1 0 x", None),
        (b"", None),
        (b"x y z", None),
        ("٢ 1 x".encode(), Crashes(1, 1, "x")),
        (b"\xff\xfe", None),
    ],
)
def test_a_note_that_is_none_is_nothing(note: bytes, expected: Crashes | None) -> None:
    assert read_crashes(note) == expected
