"""Pause and resume a queue."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from .. import _queue_pause
from .._keys import paused_key
from .._redis.connection_pools import prefix_of
from .._redis.raw_commands import ask
from .._redis.script_runner import run
from .records import Pause

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: A job that was claimed just before a pause gets so many seconds to begin before `pause` answers.
_SETTLE_S = 0.1


async def paused(redis: Redis, queue: str) -> Pause | None:
    """The pause of a queue; None: it is not paused."""
    (text,) = await ask(redis, "MGET", paused_key(queue))
    if text is None:
        return None
    since_ms, by, note = _queue_pause.read_pause(text)
    return Pause(by, since_ms, note)


async def pause(redis: Redis, queue: str, by: str, note: str) -> Pause:
    """Pause a queue.

    Raises:
        ValueError: the key that would say so is something else, a queue for example.
    """
    if await run(redis, _queue_pause.pause(queue, by, note)) == b"taken":
        raise ValueError(
            f"{queue!r} can't be paused: the key {prefix_of(redis) + paused_key(queue)!r} is something else, a queue?"
        )
    await asyncio.sleep(_SETTLE_S)
    await _queue_pause.keep(functools.partial(run, redis), queue)
    return await paused(redis, queue) or Pause(by, None, note)


async def resume(redis: Redis, queue: str) -> bool:
    """End a pause; False: there was none. What is about to expire gets time to be run first."""
    if await paused(redis, queue) is None:
        return False
    await _queue_pause.keep(functools.partial(run, redis), queue)
    return bool(await run(redis, _queue_pause.resume(queue)) == 1)
