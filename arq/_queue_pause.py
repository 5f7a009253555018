"""Pauses of queues: what is kept of one in Redis, and that nothing expires while it lasts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ._keys import PREFIX, kept_key, lookers_key, paused_key, wake_key
from ._redis.script_loader import Call, load

_PAUSE, _RESUME, _KEEP = load("pause"), load("resume"), load("keep")
#: A payload lives so much longer at least than until it is due, in ms, and is given so much if it does not.
_LEAST_MS, _GIVEN_MS = 2 * 86_400_000, 7 * 86_400_000
#: Entries that are looked at in one go: it takes Redis about a millisecond.
_STEP = 500
#: ms after which a worker looks again whether what came in meanwhile would expire.
KEEP_EVERY_MS = 60_000


def pause(queue_name: str, by: str, note: str) -> Call:
    """Pause a queue; the answer is b"paused", or b"taken": there is something else under that name."""
    return Call(_PAUSE, (paused_key(queue_name),), (PREFIX, f"\n{' '.join(by.split())}\n{note}"))


def resume(queue_name: str) -> Call:
    """End a pause; the answer is 1, or 0: there was none."""
    keys = (paused_key(queue_name), queue_name, wake_key(queue_name), lookers_key(queue_name))
    return Call(_RESUME, keys, (PREFIX,))


def read_pause(text: bytes) -> tuple[int | None, str, str]:
    """Since when a queue is paused in unix ms, by whom, and why."""
    since, _, rest = text.decode(errors="replace").partition("\n")
    by, _, note = rest.partition("\n")
    return int(since) if since.isdecimal() else None, by, note


async def keep(
    run: Callable[[Call], Awaitable[Any]], queue_name: str, *, is_one_of_many: bool = False
) -> None:
    """See to it that no payload and no counter of a queue expires, a few entries at a time.

    Args:
        run: runs a script.
        is_one_of_many: leave it to others who do it, or have done it within `KEEP_EVERY_MS`.
    """
    first = 0
    while True:
        args = (PREFIX, first, _STEP, _LEAST_MS, _GIVEN_MS, KEEP_EVERY_MS if is_one_of_many else "")
        looked_at = await run(Call(_KEEP, (queue_name, kept_key(queue_name)), args))
        if looked_at < _STEP:
            return
        first += looked_at
