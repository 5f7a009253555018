"""What workers have counted of a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._job_statistics import MINUTES_S, TENS_S, QueueStats, by_function, function_stats, point
from .._keys import PREFIX, stats_key, tens_key
from .._redis.script_loader import Call, load
from .._redis.script_runner import run
from .admin_scripts import text
from .running import now_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

_LOOK_STATS = load("look_stats")
_MINUTE_MS, _TENS_MS = 60_000, 600_000
#: Minutes, or ten of them, that are read in one go.
_STEP = 60


async def stats(redis: Redis, queue: str, since_ms: int, function: str | None) -> QueueStats:
    """The last `since_ms` of a queue.

    Raises:
        ValueError: it is not kept for so long, or less than a minute.
    """
    if not _MINUTE_MS <= since_ms <= TENS_S * 1000:
        raise ValueError(
            f"statistics are kept for 72 h: since must be 1 minute to 72 h, not {since_ms / 1000:g} s"
        )
    now = await now_ms(redis)
    is_by_minutes = since_ms <= MINUTES_S * 1000
    step_ms, key_of = (_MINUTE_MS, stats_key) if is_by_minutes else (_TENS_MS, tens_key)
    numbers = range((now - since_ms) // step_ms, now // step_ms + 1)
    rows = await _rows(redis, [key_of(queue, number) for number in numbers])
    found = by_function(rows, function)
    return QueueStats(
        queue,
        now - since_ms,
        now,
        step_ms // 1000,
        [function_stats(name, found[name], since_ms / _MINUTE_MS) for name in sorted(found)],
        [point(number * step_ms, row, function) for number, row in zip(numbers, rows, strict=True) if row],
    )


async def _rows(redis: Redis, keys: list[str]) -> list[dict[str, int]]:
    """The fields of each key."""
    rows: list[dict[str, int]] = []
    for first in range(0, len(keys), _STEP):
        part = tuple(keys[first : first + _STEP])
        answer = await run(redis, Call(_LOOK_STATS, part, (PREFIX, len(part))))
        rows += [_read(row) for row in answer]
    return rows


def _read(row: list[bytes]) -> dict[str, int]:
    """What are numbers; anybody may have left something else there."""
    pairs = zip(row[::2], row[1::2], strict=True)
    return {text(name): int(value) for name, value in pairs if value.isdigit() and len(value) < 19}
