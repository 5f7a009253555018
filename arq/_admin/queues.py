"""Which queues there are: Redis has no list of them, so names of keys are looked at, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._keys import DEAD_SET_SUFFIX, check_queue_name, dead_key, job_key, lookers_key
from .._redis.connection_pools import prefix_of
from .._redis.raw_commands import ask
from .admin_scripts import raw, text

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Keys that one SCAN looks at.
_STEP = 1000


async def some_queues(redis: Redis, cursor: int, most_keys: int) -> tuple[int, set[str]]:
    """Look at some keys.

    Args:
        cursor: where to go on; 0: from the start.
        most_keys: how many keys to look at.

    Returns:
        where to go on, 0: all were looked at; and names of queues.
    """
    found: set[str] = set()
    prefix = prefix_of(redis)
    for _ in range(0, most_keys, _STEP):
        following, keys = await ask(redis, "SCAN", cursor, "MATCH", "*", "COUNT", _STEP, "TYPE", "zset")
        for key in keys:
            name = await _queue_of(redis, text(key).removeprefix(prefix))
            if name:
                found.add(name)
        cursor = int(following)
        if cursor == 0:
            break
    return cursor, found


async def _queue_of(redis: Redis, key: str) -> str:
    """The queue that a sorted set is, or belongs to; '' if it is none."""
    looked_at = key.removeprefix(lookers_key(""))
    if looked_at != key:
        return looked_at if _may_be(looked_at) else ""
    queue, entry = key.removesuffix(DEAD_SET_SUFFIX), dead_key("")
    if queue == key:
        entry = job_key("")
    if not _may_be(queue):
        return ""
    first = await ask(redis, "ZRANGE", key, 0, 0)
    return queue if first and await ask(redis, "EXISTS", raw(entry) + first[0]) else ""


def _may_be(name: str) -> bool:
    try:
        check_queue_name(name)
    except ValueError:
        return False
    return bool(name)
