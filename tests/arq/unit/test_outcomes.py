"""May a job run, and what does its ending mean: histories of one attempt each."""

from __future__ import annotations

import asyncio
import json
import pickle
from datetime import timedelta
from typing import Any

import pytest

from arq._crash_records import Crashes
from arq._endings import Again, Done, Ending
from arq._errors import DeserializationError, JobExecutionFailed, Retry, RetryJob
from arq._worker import outcomes
from arq._worker.attempt import Attempt, Cause, Ended, Outcome, Verdict
from arq.jobs import deserialize_result
from tests.arq.unit.attempts import DEFAULTS, FUNCTIONS, NOW_MS, Defaults, attempt, claimed, payload

# ---------------------------------------------------------------- read


def test_a_good_payload() -> None:
    read = attempt()
    assert (read.function_name, read.args, read.kwargs, read.enqueue_ms) == (
        "work",
        (1, 2),
        {"k": 3},
        NOW_MS - 500,
    )
    assert read.problem is None
    assert read.function is FUNCTIONS["work"]
    assert read.ref == "id:work"


def test_a_cron_job_is_called_by_its_name() -> None:
    assert attempt("tick").ref == "tick"


def test_no_payload_means_the_job_expired() -> None:
    read = outcomes.read(claimed(None), FUNCTIONS, None)
    assert read.problem == JobExecutionFailed("job expired")
    assert read.function_name == "<unknown>"


ODD = [
    b"not a pickle",
    b"",
    pickle.dumps({"f": "work"}),
    pickle.dumps(["t", "f", "a", "k", "et"]),
    pickle.dumps({"t": "three", "f": "work", "a": (), "k": {}, "et": 1}),
    pickle.dumps({"t": 10**5000, "f": "work", "a": (), "k": {}, "et": 1}),
    pickle.dumps({"t": None, "f": [], "a": (), "k": {}, "et": 1}),
    pickle.dumps({"t": None, "f": None, "a": (), "k": {}, "et": 1}),
    pickle.dumps({"t": None, "f": "work", "a": None, "k": {}, "et": 1}),
    pickle.dumps({"t": None, "f": "work", "a": (), "k": None, "et": 1}),
    pickle.dumps({"t": None, "f": "work", "a": (), "k": {}, "et": "yesterday"}),
    pickle.dumps({"t": None, "f": "work", "a": (), "k": {}, "et": None}),
    pickle.dumps({"t": None, "f": "work", "a": (), "k": {}, "et": 10**30}),
]


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
def test_no_payload_however_odd_gets_past_read(data: bytes) -> None:
    """Whatever stands there, one attempt ends it: nothing may be raised here, or the job would come back for ever."""
    read = outcomes.read(claimed(data), FUNCTIONS, None)
    outcome = outcomes.refuse(read, DEFAULTS, NOW_MS)
    if outcome is None:  # harmless: the context and the arguments can be made
        assert read.context({})["job_id"] == "id"
        assert str(read.job_try)  # Python writes no number of more than 4300 digits
        return
    assert outcome.verdict is Verdict.FAILED
    outcomes.ending(outcome, DEFAULTS, "queue", lambda: 60, None)


def test_a_deserializer_of_ones_own() -> None:
    data = json.dumps({"t": 1, "f": "work", "a": [1], "k": {}, "et": 5}).encode()
    assert outcomes.read(claimed(data), FUNCTIONS, json.loads).args == [1]


def test_the_try_asked_for_counts_if_it_is_higher() -> None:
    assert attempt(asked_try=3).job_try == 3
    assert attempt(asked_try=3, job_try=4).job_try == 4
    assert attempt(asked_try=0, job_try=2).job_try == 2


def test_the_context_is_new_for_each_run() -> None:
    shared = {"redis": object(), "job_id": "the worker's own"}
    context = attempt().context(shared)
    assert context["redis"] is shared["redis"]
    assert (context["job_id"], context["job_try"], context["score"]) == ("id", 1, NOW_MS - 100)
    assert context["enqueue_time"].timestamp() * 1000 == NOW_MS - 500
    assert context["enqueue_time"].utcoffset() == timedelta(0)
    assert shared["job_id"] == "the worker's own"


