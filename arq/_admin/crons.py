"""Schedules: what workers show of them, pause, resume, run now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from .. import _cron_table
from .._cron_calendar import calendar, next_instant
from .._cron_table import Shown
from .._keys import crons_key, paused_crons_key, ticks_key
from .._payloads.codecs import PickleCodec
from .._payloads.payload_format import PayloadFormat
from .._payloads.serialization import serialize_job
from .._payloads.signed_envelope import MARK
from .._payloads.unreadable_records import PICKLE
from .._redis import scripts
from .._redis.raw_commands import ask
from .._redis.script_runner import run
from ..constants import expires_extra_ms
from ..utils import to_unix_ms
from .admin_scripts import raw, text
from .records import CronSchedule
from .running import now_ms
from .trust import NO_KEYS, codec_of_body, keyring_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

_FIELDS = ("month", "day", "weekday", "hour", "minute", "second", "microsecond")
#: Schedules that are read at most.
_MOST = 10_000


async def crons(redis: Redis, queue: str) -> list[CronSchedule]:
    """The schedules of a queue, by name."""
    now, paused = await now_ms(redis), await _paused(redis, queue)
    found = [
        CronSchedule(
            one.name,
            one.spec,
            one.zone_name,
            _next_ms(one, now),
            await _last_ms(redis, queue, one, now),
            one.name in paused,
            one.seen_ms,
            one.timeout_s,
            one.unique,
        )
        for one in await _shown(redis, queue, now)
    ]
    known = {one.name for one in found}
    gone = [
        CronSchedule(name, "", "", None, None, is_paused=True, seen_ms=None, timeout_s=None, unique=True)
        for name in sorted(paused - known)
    ]
    return found + gone


async def _shown(redis: Redis, queue: str, now: int) -> list[Shown]:
    """What workers have shown lately."""
    found: dict[str, Shown] = {}
    cursor = 0
    while True:
        following, pairs = await ask(redis, "HSCAN", crons_key(queue), cursor, "COUNT", 500)
        values = pairs.values() if isinstance(pairs, dict) else pairs[1::2]
        for one in filter(None, map(_cron_table.read, values)):
            if now - one.seen_ms < _cron_table.SHOWN_MS:
                found[one.schedule_hash] = one
        cursor = int(following)
        if cursor == 0 or len(found) >= _MOST:
            return sorted(found.values(), key=lambda one: (one.name, one.spec))


async def _paused(redis: Redis, queue: str) -> set[str]:
    return set(map(text, await ask(redis, "SMEMBERS", paused_crons_key(queue))))


def _next_ms(one: Shown, now: int) -> int | None:
    try:
        matching = calendar(*(_option(one.fields.get(name)) for name in _FIELDS))
        return to_unix_ms(next_instant(matching, datetime.fromtimestamp(now / 1000, UTC), one.zone))
    except (ValueError, TypeError, OverflowError):  # another version's, or nonsense
        return None


def _option(value: object) -> object:
    return set(value) if isinstance(value, list) else value


async def _last_ms(redis: Redis, queue: str, one: Shown, now: int) -> int | None:
    key = ticks_key(queue, one.schedule_hash)
    ticks = await ask(redis, "ZREVRANGEBYSCORE", key, now, "-inf", "LIMIT", 0, 1)
    return int(ticks[0]) if ticks and ticks[0].lstrip(b"-").isdigit() else None


async def is_known(redis: Redis, queue: str, name: str) -> bool:
    """Whether workers have shown a schedule of this name lately."""
    return any(one.name == name for one in await _shown(redis, queue, await now_ms(redis)))


async def pause(redis: Redis, queue: str, name: str) -> bool:
    """Pause the schedules of a name; False: they were paused before."""
    return bool(await ask(redis, "SADD", paused_crons_key(queue), raw(name)))


async def resume(redis: Redis, queue: str, name: str) -> bool:
    """End that; False: they were not paused."""
    return bool(await ask(redis, "SREM", paused_crons_key(queue), raw(name)))


async def run_now(redis: Redis, queue: str, name: str) -> str | None:
    """Enqueue a run beside those that are planned; its id, None: no worker has shown such a schedule."""
    now = await now_ms(redis)
    one = next((one for one in await _shown(redis, queue, now) if one.name == name), None)
    if one is None:
        return None
    job_id = f"{name}:now:{uuid4().hex[:12]}"
    payload = _payload(redis, queue, name, job_id, one.payload, now)
    job = scripts.NewJob(job_id, payload, "", None, "")
    await run(redis, scripts.enqueue(queue, [job], expires_extra_ms))
    return job_id


def _payload(redis: Redis, queue: str, name: str, job_id: str, shown: bytes | None, now_ms: int) -> bytes:
    """What runs a schedule. Where payloads are signed nothing is signed that stands in Redis, but what we write."""
    keyring = keyring_of(redis)
    if keyring is None and shown is not None and shown.startswith(MARK):
        raise ValueError(NO_KEYS)
    if keyring is None:
        return shown or serialize_job(name, (), {}, None, now_ms)
    codec = codec_of_body((shown or PICKLE).removeprefix(MARK)) or PickleCodec()
    return PayloadFormat(codec, [codec], keyring).write_job(name, (), {}, None, now_ms, job_id, queue)
