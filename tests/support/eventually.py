"""Wait for a condition, by name and with a limit. The only place in tests/ that sleeps."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

# what takes a tenth of a second may take a hundred times as long on a machine that is busy with other things
PATIENCE_S = 30.0
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05


class NeverHappenedError(AssertionError):
    """The condition did not hold before the limit."""


def wait_until(predicate: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "") -> T:
    """Call `predicate` until it returns something true, and return that.

    `timeout_s` is generous on purpose: it is spent only when the test fails. `what` names the condition in
    the failure. An exception of the predicate ends the wait.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            raise NeverHappenedError(_describe(predicate, timeout_s, what))
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    return value


@overload
async def wait_until_async(
    predicate: Callable[[], Awaitable[T]], timeout_s: float = PATIENCE_S, what: str = ""
) -> T: ...
@overload
async def wait_until_async(
    predicate: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = ""
) -> T: ...
async def wait_until_async(
    predicate: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str = ""
) -> Any:
    """As `wait_until`, leaving the event loop free; `predicate` may be a coroutine function."""
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while not (value := await _call(predicate)):
        if time.monotonic() >= deadline:
            raise NeverHappenedError(_describe(predicate, timeout_s, what))
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    return value


async def _call(predicate: Callable[[], Any]) -> Any:
    value = predicate()
    return await value if inspect.isawaitable(value) else value


def _describe(predicate: Callable[..., object], timeout_s: float, what: str) -> str:
    name = what or getattr(predicate, "__qualname__", repr(predicate))
    return f"still not after {timeout_s:g} s: {name}"
