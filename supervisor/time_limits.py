"""Time limits on answers, for programs that may be held up together with whoever owes the answer.

A virtual machine that is paused, a frozen container: the clock goes on, and nobody could have answered. So a limit is
spent in short steps, and a step during which everything stood still costs no more than any other.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

STEP_S = 0.25


async def is_done(future: "asyncio.Future[Any]", limit_s: float) -> bool:
    """Wait for it; false when it is not done after `limit_s` seconds of waiting."""
    left_s = limit_s
    while left_s > 0 and not future.done():
        await asyncio.wait({future}, timeout=min(STEP_S, left_s))
        left_s -= STEP_S
    return future.done()


async def within(limit_s: float, answer: Awaitable[T]) -> T:
    """What `answer` returns.

    Raises:
        TimeoutError: it took longer than `limit_s` seconds of waiting, and was cancelled.
    """
    task = asyncio.ensure_future(answer)
    task.add_done_callback(_look_at_error)
    try:
        if await is_done(task, limit_s):
            return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    raise TimeoutError(f"no answer within {limit_s:g} s")


def _look_at_error(task: "asyncio.Future[Any]") -> None:
    """Who waits for it may be cancelled in the same moment: then nobody else asks what it raised."""
    if not task.cancelled():
        task.exception()
