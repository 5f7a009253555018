"""Limits that are none, and options that can't be."""

from __future__ import annotations

import inspect
import math
from datetime import timedelta
from typing import Any

import pytest

from arq.connections import ArqRedis
from arq.cron import cron
from arq.worker import Worker, func

THOUSANDS_OF_YEARS = timedelta.max


async def work(ctx: dict[Any, Any]) -> None: ...


@pytest.mark.parametrize("make", [cron, func])
def test_no_limit_in_so_many_words(make: Any) -> None:
    assert make(work).timeout_s is None, "as the worker has it"
    assert make(work, timeout=None).timeout_s == math.inf
    assert make(work, timeout=math.inf).timeout_s == math.inf
    assert make(work, timeout=timedelta(minutes=1)).timeout_s == 60
    assert inspect.signature(make).parameters["timeout"].default is None
    assert make(work, max_tries=math.inf).max_tries == math.inf
    assert make.__doc__
    assert make.__module__ in ("arq.cron", "arq._function")


@pytest.mark.parametrize("none", [None, math.inf, THOUSANDS_OF_YEARS, 1e300])
def test_what_says_no_limit(none: Any) -> None:
    made = Worker([work], job_timeout=none, keep_result=none, max_tries=none, max_burst_jobs=-1)
    assert (made.job_timeout_s, made.keep_result_s) == (None, math.inf)
    assert made.in_progress_timeout_s == 310


def test_locks_are_taken_for_the_longest_limit_there_is() -> None:
    def lock_s(*own_s: float | None, of_worker_s: float | None) -> float:
        functions = [func(work, name=f"f{n}", timeout=own) for n, own in enumerate(own_s)]
        return Worker([work, *functions], job_timeout=of_worker_s).in_progress_timeout_s

    assert lock_s(of_worker_s=5) == 15
    assert lock_s(20, 8, of_worker_s=5) == 30
    assert lock_s(20, None, of_worker_s=5) == 310
    assert lock_s(math.inf, 400, of_worker_s=5) == 410
    assert lock_s(20, of_worker_s=None) == 310
    assert Worker([func(work, timeout=5)], job_timeout=None).in_progress_timeout_s == 15


@pytest.mark.parametrize(("given", "asks"), [(None, False), (0, False), ("yes", True), (1, True)])
def test_an_option_that_is_on_or_off_is_what_counts_as_true(given: Any, asks: bool) -> None:
    assert Worker([work], allow_abort_jobs=given).allow_abort_jobs is asks


@pytest.mark.parametrize(
    ("given", "wait_s"), [(None, 0), (5, 5), (math.inf, math.inf), (timedelta(minutes=1), 60)]
)
def test_how_long_to_wait_for_jobs(given: Any, wait_s: float) -> None:
    assert Worker([work], job_completion_wait=given).job_completion_wait == wait_s


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"poll_delay": math.inf}, "poll_delay must be a time in seconds from 0 on, not inf: "),
        ({"poll_delay": None}, "poll_delay must be a time in seconds from 0 on, not None: "),
        ({"poll_delay": -1}, "poll_delay must be a time in seconds from 0 on, not -1: "),
        ({"poll_delay": math.nan}, "poll_delay must be a time in seconds from 0 on, not nan: "),
        ({"poll_delay": timedelta.max}, "poll_delay must be a time in seconds from 0 on, not datetime"),
        (
            {"health_check_interval": math.inf},
            "health_check_interval must be a time in seconds from 0 on, not",
        ),
        (
            {"health_check_interval": None},
            "health_check_interval must be a time in seconds from 0 on, not None",
        ),
        ({"max_jobs": math.inf}, "max_jobs must be a whole number from 1 on, not inf: "),
        ({"max_jobs": 0}, "max_jobs must be a whole number from 1 on, not 0: "),
        ({"max_jobs": -3}, "max_jobs must be a whole number from 1 on, not -3: "),
        (
            {"job_timeout": -1},
            "job_timeout must be a time in seconds from 0 on, or None for no limit, not -1",
        ),
        ({"max_jobs": None}, "max_jobs must be a whole number from 1 on, not None: "),
        ({"job_timeout": math.nan}, "job_timeout must be a time in seconds, or None for no limit, not nan"),
        ({"job_timeout": "5"}, "job_timeout must be a time in seconds, or None for no limit, not '5'"),
        (
            {"job_completion_wait": "5"},
            "job_completion_wait must be a time in seconds, or math.inf for no limit, not",
        ),
        ({"keep_result": math.nan}, "keep_result must be a time in seconds, or None for no limit, not nan"),
    ],
)
def test_options_that_can_not_be_are_refused_in_one_line(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        Worker([work], **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"functions": None}, "functions must be a list, not None"),
        ({"functions": "work"}, "functions must be a list, not 'work'"),
        ({"cron_jobs": 5}, "cron_jobs must be a list, not 5"),
        ({"queue_name": 5}, "queue_name must be a text, not 5"),
        ({"on_startup": 5}, "on_startup must be a function, not 5"),
        ({"on_shutdown": "work"}, "on_shutdown must be a function, not 'work'"),
        ({"on_job_start": 5}, "on_job_start must be a function, not 5"),
        ({"on_job_end": 5}, "on_job_end must be a function, not 5"),
        ({"after_job_end": 5}, "after_job_end must be a function, not 5"),
        ({"job_serializer": 5}, "job_serializer must be a function, not 5"),
        ({"job_deserializer": 5}, "job_deserializer must be a function, not 5"),
        ({"ctx": 5}, "ctx must be a dictionary, not 5"),
        ({"redis_settings": {"host": "h"}}, "redis settings must be RedisSettings, not a dict"),
    ],
)
def test_options_of_a_wrong_type_are_refused_by_their_names(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        Worker(**{"functions": [work], **options})


def test_a_function_that_can_not_be_imported_is_one_of_the_functions() -> None:
    with pytest.raises(ImportError, match='functions: Module "arq" does not define a "nothing" attribute'):
        Worker(["arq.nothing"])


async def test_what_can_not_expire_in_a_way_that_makes_sense() -> None:
    pool = ArqRedis()
    for wrong in (-1, math.nan, 1e300, -math.inf):
        with pytest.raises(
            ValueError, match=r"_expires must be from 0 to \d+ seconds, or math.inf for no limit"
        ):
            await pool.enqueue_job("work", _expires=wrong)


@pytest.mark.parametrize("make", [cron, func])
@pytest.mark.parametrize("option", ["timeout", "keep_result", "max_tries"])
@pytest.mark.parametrize("given", [math.nan, "5"])
def test_a_function_with_a_limit_that_is_none_is_named(make: Any, option: str, given: Any) -> None:
    made = make(work, name="report", **{option: given})
    with pytest.raises(ValueError, match=f"{option} of report must be a .*, not {given!r}"):
        Worker([work], cron_jobs=[made]) if make is cron else Worker([made])
