"""`--check`: is the pool healthy? Asks the supervisor for the local truth, and Redis for what others see."""

import asyncio
import datetime
import json
import os
import sys
from dataclasses import dataclass, field, replace
from typing import Any

from arq._health import Tally, parse_line
from arq._keys import WORKERS_KEY, health_key, worker_health_key
from arq.connections import RedisSettings, create_pool
from arq.constants import default_queue_name

from .childenv import host_name
from .codes import ExitCode
from .ctl import UnreachableError, ask, find_socket
from .diagnosis import Facts, SlotFacts, judge_check
from .fleet import Member, fleet_text, judge_fleet, read_member
from .trouble import short

LIMIT_S = 5.0
ASK_S = 2.0


@dataclass(slots=True)
class Wanted:
    """What is to be checked. `settings` is None when Redis is not to be asked, or is reached by `redis`."""

    pool: str
    control: str = ""
    settings: str = ""
    redis_url: str = ""
    procs: int | None = None
    local: bool = False
    strict: bool = False
    min_healthy: int = 1
    as_json: bool = False
    health_interval_s: float = 5.0
    host: str = field(default_factory=host_name)


async def gather_fleet(wanted: Wanted) -> dict[str, Any]:
    """Every pool of the queue, from the register of workers and their health keys."""
    redis_settings, queue, base = _where(wanted, Facts(wanted.pool, wanted.host))
    redis_settings.conn_retries = 0
    redis: Any = await create_pool(redis_settings)
    try:
        seconds, microseconds = await redis.time()
        now_ms = seconds * 1000 + microseconds // 1000
        register: list[tuple[bytes, float]] = await redis.zrange(WORKERS_KEY, 0, -1, withscores=True)
        found = [read_member(worker_id.decode(), (score - now_ms) / 1000) for worker_id, score in register]
        members = [member for member in found if member is not None]
        keys = [worker_health_key(base, member.pool, member.host, member.slot) for member in members]
        lines = await redis.mget(keys) if keys else []
        ours = [replace(member, tally=_tally(line)) for member, line in zip(members, lines, strict=True)]
        return judge_fleet(queue, await redis.zcard(queue), _of_queue(ours), wanted.min_healthy)
    finally:
        await redis.aclose()


def _of_queue(members: list[Member]) -> list[Member]:
    """Pools without a single health key under this queue's name work for another queue."""
    pools = {(member.pool, member.host) for member in members if member.tally is not None}
    return [member for member in members if (member.pool, member.host) in pools]


def run_fleet_check(wanted: Wanted) -> int:
    """Print the report of all pools on stdout; returns 0 (healthy enough), 1 (not), 3 (no Redis) or 4 (settings)."""
    try:
        report = asyncio.run(asyncio.wait_for(gather_fleet(wanted), LIMIT_S))
    except SettingsError as error:
        sys.stderr.write(f"arq-supervise: cannot import {wanted.settings!r} ({error})\n")
        return ExitCode.SETTINGS
    except Exception as error:  # noqa: BLE001  # whatever hinders, the state of the fleet is unknown
        sys.stderr.write(f"arq-supervise: --check --fleet: {short(error)}\n")
        return 3
    sys.stdout.write(json.dumps(report) + "\n" if wanted.as_json else fleet_text(report))
    return int(report["exit_code"])


class SettingsError(RuntimeError):
    """The settings can not be imported."""


