"""Options of a worker from settings of every kind, and what a worker makes of them."""

from __future__ import annotations

import types
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arq.connections import ArqRedis, RedisSettings
from arq.constants import default_queue_name
from arq.cron import cron
from arq.worker import Function, Worker, create_worker, func, get_kwargs


async def work(ctx: dict[Any, Any]) -> None: ...


async def other(ctx: dict[Any, Any]) -> None: ...


class Base:
    functions = [work]
    max_jobs = 3
    unrelated = "ignored"


class Inherited(Base):
    queue_name = "inherited"


class Slotted:
    __slots__ = ("functions",)

    def __init__(self) -> None:
        self.functions = [work]


class Dynamic:
    functions = [work]

    @property
    def max_jobs(self) -> int:
        return 7


class WithHooks:
    functions = [work]

    @staticmethod
    async def on_startup(ctx: dict[Any, Any]) -> None: ...

    async def on_shutdown(ctx: dict[Any, Any]) -> None: ...  # type: ignore[misc]  # noqa: N805


def instance() -> Any:
    made = Inherited()
    made.max_jobs = 4
    return made


def module() -> types.ModuleType:
    made = types.ModuleType("settings")
    made.functions, made.max_jobs = [work], 5  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"functions": [work], "max_jobs": 2, "nonsense": 1}, {"functions": [work], "max_jobs": 2}),
        (Base, {"functions": [work], "max_jobs": 3}),
        (Inherited, {"functions": [work], "max_jobs": 3, "queue_name": "inherited"}),
        (instance(), {"functions": [work], "max_jobs": 4, "queue_name": "inherited"}),
        (module(), {"functions": [work], "max_jobs": 5}),
        (Slotted(), {"functions": [work]}),
        (Dynamic(), {"functions": [work], "max_jobs": 7}),
        (types.SimpleNamespace(functions=[other]), {"functions": [other]}),
    ],
)
def test_settings_of_every_kind(settings: Any, options: dict[str, Any]) -> None:
    assert get_kwargs(settings) == options


def test_hooks_are_plain_functions() -> None:
    options = get_kwargs(WithHooks)  # type: ignore[arg-type]
    assert options["on_startup"] is WithHooks.on_startup
    assert options["on_shutdown"] is WithHooks.on_shutdown
    in_dict = get_kwargs({"functions": [work], "on_startup": WithHooks.__dict__["on_startup"]})
    assert in_dict["on_startup"] is WithHooks.on_startup


def test_keyword_arguments_win() -> None:
    made = create_worker(Base, max_jobs=9, burst=True)  # type: ignore[arg-type]
    assert (made.max_jobs, made.burst) == (9, True)


def test_an_unknown_keyword_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="max_job"):
        create_worker(Base, max_job=9)  # type: ignore[arg-type]


def test_defaults() -> None:
    made = Worker([work])
    assert made.queue_name == default_queue_name
    assert made.health_check_key == "arq:queue:health-check"
    assert made.redis_settings == RedisSettings()
    assert (made.max_jobs, made.queue_read_limit, made.max_tries) == (10, 100, 5)
    assert (made.job_timeout_s, made.keep_result_s, made.poll_delay_s) == (300, 3600, 0.5)
    assert made.in_progress_timeout_s == 310
    assert (made.retry_jobs, made.allow_abort_jobs, made.burst, made.max_burst_jobs) == (
        True,
        False,
        False,
        -1,
    )
    assert repr(made) == "<Worker j_complete=0 j_failed=0 j_retried=0 j_ongoing=0>"
    assert made.pool is None


def test_the_read_limit_follows_max_jobs() -> None:
    assert Worker([work], max_jobs=50).queue_read_limit == 250
    assert Worker([work], max_jobs=50, queue_read_limit=7).queue_read_limit == 7


def test_the_lock_outlasts_the_longest_timeout() -> None:
    functions = [func(work, timeout=20), func(other, timeout=timedelta(seconds=500))]
    assert Worker(functions).in_progress_timeout_s == 510
    assert Worker([func(work, timeout=20)], cron_jobs=[cron(other, timeout=30)]).in_progress_timeout_s == 40
    assert Worker([work], job_timeout=timedelta(seconds=1.5)).in_progress_timeout_s == 11.5


def test_an_empty_context_is_used_as_it_is() -> None:
    context: dict[Any, Any] = {}
    assert Worker([work], ctx=context).ctx is context


def test_the_queue_may_come_from_the_pool() -> None:
    pool = ArqRedis(default_queue_name="of the pool")
    assert Worker([work], queue_name=None, redis_pool=pool).queue_name == "of the pool"
    with pytest.raises(ValueError, match="If queue_name is absent, redis_pool must be present"):
        Worker([work], queue_name=None)


def test_the_registry() -> None:
    made = Worker(["arq.worker.async_check_health", work, func(other, name="else")], cron_jobs=[cron(work)])
    assert list(made.functions) == ["arq.worker.async_check_health", "work", "else", "cron:work"]
    assert made.functions["else"].coroutine is other


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({}, RuntimeError, "at least one function or cron_job must be registered"),
        ({"functions": []}, RuntimeError, "at least one function or cron_job must be registered"),
        ({"cron_jobs": [work]}, RuntimeError, "cron_jobs, must be instances of CronJob"),
        ({"functions": [print]}, RuntimeError, "is not a coroutine function"),
        ({"functions": ["no.such.thing"]}, ImportError, "No module named 'no'"),
        ({"functions": ["nothing"]}, ImportError, "doesn't look like a module path"),
    ],
)
def test_a_worker_that_can_not_be(options: dict[str, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        Worker(**options)


def test_func() -> None:
    made = func(
        work, name="x", keep_result=timedelta(seconds=5), timeout=2, keep_result_forever=True, max_tries=1
    )
    assert made == Function("x", work, 2, 5, True, 1)
    assert func(made, name="y") is made
    assert func("arq.worker.async_check_health").name == "arq.worker.async_check_health"


def test_a_function_without_a_name_needs_one() -> None:
    import functools

    partial: Any = functools.partial(work)
    with pytest.raises(RuntimeError, match=r"pass name="):
        func(partial)
    assert func(partial, name="partial").name == "partial"


def test_the_id_of_a_worker_is_its_own_whatever_it_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARQ_WORKER_ID", "pool:host:1:abc")
    one, other = Worker([work]), Worker([work])
    assert one.worker_id == one.worker_id
    assert len({one.worker_id, other.worker_id, "pool:host:1:abc"}) == 3
    one.worker_id = "named"
    assert one.worker_id == "named"


def test_a_zone_that_is_none() -> None:
    with pytest.raises(
        TypeError, match="timezone must be a tzinfo, as zoneinfo.ZoneInfo makes them, not 'Europe"
    ):
        Worker([work], timezone="Europe/Berlin")  # type: ignore[arg-type]


def test_the_zone_of_a_worker() -> None:
    made = Worker([work])
    now = datetime.now().astimezone()
    assert made.timezone == now.tzinfo
    assert now.astimezone(made.schedule_zone).utcoffset() == now.utcoffset()
    made.timezone = UTC
    assert made.timezone is made.schedule_zone is UTC