# ---------------------------------------------------------------- refuse


def refused(read: Attempt) -> Outcome:
    outcome = outcomes.refuse(read, DEFAULTS, NOW_MS)
    assert outcome is not None
    assert not outcome.started
    assert outcome.attempt.start_ms == outcome.finish_ms == NOW_MS
    return outcome


def test_a_job_may_run() -> None:
    assert outcomes.refuse(attempt(), DEFAULTS, NOW_MS) is None


def test_an_unreadable_job_is_failed() -> None:
    outcome = refused(outcomes.read(claimed(b"?"), FUNCTIONS, None))
    assert isinstance(outcome.value, DeserializationError)
    assert str(outcome.value) == "unable to deserialize job"


def test_why_a_job_is_unreadable_is_said() -> None:
    def refuse(data: bytes) -> dict[str, Any]:
        raise ValueError("wrong signature")

    cut_off = outcomes.read(claimed(payload()[:-9]), FUNCTIONS, None)
    assert str(cut_off.problem).startswith("unable to deserialize job: ")
    for data in (b"{}", payload()):
        read = outcomes.read(claimed(data), FUNCTIONS, refuse)
        assert str(read.problem) == "unable to deserialize job: ValueError: wrong signature"
        assert read.unread
        assert not hasattr(read.problem, "__notes__")
        assert read.function_name == ("work" if data == payload() else "<unknown>")
    assert not outcomes.read(claimed(pickle.dumps({"f": "work"})), FUNCTIONS, None).unread
    assert not attempt().unread


def test_an_unknown_function_is_failed() -> None:
    """With arq's text; what may have been meant is a note."""
    failure = refused(attempt("stuborn")).value
    assert failure == JobExecutionFailed("function 'stuborn' not found")
    assert str(failure) == "function 'stuborn' not found"
    (note,) = failure.__notes__
    assert note.startswith("did you mean stubborn? this worker has work, stubborn, ")
    (kept,) = pickle.loads(pickle.dumps(failure)).__notes__
    assert kept == note


def test_an_aborted_job_does_not_start() -> None:
    outcome = refused(attempt(aborted=True))
    assert outcome.verdict is Verdict.ABORTED
    assert isinstance(outcome.value, asyncio.CancelledError)


def test_the_order_of_the_reasons() -> None:
    """Unreadable before aborted before unknown before too often, as arq always looked."""
    assert isinstance(
        refused(outcomes.read(claimed(b"?", aborted=True), FUNCTIONS, None)).value, DeserializationError
    )
    assert refused(attempt("other", aborted=True)).verdict is Verdict.ABORTED
    assert "not found" in str(refused(attempt("other", job_try=99)).value)


@pytest.mark.parametrize(("function", "tries"), [("work", 5), ("stubborn", 1), ("tick", 1)])
def test_starts_are_counted(function: str, tries: int) -> None:
    assert outcomes.refuse(attempt(function, job_try=tries), DEFAULTS, NOW_MS) is None
    outcome = refused(attempt(function, job_try=tries + 1))
    assert outcome.value == JobExecutionFailed(f"max {tries} retries exceeded")


def test_starts_that_a_shutdown_interrupted_do_not_count() -> None:
    assert outcomes.refuse(attempt(job_try=9, interrupted=4), DEFAULTS, NOW_MS) is None
    assert refused(attempt(job_try=10, interrupted=4)).value == JobExecutionFailed("max 5 retries exceeded")


# ---------------------------------------------------------------- decide

RETURNED = Ended("value")
BOOM = ValueError("boom")
CANCELLED = asyncio.CancelledError()


