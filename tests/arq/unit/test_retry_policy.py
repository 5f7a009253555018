"""Is a job tried again that has raised, and when: histories of one try each, and options that can't be."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import arq
from arq import Backoff, Retry, Snooze, func
from arq._endings import Again
from arq._worker import job_log, outcomes
from arq._worker.attempt import Attempt, Cause, Ended, Outcome, Verdict
from arq.cron import cron
from arq.worker import RetryJob, Worker
from tests.arq.unit.attempts import NOW_MS, Defaults, claimed, payload, work

REFUSED = ConnectionRefusedError("refused")
TIMED_OUT = Ended(raised=TimeoutError(), cause=Cause.TIMEOUT)


def five_s(tries: int, exc: BaseException) -> float:
    return 5


def attempt(job_try: int = 1, interrupted: int = 0, **options: Any) -> Attempt:
    """A try of a job whose function has these options; it was enqueued half a second ago."""
    given = {"backoff": five_s, **options}
    functions = {"work": func(work, name="work", **given)}
    return outcomes.read(claimed(payload(), job_try=job_try, interrupted=interrupted), functions, None)


def outcome_of(raised: BaseException | Ended, retry_jobs: bool = True, **options: Any) -> Outcome:
    ended = raised if isinstance(raised, Ended) else Ended(raised=raised)
    return decided(attempt(**options), ended, retry_jobs=retry_jobs)


def decided(read: Attempt, ended: Ended, *, retry_jobs: bool = True, **of_worker: Any) -> Outcome:
    defaults = Defaults(5, 3600, False, retry_options=Worker([work], **of_worker).retry_options)
    outcome = outcomes.decide(read, ended, defaults, retry_jobs=retry_jobs, now_ms=NOW_MS)
    if outcome.verdict is Verdict.RETRY:
        again = outcomes.ending(outcome, defaults, "queue", lambda: 60, None)
        assert isinstance(again, Again)
        assert (again.defer_ms, again.snoozed) == (outcome.defer_ms, outcome.snoozed)
    return outcome


def is_tried_again(raised: BaseException | Ended, **options: Any) -> bool:
    outcome = outcome_of(raised, **options)
    assert outcome.verdict in (Verdict.RETRY, Verdict.FAILED)
    assert outcome.value is (raised.raised if isinstance(raised, Ended) else raised)
    return outcome.verdict is Verdict.RETRY


# ---------------------------------------------------------------- which exceptions


def test_what_is_named_is_tried_again_with_its_subclasses() -> None:
    assert is_tried_again(REFUSED, retry_on=(ConnectionError,))
    assert is_tried_again(REFUSED, retry_on=[ValueError, OSError])
    assert is_tried_again(REFUSED, retry_on=ConnectionError)
    assert not is_tried_again(ValueError(), retry_on=(ConnectionError,))
    assert not is_tried_again(OSError(), retry_on={ConnectionError})


def test_to_give_up_wins() -> None:
    both: dict[str, Any] = {"retry_on": OSError, "give_up_on": ConnectionRefusedError}
    assert is_tried_again(ConnectionResetError(), **both)
    assert not is_tried_again(REFUSED, **both)
    assert not is_tried_again(REFUSED, retry_on=ConnectionRefusedError, give_up_on=(OSError,))
    assert not is_tried_again(TIMED_OUT, retry_on_timeout=True, give_up_on=(TimeoutError,))


def test_whoever_speaks_of_tries_wants_some() -> None:
    """Without `retry_on` every Exception counts; but not where only the time limit is spoken of."""
    assert is_tried_again(ValueError())
    assert is_tried_again(TIMED_OUT)
    assert is_tried_again(ValueError(), backoff=None, retry_for=60)
    assert is_tried_again(ValueError(), backoff=None, give_up_on=TypeError)
    assert not is_tried_again(TypeError(), backoff=None, give_up_on=TypeError)
    assert not is_tried_again(ValueError(), retry_on_timeout=True)
    assert not is_tried_again(ValueError(), retry_on=())
    assert not is_tried_again(ValueError(), backoff=None, retry_on_timeout=False)


def test_a_run_that_took_too_long() -> None:
    assert is_tried_again(TIMED_OUT, retry_on_timeout=True)
    assert is_tried_again(TIMED_OUT, retry_on=(TimeoutError,))
    assert is_tried_again(TIMED_OUT, retry_on=(ConnectionError,), retry_on_timeout=True)
    assert not is_tried_again(TIMED_OUT, retry_on=(Exception,), retry_on_timeout=False)
    assert not is_tried_again(TIMED_OUT, retry_on=(ConnectionError,))
    # one that it raised itself is an exception like others
    assert is_tried_again(TimeoutError(), retry_on=(Exception,), retry_on_timeout=False)
    assert not is_tried_again(TimeoutError(), retry_on_timeout=True)


def test_all_parts_of_a_group_count() -> None:
    inner = ExceptionGroup("inner", [REFUSED])
    for raised, expected in (
        (ExceptionGroup("all", [inner, ConnectionResetError()]), True),
        (ExceptionGroup("mixed", [inner, ValueError()]), False),
        (ExceptionGroup("with a wish", [inner, Retry(1), RetryJob()]), True),
        (ExceptionGroup("wishes and an error", [Retry(1), ValueError()]), False),
    ):
        assert is_tried_again(raised, retry_on=(ConnectionError,)) is expected
    assert is_tried_again(ExceptionGroup("any", [ValueError()]), retry_on=(Exception,))
    group = ExceptionGroup("deep", [inner, ValueError()])
    assert not is_tried_again(group, retry_on=(Exception,), give_up_on=(ConnectionError,))
    assert not is_tried_again(group, retry_on=(Exception,), give_up_on=(ExceptionGroup,))


def test_the_longest_wait_of_a_group_counts() -> None:
    def delay_ms(*wishes: Retry) -> int | None:
        return outcome_of(ExceptionGroup("all", [REFUSED, *wishes]), retry_on=(OSError,)).defer_ms

    assert [delay_ms(Retry(1)), delay_ms(Retry(60), Retry()), delay_ms()] == [5000, 60_000, 5000]


# ---------------------------------------------------------------- what is as ever


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (Ended("value"), Verdict.COMPLETE),
        (Ended("value", cause=Cause.TIMEOUT), Verdict.COMPLETE),
        (Ended(raised=asyncio.CancelledError(), cause=Cause.ABORT), Verdict.ABORTED),
        (Ended(raised=asyncio.CancelledError(), cause=Cause.SHUTDOWN), Verdict.CANCELLED),
        (Ended(raised=asyncio.CancelledError()), Verdict.CANCELLED),
        (Ended(raised=RetryJob()), Verdict.CANCELLED),
        (Ended(raised=REFUSED, cause=Cause.ABORT), Verdict.FAILED),
    ],
)
def test_cancelled_aborted_and_stopped_jobs_are_as_ever(ended: Ended, verdict: Verdict) -> None:
    """Also an aborted job that makes an error of its own of it."""
    everything: dict[str, Any] = {"retry_on": BaseException, "retry_on_timeout": True}
    outcome = outcome_of(ended, **everything)
    assert (outcome.verdict, outcome.defer_ms) == (verdict, None)
    assert outcome.interrupted is (ended.cause is Cause.SHUTDOWN)


def test_a_job_that_asks_itself_is_asked_nothing() -> None:
    outcome = outcome_of(Retry(2), job_try=5, give_up_on=(Retry,), retry_for=0)
    assert (outcome.verdict, outcome.defer_ms, outcome.snoozed) == (Verdict.RETRY, 2000, False)


def test_a_worker_that_retries_nothing() -> None:
    for raised in (REFUSED, Snooze(1), Retry(1)):
        assert outcome_of(raised, retry_jobs=False, retry_on=OSError).verdict is Verdict.FAILED


# ---------------------------------------------------------------- how often, how long


def test_the_last_try_fails_with_its_own_error() -> None:
    for options, last in (({}, 5), ({"max_tries": 2}, 2), ({"max_tries": 1}, 1)):
        for job_try in range(1, last + 2):
            assert is_tried_again(REFUSED, job_try=job_try, **options) is (job_try < last)
    assert is_tried_again(REFUSED, job_try=6, interrupted=2)
    assert not is_tried_again(REFUSED, job_try=7, interrupted=2)
    assert is_tried_again(REFUSED, job_try=1000, max_tries=math.inf)


def test_no_try_begins_after_the_time_is_over() -> None:
    """It was enqueued half a second ago, and would be tried again in five seconds."""
    for retry_for, expected in ((5.5, True), (timedelta(seconds=5.4), False), (0, False), (math.inf, True)):
        assert is_tried_again(REFUSED, retry_for=retry_for) is expected
    assert is_tried_again(REFUSED, retry_for=timedelta.max)
    assert not is_tried_again(REFUSED, retry_for=math.inf, job_try=5), "tries are bounded as well"


def test_the_function_is_told_number_and_exception() -> None:
    asked: list[Any] = []

    def backoff(*args: Any) -> timedelta:
        asked.append(args)
        return timedelta(seconds=1.5)

    assert outcome_of(REFUSED, backoff=backoff, job_try=4, interrupted=1).defer_ms == 1500
    assert asked == [(3, REFUSED)]
    assert not is_tried_again(ValueError(), retry_on=OSError, backoff=backoff)
    assert not is_tried_again(REFUSED, backoff=backoff, job_try=5)
    assert len(asked) == 1, "nobody is asked when it has failed for good"


async def later(*args: Any) -> float:
    return 1


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError


NONSENSE: list[Any] = [None, "5", -1, -0.001, math.nan, math.inf, 1e300, True, [1], Odd(), timedelta(-1)]


@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_said_in_one_line(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    outcome = outcome_of(REFUSED, backoff=lambda n, exc: answer)
    assert (outcome.verdict, outcome.value) == (Verdict.FAILED, REFUSED)
    job_log.ended(outcome, True)
    line, failed = caplog.messages
    assert "id:work is not tried again, its backoff returned " in line
    assert "\n" not in line
    assert "id:work failed, ConnectionRefusedError: refused" in failed


def test_a_coroutine_is_no_time() -> None:
    outcome = outcome_of(REFUSED, backoff=lambda n, exc: later())
    assert outcome.verdict is Verdict.FAILED


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), asyncio.CancelledError(), Retry(1)])
def test_a_function_that_raises_is_said_in_one_line(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def backoff(tries: int, exc: BaseException) -> float:
        raise error

    outcome = outcome_of(REFUSED, backoff=backoff)
    assert (outcome.verdict, outcome.value) == (Verdict.FAILED, REFUSED)
    job_log.ended(outcome, True)
    assert f"is not tried again, its backoff raised {error!r} ({__file__}, line " in caplog.messages[0]


def test_classes_that_can_not_be_compared_fail_the_job() -> None:
    class Broken(type):
        def __instancecheck__(cls, one: object) -> bool:
            raise RuntimeError("no")

    class Strange(Exception, metaclass=Broken): ...

    outcome = outcome_of(REFUSED, retry_on=(Strange,))
    assert (outcome.verdict, outcome.value) == (Verdict.FAILED, REFUSED)
    assert "RuntimeError('no')" in outcome.note


# ---------------------------------------------------------------- Backoff


@given(st.floats(0, 1e4), st.floats(1, 50), st.floats(1e4, 1e6), st.floats(0, 1), st.integers(1, 2**53))
def test_pauses_are_bounded(first: float, factor: float, most: float, jitter: float, tries: int) -> None:
    random.seed(tries)
    backoff = Backoff(first, factor, most, jitter)
    longest_s = backoff.longest_s(tries)
    assert min(first, most) <= longest_s <= most
    assert backoff.longest_s(tries + 1) >= longest_s
    assert longest_s * (1 - jitter) * 0.999 <= backoff(tries, REFUSED) <= longest_s


def test_pauses_grow_and_differ() -> None:
    assert [Backoff(1, 2, 10).longest_s(tries) for tries in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert [Backoff(3, factor=1).longest_s(tries) for tries in (1, 2, 99)] == [3, 3, 3]
    assert [Backoff(1000).longest_s(tries) for tries in range(1, 4)] == [1000, 2000, 3600]
    assert [Backoff(timedelta(days=2)).longest_s(tries) for tries in (1, 9)] == [172_800, 172_800]
    steady = Backoff(timedelta(minutes=1), most=timedelta(hours=1), jitter=0)
    assert [steady(1), steady(2), steady(99)] == [60, 120, 3600]
    random.seed(7)
    some = [Backoff(100)(1) for _ in range(200)]
    assert 75 <= min(some) < 80
    assert 95 < max(some) <= 100
    random.seed(7)
    assert [Backoff(100)(1) for _ in range(200)] == some


def test_a_policy_without_a_backoff_has_one() -> None:
    defer_ms = outcome_of(REFUSED, retry_on=OSError, backoff=None, job_try=3).defer_ms
    assert defer_ms is not None
    assert 3000 <= defer_ms <= 4000


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"first": -1}, "first of Backoff must be a time in seconds from 0 on, not -1"),
        ({"first": "1"}, "first of Backoff must be a time in seconds from 0 on, not '1'"),
        ({"first": math.nan}, "first of Backoff must be a time in seconds from 0 on, not nan"),
        ({"most": math.inf}, "most of Backoff must be a time in seconds from 0 on, not inf"),
        ({"most": "1h"}, "most of Backoff must be a time in seconds from 0 on, not '1h'"),
        ({"first": 5, "most": 4}, "most of Backoff must not be shorter than first, 5, it is 4"),
        ({"factor": 0.5}, "factor of Backoff must be a number from 1 on, not 0.5"),
        ({"factor": math.nan}, "factor of Backoff must be a number from 1 on, not nan"),
        ({"factor": math.inf}, "factor of Backoff must be a number from 1 on, not inf"),
        ({"factor": "2"}, "factor of Backoff must be a number from 1 on, not '2'"),
        ({"jitter": 1.1}, "jitter of Backoff must be a number from 0 to 1, not 1.1"),
        ({"jitter": True}, "jitter of Backoff must be a number from 0 to 1, not True"),
    ],
)
def test_backoffs_that_can_not_be(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Backoff(**options)


# ---------------------------------------------------------------- Snooze


def test_a_snooze_does_not_count() -> None:
    outcome = outcome_of(Snooze(60), job_try=5, retry_for=0)
    assert (outcome.verdict, outcome.defer_ms, outcome.snoozed) == (Verdict.RETRY, 60_000, True)
    assert outcome_of(Snooze(timedelta(days=2))).defer_ms == 172_800_000


def test_a_group_snoozes_if_all_of_it_does() -> None:
    for others, snoozed in (([Snooze(1)], True), ([Retry(1)], False), ([RetryJob()], False)):
        outcome = outcome_of(ExceptionGroup("", [Snooze(9), *others]))
        assert (outcome.verdict, outcome.defer_ms, outcome.snoozed) == (Verdict.RETRY, 9000, snoozed)
    outcome = outcome_of(ExceptionGroup("", [Snooze(1), Retry(9)]))
    assert (outcome.defer_ms, outcome.snoozed) == (9000, False)


@pytest.mark.parametrize("seconds", [-1, "5", None, math.nan, math.inf, timedelta(-1)])
def test_a_snooze_takes_a_time(seconds: Any) -> None:
    with pytest.raises(ValueError, match="Snooze takes a time in seconds from 0 on, or a timedelta, not "):
        Snooze(seconds)


def test_a_snooze_is_a_retry_for_whoever_catches_one() -> None:
    assert isinstance(Snooze(2), Retry)
    assert (str(Snooze(2)), Snooze(2).defer_score) == ("<Snooze 2.00s>", 2000)


# ---------------------------------------------------------------- of the worker, and of schedules


def test_a_function_s_own_options_win_one_by_one() -> None:
    def defer_ms(own: dict[str, Any], **of_worker: Any) -> int | None:
        return decided(attempt(**{"backoff": None} | own), Ended(raised=REFUSED), **of_worker).defer_ms

    common: dict[str, Any] = {"retry_on": OSError, "backoff": lambda n, exc: 7}
    assert defer_ms({}) is None
    assert defer_ms({}, **common) == 7000
    assert defer_ms({"backoff": five_s}, **common) == 5000
    assert defer_ms({"retry_on": ()}, **common) is None
    assert defer_ms({"retry_on": ValueError}, **common) is None
    assert defer_ms({"give_up_on": ConnectionError}, **common) is None
    assert defer_ms({"retry_for": math.inf}, **common, retry_for=1) == 7000
    assert defer_ms({}, **common, retry_for=1) is None
    # for functions that say nothing these are only defaults
    assert defer_ms({}, backoff=five_s, retry_for=60, give_up_on=ValueError) is None


def test_a_schedule_with_options_of_tries_is_tried_as_often_as_other_jobs() -> None:
    assert cron(work).max_tries == 1
    assert cron(work, retry_on=OSError).max_tries is None
    assert cron(work, retry_on=OSError, max_tries=3).max_tries == 3
    assert cron(work, retry_on_timeout=False).max_tries is None
    assert "retry_options" not in repr(cron(work))
    assert "retry_options=retry_on=<class 'OSError'>" in repr(cron(work, retry_on=OSError))
    assert repr(func(work)) == repr(func(work, retry_on=OSError))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"retry_on": "ConnectionError"}, "retry_on{of} must be classes of exceptions, as "),
        ({"retry_on": ValueError("x")}, "retry_on{of} must be classes of exceptions, as "),
        ({"retry_on": [OSError, int]}, "retry_on{of} must be classes of exceptions, as "),
        ({"retry_on": iter([OSError])}, "retry_on{of} must be classes of exceptions, as "),
        ({"give_up_on": 5}, "give_up_on{of} must be classes of exceptions, as "),
        ({"give_up_on": asyncio.CancelledError}, "give_up_on{of} can't have CancelledError: whether "),
        ({"retry_on": (asyncio.CancelledError,)}, "retry_on{of} can't have CancelledError: whether "),
        ({"retry_on_timeout": "yes"}, "retry_on_timeout{of} must be True or False, not 'yes'"),
        ({"retry_on_timeout": 1}, "retry_on_timeout{of} must be True or False, not 1"),
        ({"backoff": 5}, "backoff{of} must be a Backoff, or a plain function that "),
        ({"backoff": Backoff}, "backoff{of} must be a Backoff, or a plain function that "),
        ({"backoff": later}, "backoff{of} must be a Backoff, or a plain function that "),
        ({"retry_for": "1h"}, "retry_for{of} must be a time in seconds from 0 on, or math.inf "),
        ({"retry_for": -1}, "retry_for{of} must be a time in seconds from 0 on, or math.inf "),
        ({"retry_for": math.nan}, "retry_for{of} must be a time in seconds from 0 on, or math.inf "),
        ({"retry_for": timedelta(-1)}, "retry_for{of} must be a time in seconds from 0 on, or math.inf "),
    ],
)
def test_what_can_not_be_is_refused_by_name_at_the_start(options: dict[str, Any], complaint: str) -> None:
    makers: dict[str, Callable[[], Worker]] = {
        "": lambda: Worker([work], **options),
        " of send": lambda: Worker([func(work, name="send", **options)]),
        " of tick": lambda: Worker(cron_jobs=[cron(work, name="tick", **options)]),
    }
    for of, make in makers.items():
        with pytest.raises((TypeError, ValueError)) as refused:
            make()
        assert str(refused.value).startswith(complaint.format(of=of))
        assert "\n" not in str(refused.value)


def test_one_function_with_two_policies_is_refused() -> None:
    Worker([func(work, retry_on=OSError), func(work, retry_on=OSError)])
    with pytest.raises(ValueError, match=r"is there twice, with options of tries=retry_on=<class 'OSError'>"):
        Worker([func(work, retry_on=OSError), func(work, retry_on=ValueError)])


def test_what_is_exported() -> None:
    assert {"Backoff", "Snooze"} <= set(arq.__all__)
    for name, value in {"Backoff": Backoff, "Snooze": Snooze}.items():
        assert getattr(arq.worker, name) is value
        assert value.__module__ == "arq"
    assert pickle.loads(pickle.dumps(Snooze(2))).defer_score == 2000


# ---------------------------------------------------------------- the log


@pytest.mark.parametrize(
    ("raised", "options", "line"),
    [
        (REFUSED, {}, "retrying job in 5.00s: try 1 of 5, ConnectionRefusedError: refused"),
        (REFUSED, {"max_tries": math.inf}, "retrying job in 5.00s: try 1, ConnectionRefusedError: refused"),
        (TIMED_OUT, {"job_try": 2}, "retrying job in 5.00s: try 2 of 5 took too long, TimeoutError"),
        (ValueError("a\nb"), {}, r"retrying job in 5.00s: try 1 of 5, ValueError: a\nb"),
        (Retry(2), {}, "retrying job in 2.00s"),
        (Retry(), {}, "retrying job in 0.00s"),
        (Snooze(2), {}, "retrying job in 2.00s: snoozed, this try does not count"),
    ],
)
def test_the_line_says_when_and_why(
    raised: Any, options: dict[str, Any], line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "arq.worker")
    job_log.ended(outcome_of(raised, **options), True)
    assert [message.split(" ↻ ")[1] for message in caplog.messages] == [f"id:work {line}"]


def test_a_long_reason_is_cut_and_where_it_was_raised_is_for_those_who_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "arq.worker")
    job_log.ended(outcome_of(ValueError("x" * 10_000)), True)
    assert max(map(len, caplog.messages)) < 400
    assert [record.levelname for record in caplog.records if record.exc_info] == ["DEBUG"]
