"""What Redis knows about a pool, or about all pools of a queue. Imported only when Redis is to be asked."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout, suppress
from dataclasses import astuple, replace
from typing import Any, TypeVar

from redis.exceptions import ResponseError

import arq.worker
from arq._health_line import parse_line
from arq._keys import LEASES_KEY, OLD_LEASES_KEY, health_key, worker_health_key
from arq._option_types import text
from arq._redis.raw_commands import ask, members_with_scores, pairs, scan_all
from arq._redis.settings import settings_or_default
from arq._redis.shard_settings import is_several, named_settings
from arq.connections import RedisSettings, create_pool
from arq.constants import default_queue_name

from ..pool.job_counts import JobCounts
from ..redis_errors import short
from ..time_limits import STEP_S, within
from .check_fleet import FleetReport, Member, judge_fleet, read_member
from .check_verdict import CheckRequest, Facts, SlotFacts

IMPORT_S = 2.5
NO_LIMIT_S = 60
#: of one of several servers; within the limit of the whole check
SERVER_S = 2.0
MOST_OLD = 10_000


T = TypeVar("T")


class SettingsError(RuntimeError):
    """The settings can not be imported, or used."""


class AddressError(ValueError):
    """--redis-url is no address of a Redis."""


async def gather_fleet(wanted: CheckRequest) -> FleetReport:
    """Every pool of the queue, from the register of workers and their health keys."""
    servers, queue, base = _where(wanted, Facts(wanted.pool, wanted.host))

    async def look(_: str, redis: Any) -> tuple[list[Member], int]:
        return await _members(redis, base), await ask(redis, "ZCARD", queue)

    found, errors = await _of_each(servers, look)
    if not found:
        raise next(iter(errors.values()))
    members = [member for some, _ in found.values() for member in some]
    away = [_away(name, error) for name, error in errors.items()]
    queued = sum(length for _, length in found.values())
    return judge_fleet(queue, queued, _of_queue(members), wanted.min_healthy, away)


def _away(name: str, error: Exception) -> str:
    """That a server can't be asked, in a line."""
    return f"redis{f' server {name}' if name else ''}: {short(error)}"


async def _of_each(
    servers: dict[str, RedisSettings], look: Callable[[str, Any], Awaitable[T]]
) -> tuple[dict[str, T], dict[str, Exception]]:
    """What servers answer, all at the same time; and what is wrong with those that do not."""

    async def ask_one(name: str) -> T:
        redis = await _connect(servers[name])
        try:
            return await look(name, redis)
        finally:
            await redis.aclose()

    async def one(name: str) -> T:
        if len(servers) == 1:  # the time of the whole check is its limit
            return await ask_one(name)
        return await within(SERVER_S, ask_one(name))

    answers = await asyncio.gather(*map(one, servers), return_exceptions=True)
    found: dict[str, T] = {}
    errors: dict[str, Exception] = {}
    for name, answer in zip(servers, answers, strict=True):
        if isinstance(answer, Exception):
            errors[name] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[name] = answer
    return found, errors


async def _members(redis: Any, base: str) -> list[Member]:
    """Workers that are known to a server, with what they have written."""
    seconds, microseconds = map(int, await ask(redis, "TIME"))
    now_ms = seconds * 1000 + microseconds // 1000
    register = await _register(redis)
    found = [read_member(worker_id, (score - now_ms) / 1000) for worker_id, score in register]
    members = [member for member in found if member is not None]
    keys = [worker_health_key(base, member.pool, member.host, member.slot) for member in members]
    lines = await ask(redis, "MGET", *keys) if keys else []
    return [member._replace(counts=_counts(line)) for member, line in zip(members, lines, strict=True)]


async def _register(redis: Any) -> list[tuple[str, float]]:
    """All workers and when they are presumed dead, those of our first versions, too.

    What they wrote to may be a queue instead, and long; a pool of them is known by its health keys.
    """
    entries = await members_with_scores(redis, LEASES_KEY)
    with suppress(ResponseError):
        entries += pairs(await ask(redis, "ZRANGE", OLD_LEASES_KEY, 0, MOST_OLD - 1, "WITHSCORES"))
    return [(member.decode(errors="backslashreplace"), score) for member, score in entries]


async def _connect(redis_settings: RedisSettings) -> Any:
    """One attempt. Its limit is that of the whole check, which knows when the machine stood still."""
    return await create_pool(replace(redis_settings, conn_retries=0, conn_timeout=NO_LIMIT_S))