@pytest.mark.parametrize(
    ("ended", "retry_jobs", "verdict"),
    [
        (RETURNED, True, Verdict.COMPLETE),
        (Ended(ValueError("returned")), True, Verdict.COMPLETE),
        (Ended(raised=BOOM), True, Verdict.FAILED),
        (Ended(raised=TimeoutError(), cause=Cause.TIMEOUT), True, Verdict.FAILED),
        (Ended(raised=Retry()), True, Verdict.RETRY),
        (Ended(raised=Retry()), False, Verdict.FAILED),
        (Ended(raised=RetryJob()), True, Verdict.CANCELLED),
        (Ended(raised=RetryJob()), False, Verdict.FAILED),
        (Ended(raised=CANCELLED, cause=Cause.SHUTDOWN), True, Verdict.CANCELLED),
        (Ended(raised=CANCELLED, cause=Cause.SHUTDOWN), False, Verdict.FAILED),
        (Ended(raised=CANCELLED), True, Verdict.CANCELLED),
        (Ended(raised=CANCELLED, cause=Cause.ABORT), True, Verdict.ABORTED),
        (Ended(raised=CANCELLED, cause=Cause.ABORT), False, Verdict.ABORTED),
        (Ended(raised=BOOM, cause=Cause.ABORT), True, Verdict.FAILED),
    ],
)
def test_what_an_ending_means(ended: Ended, retry_jobs: bool, verdict: Verdict) -> None:
    outcome = outcomes.decide(attempt(), ended, DEFAULTS, retry_jobs=retry_jobs, now_ms=NOW_MS)
    assert outcome.verdict is verdict
    assert outcome.value is (ended.raised or ended.value)
    assert outcome.finish_ms == NOW_MS


def test_only_a_shutdown_forgives_a_start() -> None:
    def interrupted(cause: Cause) -> bool:
        ended = Ended(raised=CANCELLED, cause=cause)
        return outcomes.decide(attempt(), ended, DEFAULTS, retry_jobs=True, now_ms=NOW_MS).interrupted

    assert interrupted(Cause.SHUTDOWN)
    assert not interrupted(Cause.NOBODY)


def test_a_task_group_of_retries_is_a_retry() -> None:
    """The longest wait counts, however deep it is; a group with anything else in it is a failure."""
    nested = ExceptionGroup("outer", [ExceptionGroup("inner", [Retry(2), RetryJob()]), Retry(5), Retry()])
    outcome = outcome_of("work", Ended(raised=nested))
    assert (outcome.verdict, outcome.defer_ms) == (Verdict.RETRY, 5000)
    outcome = outcome_of("work", Ended(raised=ExceptionGroup("all", [RetryJob(), RetryJob()])))
    assert outcome.verdict is Verdict.CANCELLED
    for other in (ExceptionGroup("in", [BOOM]), BOOM, TimeoutError()):
        mixed = ExceptionGroup("mixed", [Retry(1), other])
        outcome = outcome_of("work", Ended(raised=mixed))
        assert (outcome.verdict, outcome.value) == (Verdict.FAILED, mixed)
    group = ExceptionGroup("all", [Retry()])
    outcome = outcomes.decide(attempt(), Ended(raised=group), DEFAULTS, retry_jobs=False, now_ms=NOW_MS)
    assert (outcome.verdict, outcome.value) == (Verdict.FAILED, group)


def test_the_last_run_that_is_cancelled_from_inside_says_so() -> None:
    for function, last in (("work", 5), ("stubborn", 1)):
        ended = Ended(raised=CANCELLED)
        outcome = outcome_of(function, ended, job_try=last)
        assert outcome.verdict is Verdict.FAILED
        assert isinstance(outcome.value, JobExecutionFailed)
        assert str(outcome.value).startswith(f"max {last} retries exceeded: the job was cancelled")
        assert outcome.value.__cause__ is CANCELLED
        assert outcome_of(function, ended, job_try=last + 1, interrupted=2).verdict is Verdict.CANCELLED
    for ended in (Ended(raised=CANCELLED, cause=Cause.SHUTDOWN), Ended(raised=RetryJob())):
        assert outcome_of("stubborn", ended).verdict is Verdict.CANCELLED


