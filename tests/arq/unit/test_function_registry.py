"""One name, one function: what may share a name, and how it is told what may not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from arq._worker.function_registry import registry
from arq.cron import cron
from arq.typing import WorkerCoroutine
from arq.worker import func

Ctx = dict[Any, Any]


async def send(ctx: Ctx) -> None: ...


async def cleanup(ctx: Ctx) -> None: ...


class Mailer:
    async def send(self, ctx: Ctx) -> None: ...


def of_module(name: str) -> Any:
    """`send` of another module."""

    async def send(ctx: Ctx) -> str:
        return name

    send.__module__, send.__qualname__ = name, "send"
    return send


def instrumented(coroutine: Any) -> Any:
    """A wrapper that does not say what it wraps."""

    async def traced(ctx: Ctx, *args: Any) -> Any:
        return await coroutine(ctx, *args)

    traced.__qualname__ = "traced"
    return traced


def wrapped(coroutine: Any) -> Any:
    @functools.wraps(coroutine)
    async def wrapper(ctx: Ctx, *args: Any) -> Any:
        return await coroutine(ctx, *args)

    return wrapper


def recursive() -> Any:
    async def again(ctx: Ctx) -> None:
        await again(ctx)

    return again


def refusal(*functions: Any, cron_jobs: Any = ()) -> str:
    with pytest.raises(ValueError, match="is the name of|is there twice") as caught:
        registry(functions, cron_jobs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_two_functions_of_one_name_are_told_with_their_modules() -> None:
    assert refusal(of_module("billing"), of_module("alerts")) == (
        "'send' is the name of billing.send and of alerts.send: "
        'give one of them another, as in func(..., name="...")'
    )
    assert "test_function_registry.cleanup" in refusal(send, func(cleanup, name="send"))
    assert "of tests.arq.unit.test_function_registry.cleanup and of" in refusal(
        func(cleanup, name="x"), func(send, name="x"), func(cleanup, name="x")
    )


def test_bound_methods_of_two_objects_are_two_functions() -> None:
    one = Mailer()
    registry([func(one.send, name="send"), func(one.send, name="send")], None)
    refusal(func(one.send, name="send"), func(Mailer().send, name="send"))


def test_two_schedules_of_different_functions_are_refused() -> None:
    message = refusal(cron_jobs=[cron(of_module("billing"), hour=1), cron(of_module("alerts"), hour=2)])
    assert message.startswith("'cron:send' is the name of billing.send and of alerts.send: ")
    assert message.endswith('cron(..., name="...")')


def test_a_function_and_a_schedule_of_one_name() -> None:
    """The names differ by themselves; given the same one, what runs must be the same as well."""
    assert list(registry([send], [cron(send)])) == ["send", "cron:send"]
    assert "max_tries=None and max_tries=1" in refusal(send, cron_jobs=[cron(send, name="send")])
    same = func(send, max_tries=1, keep_result=0, keep_result_forever=False)
    schedule = cron(send, name="send")
    assert registry([same], [schedule]) == {"send": schedule}
    assert "cleanup" in refusal(same, cron_jobs=[cron(cleanup, name="send")])


def test_the_same_function_may_be_there_twice() -> None:
    assert list(registry([send, send, func(send), "tests.arq.unit.test_function_registry.send"], None)) == [
        "send",
        "tests.arq.unit.test_function_registry.send",
    ]
    registry([func(send, timeout=5), func(send, timeout=5)], None)


@pytest.mark.parametrize(
    "options", [{"timeout": 5}, {"keep_result": 5}, {"keep_result_forever": True}, {"max_tries": 2}]
)
def test_other_options_need_another_name(options: dict[str, Any]) -> None:
    message = refusal(send, func(send, **options))
    ((name, value),) = options.items()
    assert f"is there twice, with {name}=None and {name}={value!r}: " in message
    registry([send, func(send, name="other", **options)], None)


def test_two_schedules_of_one_function_are_usual() -> None:
    early, late = cron(send, hour=1), cron(send, hour=2)
    assert registry([], [early, late]) == {"cron:send": late}
    assert "timeout=None and timeout=5" in refusal(cron_jobs=[early, cron(send, hour=2, timeout=5)])


def test_of_several_schedules_one_with_ticks_stands_for_them() -> None:
    """An id that is a tick's is known by it, whatever the others do."""
    ticks, own_id = cron(send, hour=1), cron(send, hour=2, job_id="mine")
    assert registry([], [ticks, own_id])["cron:send"] is ticks
    assert registry([], [own_id, ticks])["cron:send"] is ticks


@pytest.mark.parametrize("wrap", [instrumented, wrapped])
def test_wrappers_of_one_function_are_the_same(wrap: Callable[[WorkerCoroutine], Any]) -> None:
    registry([func(wrap(send), name="send"), func(wrap(send), name="send")], None)
    message = refusal(func(wrap(send), name="x"), func(wrap(cleanup), name="x"))
    assert (
        "tests.arq.unit.test_function_registry.send and of tests.arq.unit.test_function_registry.cleanup"
        in message
    )
    refusal(func(wrap(send), name="send"), send)


def test_a_function_that_knows_itself() -> None:
    one, other = recursive(), recursive()
    registry([func(one, name="x"), func(one, name="x")], None)
    assert "test_function_registry.py:" in refusal(func(one, name="x"), func(other, name="x"))
