"""How many jobs there are in each state."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from .._keys import crons_key, dead_set_key, evicted_key, health_key, lookers_key, paused_key, result_key
from .._redis.raw_commands import ask, scan
from .._redis.scripts import score_ms
from .admin_scripts import number, raw
from .filters import Filter, job_id_of, queue_of
from .listing import Search
from .pauses import paused
from .records import Counts
from .running import all_held, now_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Keys that one SCAN looks at, and all of them; seconds after which no more are looked at.
_STEP, _MOST_KEYS, _LONGEST_S = 500, 100_000, 0.6


async def counts(redis: Redis, queue: str, *, with_done: bool) -> Counts:
    """Count a queue's jobs. `with_done`: also results, for which keys are looked at."""
    now = await now_ms(redis)
    held = {one.job_id for one in await all_held(redis, queue)}
    total, due = await ask(redis, "ZCARD", queue), await ask(redis, "ZCOUNT", queue, "-inf", now)
    scores = await _scores(redis, queue, list(held))
    held_due = sum(score is not None and score <= now for score in scores)
    held_later = sum(score is not None and score > now for score in scores)
    first = await ask(redis, "ZRANGEBYSCORE", queue, "-inf", now, "WITHSCORES", "LIMIT", 0, 1)
    done, is_least = await _count_done(redis, queue) if with_done else (None, False)
    return Counts(
        max(0, due - held_due),
        max(0, total - due - held_later),
        len(held),
        done,
        is_least,
        _first_score(first),
        await paused(redis, queue),
        now,
        int(await ask(redis, "ZCARD", dead_set_key(queue))),
        number(await ask(redis, "GET", evicted_key(queue))),
    )


def _first_score(answer: list[object]) -> int | None:
    if not answer:
        return None
    row = answer[0] if isinstance(answer[0], list) else answer
    return score_ms(row[1])  # type: ignore[arg-type]


async def _scores(redis: Redis, queue: str, ids: list[bytes]) -> list[float | None]:
    found = await ask(redis, "ZMSCORE", queue, *ids) if ids else []
    return [None if one is None else float(one) for one in found]


async def _count_done(redis: Redis, queue: str) -> tuple[int, bool]:
    """Results of a queue, and whether there may be more."""
    prefix, number, looked_at, at = result_key(""), 0, 0, 0
    began_s, search = monotonic(), Search(redis, queue, None, Filter(), 1)
    while looked_at < _MOST_KEYS and monotonic() - began_s < _LONGEST_S:
        following, keys = await scan(redis, at, f"{prefix}*", _STEP)
        looked_at += _STEP
        ids = [raw(job_id_of(key, prefix)) for key in keys]
        if ids:
            found = await search.values(prefix, ids)
            number += sum(_is_of(queue, payload) for payload, size in found if size)
        at = int(following)
        if at == 0:
            return number, False
    return number, True


def _is_of(queue: str, payload: bytes | None) -> bool:
    """Whether a result is of a queue; as pickle writes the name, it is seen without reading the whole."""
    name = raw(queue)
    if len(name) < 256 and payload and b"\x8c\x01q\x94\x8c" + bytes([len(name)]) + name in payload:
        return True
    return queue_of(payload) in ("", queue)


async def exists(redis: Redis, queue: str) -> bool:
    """Whether there is anything of a queue."""
    keys = (queue, lookers_key(queue), health_key(queue), paused_key(queue), crons_key(queue))
    return bool(await ask(redis, "EXISTS", *keys))