def _of_queue(members: list[Member]) -> list[Member]:
    """Pools without a single health key under this queue's name work for another queue."""
    pools = {(member.pool, member.host) for member in members if member.counts is not None}
    return [member for member in members if (member.pool, member.host) in pools]


async def ask_redis(wanted: CheckRequest, facts: Facts) -> None:
    """Add to `facts` what Redis says; that it says nothing is a fact, too."""
    servers, facts.queue, base = _where(wanted, facts)
    facts.redis_checked = True
    names = list(servers)
    count = len(facts.slots) or wanted.procs  # before any server adds some

    async def look(name: str, redis: Any) -> None:
        await _look_at(redis, facts)
        await _read_keys(redis, base, wanted, facts, (names.index(name), len(names)), count)

    _, errors = await _of_each(servers, look)
    facts.problems += [_away(name, error) for name, error in errors.items()]
    facts.redis_reachable = not errors


async def _look_at(redis: Any, facts: Facts) -> None:
    """How long a server takes to answer, the slowest of several; and how many jobs it has."""
    clock = asyncio.get_running_loop().time
    started_s = clock()
    await ask(redis, "PING")
    facts.latency_ms = max(facts.latency_ms or 0.0, round((clock() - started_s) * 1000, 2))
    facts.queued = (facts.queued or 0) + await ask(redis, "ZCARD", facts.queue)


async def _read_keys(
    redis: Any, base: str, wanted: CheckRequest, facts: Facts, shard: tuple[int, int], count: int | None
) -> None:
    """The key of each worker.

    Args:
        shard: which one of how many servers this is.
        count: how many workers there should be, from the supervisor or from --procs; None: nobody knows.
    """
    number, servers = shard
    if count is None:
        start = worker_health_key(base, wanted.pool, wanted.host, 0).removesuffix("0")
        found = [key.decode(errors="replace") for key in await scan_all(redis, f"{start}*")]
        slots = sorted(int(key.removeprefix(start)) for key in found if key.removeprefix(start).isdigit())
    else:
        slots = list(range(number, count, servers))
    keys = [worker_health_key(base, wanted.pool, wanted.host, slot) for slot in slots]
    lines = await ask(redis, "MGET", *keys) if keys else []
    for slot, key, line in zip(slots, keys, lines, strict=True):
        facts.slots.setdefault(slot, SlotFacts(slot)).take_key(key, _counts(line))


def _counts(line: bytes | None) -> JobCounts | None:
    try:
        return JobCounts(*astuple(parse_line(line))) if line else None
    except ValueError:
        return None


def _where(wanted: CheckRequest, facts: Facts) -> tuple[dict[str, RedisSettings], str, str]:
    """The servers by name, the queue and the plain health key: from --redis-url, or from the settings."""
    if wanted.redis_url:
        queue = facts.queue or default_queue_name
        return {"": _address(wanted.redis_url)}, queue, facts.health_key or health_key(queue)
    given = _import_settings(wanted.settings)
    try:
        queue = text("queue_name", given.get("queue_name") or default_queue_name)
        servers = _servers(given.get("redis_settings"))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"cannot use {wanted.settings!r} ({short(error)})") from error
    return servers, queue, given.get("health_check_key") or health_key(queue)


def _servers(given: Any) -> dict[str, RedisSettings]:
    found = named_settings(given) if is_several(given) else {"": settings_or_default(given)}
    return found if len(found) > 1 else {"": next(iter(found.values()))}


def _address(url: str) -> RedisSettings:
    try:
        return RedisSettings.from_dsn(url)
    except (RuntimeError, ValueError) as error:
        hint = "it looks like redis://host:6379/0, with user:password@ before the host where there is one"
        raise AddressError(f"{short(error)}; {hint}") from error


def _import_settings(path: str) -> dict[str, Any]:
    """Options of the settings. Stdout is for the answer, and the time limit holds for user code, too."""
    from ..settings import load_settings, where_looked

    before = signal.signal(signal.SIGALRM, _AlarmLimit())
    signal.setitimer(signal.ITIMER_REAL, STEP_S, STEP_S)
    try:
        with redirect_stdout(sys.stderr):
            return arq.worker.get_kwargs(load_settings(path))
    except BaseException as error:
        why = short(error) + where_looked(path, error)
        raise SettingsError(f"cannot import {path!r} ({why})") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _AlarmLimit:
    """Counts alarms: one that comes late, because the whole machine stood still, is one all the same."""

    def __init__(self) -> None:
        self._left_s = IMPORT_S

    def __call__(self, *_: object) -> None:
        self._left_s -= STEP_S
        if self._left_s <= 0:
            raise TimeoutError(f"the import took longer than {IMPORT_S:g} s")