def run_check(wanted: Wanted) -> int:
    """Print the report on stdout; returns 0 (healthy enough), 1 (not), 3 (nobody could be asked) or 4 (settings)."""
    try:
        facts = asyncio.run(asyncio.wait_for(gather(wanted), LIMIT_S))
    except SettingsError as error:
        sys.stderr.write(f"arq-supervise: cannot import {wanted.settings!r} ({error})\n")
        return ExitCode.SETTINGS
    except TimeoutError:
        facts = Facts(wanted.pool, wanted.host, problems=[f"no answer within {LIMIT_S:g} s"])
    report = judge_check(facts, wanted.min_healthy, wanted.strict)
    report["time"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    sys.stdout.write(json.dumps(report) + "\n" if wanted.as_json else for_people(report))
    return int(report["exit_code"])


async def gather(wanted: Wanted) -> Facts:
    """What the supervisor and Redis say."""
    facts = Facts(wanted.pool, wanted.host)
    try:
        path = find_socket(wanted.control, wanted.pool, os.environ)
        facts.take_status(ask(path, "status", timeout_s=ASK_S).get("status") or {})
    except UnreachableError as error:
        facts.problems.append(str(error))
    if not wanted.local:
        await _ask_redis(wanted, facts)
    return facts


async def _ask_redis(wanted: Wanted, facts: Facts) -> None:
    redis_settings, queue, base = _where(wanted, facts)
    facts.queue = queue
    facts.redis_checked = True
    loop = asyncio.get_running_loop()
    try:
        redis_settings.conn_retries = 0
        redis = await create_pool(redis_settings)
        try:
            started_s = loop.time()
            await redis.ping()
            facts.latency_ms = round((loop.time() - started_s) * 1000, 2)
            facts.queued = await redis.zcard(queue)
            await _read_keys(redis, base, wanted, facts)
            facts.redis_reachable = True
        finally:
            await redis.aclose()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        facts.problems.append(f"redis: {short(error)}")


async def _read_keys(redis: Any, base: str, wanted: Wanted, facts: Facts) -> None:
    """The key of each worker. How many there should be is known from the supervisor or from --procs."""
    count = len(facts.slots) or wanted.procs
    if count is None:
        start = worker_health_key(base, wanted.pool, wanted.host, 0).removesuffix("0")
        found = [key.decode() async for key in redis.scan_iter(match=f"{start}*", count=1000)]
        slots = sorted(int(key.removeprefix(start)) for key in found if key.removeprefix(start).isdigit())
    else:
        slots = list(range(count))
    keys = [worker_health_key(base, wanted.pool, wanted.host, slot) for slot in slots]
    lines = await redis.mget(keys) if keys else []
    for slot, key, line in zip(slots, keys, lines, strict=True):
        facts.slots.setdefault(slot, SlotFacts(slot)).take_key(key, _tally(line))


def _tally(line: bytes | None) -> Tally | None:
    try:
        return parse_line(line) if line else None
    except ValueError:
        return None


def _where(wanted: Wanted, facts: Facts) -> tuple[RedisSettings, str, str]:
    """Redis, the queue and the plain health key: from --redis-url, or from the settings."""
    if wanted.redis_url:
        queue = facts.queue or default_queue_name
        return RedisSettings.from_dsn(wanted.redis_url), queue, facts.health_key or health_key(queue)
    given = _import_settings(wanted.settings)
    queue = given.get("queue_name") or default_queue_name
    settings = given.get("redis_settings") or RedisSettings()
    return settings, queue, given.get("health_check_key") or health_key(queue)


def _import_settings(path: str) -> dict[str, Any]:
    from .child import load_settings

    try:
        import arq.worker

        return arq.worker.get_kwargs(load_settings(path))
    except BaseException as error:
        raise SettingsError(short(error)) from error


def for_people(report: dict[str, Any]) -> str:
    """The verdict, one line for each worker, the problems."""
    boss, totals = report["supervisor"], report["totals"]
    about = (
        f"supervisor {boss['state'].upper()} gen {boss['generation']}"
        if boss["reachable"]
        else "no supervisor"
    )
    queued = report["redis"]["queued"]
    queue = "" if queued is None else f", queue {report['redis']['queue']} {queued} queued"
    health = f"{totals['fresh']}/{totals['expected']} workers healthy"
    lines = [f"{report['status'].upper()}  pool {report['pool']}@{report['host']}: {health}{queue}, {about}"]
    lines += [_worker_line(worker) for worker in report["workers"]]
    lines += [f"problem: {problem}" for problem in report["problems"]]
    return "\n".join(lines) + "\n"


def _worker_line(worker: dict[str, Any]) -> str:
    head = f" {'ok  ' if worker['fresh'] else 'FAIL'} slot {worker['slot']} pid {worker['pid'] or '-'}"
    jobs = worker["jobs"]
    if jobs is None:
        return f"{head}    {worker['state']} {worker['last_exit'] or ''}".rstrip()
    age = "-" if worker["age_s"] is None else f"{worker['age_s']:.1f}s"
    return (
        f"{head}  age {age}  done {jobs['complete']} failed {jobs['failed']} retried {jobs['retried']}"
        f" ongoing {jobs['ongoing']}"
    )
