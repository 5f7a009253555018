"""All queues and workers at a glance, with few round trips however many jobs there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from .. import _queue_pause
from .._keys import LEASES_KEY, dead_set_key, evicted_key, health_key, lookers_key, paused_key
from .._redis.raw_commands import ask_many, members_with_scores, pairs
from .._redis.scripts import score_ms
from .admin_scripts import Held, number, text
from .records import Overview, Pause, QueueOverview
from .running import held_by, held_by_old, now_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Due jobs of a queue that are looked at for those that workers of python-arq have.
_HEAD = 1000
#: Queues of which Redis is asked in one go.
_QUEUES_STEP = 50
#: Of a worker that says so with each look: it knows of pauses.
_OBEYS = 0.5


async def overview(redis: Redis, queues: Sequence[str]) -> Overview:
    """Counts of queues, who works on them, and what they have."""
    now = await now_ms(redis)
    leases = {text(one): until for one, until in await members_with_scores(redis, LEASES_KEY)}
    held = await held_by(redis, list(leases))
    found: list[QueueOverview] = []
    for first in range(0, len(queues), _QUEUES_STEP):
        part = queues[first : first + _QUEUES_STEP]
        for queue, row in zip(part, await _rows(redis, part, held, now), strict=True):
            looking = {text(one): until for one, until in _pairs(row[6]) if until > now}
            old = await held_by_old(redis, queue, _HEAD) if number(row[1]) else []
            found.append(_queue(queue, row, held, old, looking, now))
    return Overview(found, len(leases), sum(until < now for until in leases.values()), now)


async def _rows(redis: Redis, queues: Sequence[str], held: Sequence[Held], now: int) -> list[list[Any]]:
    """What there is of each queue, in one round trip."""
    commands: list[tuple[Any, ...]] = []
    for queue in queues:
        ids = [one.job_id for one in held if one.queue == queue]
        commands += [
            ("ZCARD", queue),
            ("ZCOUNT", queue, "-inf", now),
            ("ZRANGEBYSCORE", queue, "-inf", now, "WITHSCORES", "LIMIT", 0, 1),
            ("ZCARD", dead_set_key(queue)),
            ("GET", evicted_key(queue)),
            ("GET", paused_key(queue)),
            ("ZRANGE", lookers_key(queue), 0, -1, "WITHSCORES"),
            ("EXISTS", health_key(queue)),
            ("ZMSCORE", queue, *ids) if ids else ("PING",),
        ]
    answers = await ask_many(redis, commands)
    per_queue = len(commands) // len(queues)
    return [answers[first : first + per_queue] for first in range(0, len(answers), per_queue)]


def _queue(
    queue: str, row: list[Any], held: Sequence[Held], old: Sequence[Held], looking: dict[str, float], now: int
) -> QueueOverview:
    total, due, first, dead, evicted, paused, _, has_line, scores = row
    if isinstance(total, ResponseError):
        return QueueOverview(queue, problem="it is no queue: it is another kind of key")
    ours = [float(one) for one in scores if one is not None] if isinstance(scores, list) else []
    held_due = sum(score <= now for score in ours) + len(old)
    earlier = sum(until % 1 != _OBEYS for until in looking.values())
    oldest = _pairs(first)
    return QueueOverview(
        queue,
        queued=max(0, number(due) - held_due),
        deferred=max(0, number(total) - number(due) - sum(score > now for score in ours)),
        running=sum(one.queue == queue for one in held) + len(old),
        dead=number(dead),
        evicted=number(evicted),
        oldest_due_ms=score_ms(oldest[0][1]) if oldest else None,
        paused=_pause(paused),
        workers=len(looking),
        ignore_pauses=earlier + bool(old or (number(has_line) and not looking)),
        has_old=bool(old or (number(has_line) and not looking)),
    )


def _pause(line: Any) -> Pause | None:
    if not isinstance(line, bytes):
        return None
    since_ms, by, note = _queue_pause.read_pause(line)
    return Pause(by, since_ms, note)


def _pairs(answer: Any) -> list[tuple[bytes, float]]:
    return pairs(answer) if isinstance(answer, list) else []