# ---------------------------------------------------------------- ending


def ending(outcome: Outcome, defaults: outcomes.Defaults = DEFAULTS) -> Ending:
    return outcomes.ending(outcome, defaults, "queue", lambda: 60, None)


def done_of(outcome: Outcome, defaults: outcomes.Defaults = DEFAULTS) -> Done:
    done = ending(outcome, defaults)
    assert isinstance(done, Done)
    return done


def outcome_of(function: str, ended: Ended = RETURNED, **kwargs: Any) -> Outcome:
    return outcomes.decide(attempt(function, **kwargs), ended, DEFAULTS, retry_jobs=True, now_ms=NOW_MS)


def test_counters_of_earlier_starts_are_removed_where_there_may_be_some() -> None:
    first = outcome_of("work").attempt.job._replace(job_try=1, interrupted=0, crashes=None)
    crashes = Crashes(1, 0, "signal 9")
    for job in (first._replace(job_try=2), first._replace(interrupted=1), first._replace(crashes=crashes)):
        again = outcome_of("work")
        again.attempt.job = job
        assert not done_of(again).only_start


def test_a_result_is_kept_as_long_as_it_should() -> None:
    done = done_of(outcome_of("work"))
    assert (done.keep_ms, done.hold_ms, done.only_start) == (3_600_000, None, True)
    result = deserialize_result(done.result)
    assert (result.success, result.result, result.queue_name, result.job_id) == (True, "value", "queue", "id")
    assert (result.function, result.args, result.kwargs, result.job_try) == ("work", (1, 2), {"k": 3}, 1)


def test_no_result_is_kept_where_none_is_wanted() -> None:
    assert done_of(outcome_of("no_result")).result == b""
    assert done_of(outcome_of("work"), Defaults(5, 0, False)).result == b""


def test_a_result_may_be_kept_for_ever() -> None:
    for done in (done_of(outcome_of("for_ever")), done_of(outcome_of("work"), Defaults(5, 0, True))):
        assert done.result
        assert done.keep_ms is None


@pytest.mark.parametrize("keep_result_s", [0, 30, 3600])
def test_refused_jobs_keep_the_workers_time(keep_result_s: float) -> None:
    outcome = refused(attempt("other"))
    done = done_of(outcome, Defaults(5, keep_result_s, False))
    assert done.keep_ms == (keep_result_s * 1000 or None)


def test_a_tick_stays_locked_for_a_while_and_a_job_with_an_id_of_its_own_does_not() -> None:
    assert done_of(outcome_of("tick", job_id="tick:123")).hold_ms == 60_000
    assert done_of(outcome_of("tick", job_id="enqueued by hand")).hold_ms is None
    assert done_of(outcome_of("own_id", job_id="own")).hold_ms is None


def test_a_retry_comes_back_when_it_asked_to() -> None:
    assert ending(outcome_of("work", Ended(raised=Retry(2.5)), job_try=3)) == Again("id", b"stamp", 2500, 3)
    assert ending(outcome_of("work", Ended(raised=Retry()))) == Again("id", b"stamp", None, 1)
    tick = outcome_of("tick", Ended(raised=Retry(1)), job_id="tick:123")
    assert ending(tick) == Again("tick:123", b"stamp", 1000, 1)


def test_an_interrupted_job_comes_back_as_it_was() -> None:
    outcome = outcome_of("work", Ended(raised=CANCELLED, cause=Cause.SHUTDOWN))
    assert ending(outcome) == Again("id", b"stamp", None, 1, interrupted=True)


def test_a_result_that_can_not_be_serialized_says_so(caplog: pytest.LogCaptureFixture) -> None:
    done = done_of(outcome_of("work", Ended(lambda: None)))
    result = deserialize_result(done.result)
    assert (result.success, result.result) == (False, "unable to serialize result")
    assert "error serializing result of id:work" in caplog.text
