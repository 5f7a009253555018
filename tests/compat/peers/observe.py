"""Print, as JSON, what an implementation of arq writes, logs, computes and exports. Runs under either.

    python observe.py redis://127.0.0.1:6379/0 > observation.json

The tests compare this for ours with the file that the original arq 0.28.0 made (golden/observed.json). What
can not repeat (times, durations) is masked; the database is flushed.
"""

import asyncio
import importlib
import inspect
import json
import logging
import pickle
import random
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack

import arq
from arq import Retry, cron, func
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.cron import next_cron
from arq.jobs import Job, serialize_job, serialize_result
from arq.worker import FailedJobs, JobExecutionFailed, Worker

MODULES = [
    "arq",
    "arq.connections",
    "arq.constants",
    "arq.cron",
    "arq.jobs",
    "arq.logs",
    "arq.typing",
    "arq.utils",
    "arq.version",
    "arq.worker",
    "arq.cli",
]
# keys that the original does not know: it has these alone, beside its queues
ADDITIONS = re.compile(r"^arq:(?!job:|in-progress:|result:|retry:|abort$|queue)|:dead$")
DATE = re.compile(r"\b\w{3}-\d\d \d\d:\d\d:\d\d\b")
CONNECT_S = 30  # the machine may stand still for longer than the usual second
PROTOCOL = 4  # what pickle.dumps wrote by default on every Python that the original was released for


def pickled(value: Any) -> bytes:
    """Pickle as the default serializer does before Python 3.14."""
    return pickle.dumps(value, protocol=PROTOCOL)


# --- payloads ---


def payloads() -> dict[str, str]:
    """Hex of the bytes that go to Redis, for fixed input."""
    made: dict[str, bytes | None] = {}
    jobs = {
        "plain": ("f", (), {}, None, 1_700_000_000_123),
        "arguments": ("pkg.mod", (1, "ü", b"\x00", None, 1.5), {"k": [1, {"x": (2,)}]}, 3, 1_700_000_000_123),
    }
    for name, job in jobs.items():
        made[f"job {name} pickle"] = serialize_job(*job, serializer=pickled)
        made[f"job {name} msgpack"] = serialize_job(*job, serializer=msgpack.packb)
    results: dict[str, tuple[bool, Any]] = {
        "success": (True, {"answer": 42}),
        "nothing": (True, None),
        "exception": (False, ValueError("bad")),
        "expired": (False, JobExecutionFailed("job expired")),
        "retry": (False, Retry(defer=1.5)),
        "timeout": (False, TimeoutError()),
        "cancelled": (False, asyncio.CancelledError()),
        "unwritable": (True, lambda: None),
    }
    for name, (success, result) in results.items():
        made[f"result {name} pickle"] = serialize_result(
            "f", (1,), {"a": 2}, 1, 1_700_000_000_123, success, result, 1_700_000_000_200, 1_700_000_000_300,
            "id:f", "arq:queue", "id", serializer=pickled,
        )  # fmt: skip
    return {name: "none" if value is None else value.hex() for name, value in made.items()}


# --- what lies in Redis ---


async def snapshot(pool: Any, now_ms: float) -> dict[str, Any]:
    """Every key with its type, lifetime in seconds and decoded value."""
    found: dict[str, Any] = {}
    for key in sorted(await pool.keys("*")):
        name = key.decode()
        if ADDITIONS.search(name):
            continue
        ttl_ms = await pool.pttl(key)
        kind = (await pool.type(key)).decode()
        # time passes between writing and looking: in steps of 20 s; no lifetime that arq sets lies where one step ends
        # and the next begins
        lifetime = None if ttl_ms < 0 else round((ttl_ms / 1000 + 5) / 20) * 20
        found[name] = {"type": kind, "ttl_s": lifetime, "value": await _value(pool, key, kind, now_ms)}
    return found


async def _value(pool: Any, key: bytes, kind: str, now_ms: float) -> Any:
    if kind == "zset":
        members = await pool.zrange(key, 0, -1, withscores=True)
        return {member.decode(): _score(score, now_ms) for member, score in members}
    raw = await pool.get(key)
    if not key.startswith((b"arq:job:", b"arq:result:")):
        return "held" if key.startswith(b"arq:in-progress:") else re.sub(DATE, "DATE", raw.decode())
    fields = pickle.loads(raw)
    for moment in ("et", "st", "ft"):
        if fields.get(moment):
            fields[moment] = "a time"
    fields["order"] = list(fields)
    return {
        name: value if isinstance(value, (int, str, list, type(None))) else repr(value)
        for name, value in fields.items()
    }


def _score(score: float, now_ms: float) -> Any:
    if score < 10:
        return score
    return f"now{round((score - now_ms) / 20_000) * 20:+d}s"


async def add(ctx: dict[Any, Any], a: int, b: int = 0) -> int:
    """Succeed."""
    return a + b


async def fail(ctx: dict[Any, Any]) -> None:
    """Fail."""
    raise ValueError("bad")


async def returns_exception(ctx: dict[Any, Any]) -> Exception:
    """Succeed with an exception."""
    return ValueError("not raised")


async def unwritable(ctx: dict[Any, Any]) -> Callable[[], None]:
    """Return what can not be pickled."""
    return lambda: None


async def again(ctx: dict[Any, Any]) -> str:
    """Succeed on the second try."""
    if ctx["job_try"] == 1:
        raise Retry
    return "second"


async def hopeless(ctx: dict[Any, Any]) -> None:
    """Always want another try."""
    raise Retry(defer=0.01)


async def slow(ctx: dict[Any, Any]) -> None:
    """Run into its timeout."""
    await asyncio.sleep(60)


async def look(ctx: dict[Any, Any]) -> None:
    """Note what Redis holds while a job runs, but for scores: ours moves the score of a running job."""
    now_ms = datetime.now().timestamp() * 1000
    seen = await snapshot(ctx["redis"], now_ms)
    ctx["seen"].update({name: entry for name, entry in seen.items() if name != "arq:queue"})


async def cancels_itself(ctx: dict[Any, Any]) -> str:
    """Raise what a shutdown raises, the first time."""
    if ctx["job_try"] == 1:
        raise asyncio.CancelledError
    return "then well"


FUNCTIONS: list[Any] = [
    add, fail, returns_exception, unwritable, again, look, cancels_itself,
    func(hopeless, max_tries=2), func(slow, timeout=0.1),
    func(add, name="short", keep_result=60), func(add, name="never", keep_result=0),
    func(add, name="always", keep_result_forever=True),
]  # fmt: skip

ENQUEUES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "plain": (("add", 1), {}),
    "keywords": (("add",), {"a": 1, "b": 2}),
    "defer_by number": (("add", 1), {"_defer_by": 100}),
    "defer_by timedelta": (("add", 1), {"_defer_by": timedelta(minutes=5)}),
    "defer_until": (("add", 1), {"_defer_until": "in 200 s"}),
    "defer_by zero": (("add", 1), {"_defer_by": 0}),
    "expires": (("add", 1), {"_expires": 500}),
    "expires timedelta": (("add", 1), {"_expires": timedelta(hours=1)}),
    "expires zero": (("add", 1), {"_expires": 0}),
    "expires and defer_by": (("add", 1), {"_expires": 500, "_defer_by": 1000}),
    "job_try": (("add", 1), {"_job_try": 4}),
    "other queue": (("add", 1), {"_queue_name": "other"}),
    "carrier": (("add", 1), {"_carrier": {"traceparent": "x"}}),
}

RUNS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "success": (("add", 1), {}),
    "keywords": (("add", 1), {"b": 2}),
    "failure": (("fail",), {}),
    "returned exception": (("returns_exception",), {}),
    "unwritable": (("unwritable",), {}),
    "retried": (("again",), {}),
    "retries run out": (("hopeless",), {}),
    "timeout": (("slow",), {}),
    "short result": (("short", 1), {}),
    "no result": (("never", 1), {}),
    "eternal result": (("always", 1), {}),
    "unknown function": (("missing", 1), {}),
    "job_try": (("add", 1), {"_job_try": 3}),
    "job_try beyond": (("add", 1), {"_job_try": 9}),
    "bad arguments": (("add",), {"nonsense": 1}),
    "cancels itself": (("cancels_itself",), {}),
}


async def enqueued(pool: ArqRedis) -> dict[str, Any]:
    """State after each way to enqueue."""
    found = {}
    for name, (args, wanted) in ENQUEUES.items():
        await pool.flushall()
        now = datetime.now(UTC)
        until = {"_defer_until": now + timedelta(seconds=200)} if "_defer_until" in wanted else {}
        options = {**wanted, **until}
        job = await pool.enqueue_job(*args, _job_id="the-id", **options)
        found[name] = {"job": str(job), "redis": await snapshot(pool, now.timestamp() * 1000)}
    return found


class Lines(logging.Handler):
    """Collects log lines with the numbers that can not repeat masked."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        text = re.sub(r"^ *\d+\.\d\ds", "T", record.getMessage())
        text = re.sub(r" delayed=\d+\.\d\ds", "", text)  # not said but on a machine that stood still
        text = re.sub(r"(in|defer)(=| )\d+\.\d\ds", r"\1\2T", text)
        text = re.sub(r"(version|usage|connected|keys)=\S+", r"\1=X", text)
        text = re.sub(DATE, "DATE", text)
        text = re.sub(r"0x[0-9a-f]+", "0x", text)
        text = re.sub(r"\d+ ongoing to cancel", "N ongoing to cancel", text)
        trace = " +traceback" if record.exc_info else ""
        self.lines.append(f"{record.name} {record.levelname}{trace}: {text}")


async def run_once(pool: ArqRedis, lines: Lines, **settings: Any) -> str:
    """A burst worker to the end."""
    lines.lines.clear()
    settings = {
        "functions": FUNCTIONS,
        "burst": True,
        "poll_delay": 0.01,
        "handle_signals": False,
        **settings,
    }
    worker = Worker(redis_settings=_pool_settings(pool), **settings)
    await worker.main()
    shown = repr(worker)
    await worker.close()
    return shown


def _pool_settings(pool: ArqRedis) -> RedisSettings:
    connection = pool.connection_pool.connection_kwargs
    address = {"host": connection["host"], "port": connection["port"], "database": connection["db"]}
    return RedisSettings(**address, conn_timeout=CONNECT_S)


async def ran(pool: ArqRedis, lines: Lines) -> dict[str, Any]:
    """State, counters and log lines after one job of each kind."""
    found: dict[str, Any] = {}
    for name, (args, options) in RUNS.items():
        await pool.flushall()
        await pool.enqueue_job(*args, _job_id="the-id", **options)
        found[name] = await _observed(pool, lines)
    await pool.flushall()
    await pool.zadd("arq:queue", {"the-id": 1000})
    found["expired"] = await _observed(pool, lines)
    await pool.set("arq:job:the-id", b"nonsense")
    await pool.zadd("arq:queue", {"the-id": 1000})
    found["unreadable"] = await _observed(pool, lines)
    await pool.flushall()
    seen: dict[str, Any] = {}
    await pool.enqueue_job("look", _job_id="the-id")
    found["while running"] = {**await _observed(pool, lines, ctx={"seen": seen}), "seen": seen}
    return found


async def _observed(pool: ArqRedis, lines: Lines, **settings: Any) -> dict[str, Any]:
    now_ms = datetime.now().timestamp() * 1000
    shown = await run_once(pool, lines, **settings)
    logged = [line for line in lines.lines if "Starting worker" not in line]
    return {"worker": shown, "log": logged, "redis": await snapshot(pool, now_ms)}


async def cron_at_startup(pool: ArqRedis, lines: Lines) -> dict[str, Any]:
    """A cron job with an id of its own that runs at startup, and its 60 s lock."""
    await pool.flushall()
    jobs = [cron(add, name="nightly", hour=3, run_at_startup=True, job_id="nightly-id")]
    jobs[0].coroutine = returns_exception
    await run_once(pool, lines, functions=[add], cron_jobs=jobs, max_burst_jobs=1)
    logged = [line for line in lines.lines if "redis_version" not in line]
    return {"log": logged, "redis": await snapshot(pool, datetime.now().timestamp() * 1000)}


# --- what is computed and shown ---


def cron_table() -> list[list[Any]]:
    """Next moments of 400 random schedules."""
    dice = random.Random(28)
    table: list[list[Any]] = []
    while len(table) < 400:
        start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(4 * 365 * 86_400))
        fields = _random_schedule(dice)
        schedule: dict[str, Any] = {k: set(v) if isinstance(v, list) else v for k, v in fields.items()}
        moment = next_cron(start, **schedule)
        table.append([start.isoformat(), fields, moment.isoformat()])
    return table


def _random_schedule(dice: random.Random) -> dict[str, Any]:
    ranges: dict[str, list[Any]] = {
        "month": list(range(1, 13)),
        "day": list(range(1, 29)),
        "weekday": [*range(7), "mon", "tues", "wed", "thurs", "fri", "sat", "sun"],
        "hour": list(range(24)),
        "minute": list(range(60)),
        "second": list(range(60)),
        "microsecond": [0, 123456, 999999],
    }
    fields: dict[str, Any] = {}
    for name, allowed in ranges.items():
        if dice.random() < 0.5:
            continue
        several = dice.random() < 0.4 and name not in ("weekday", "microsecond")
        fields[name] = sorted(dice.sample(allowed, 3)) if several else dice.choice(allowed)
    if {"weekday", "day"} <= set(fields):  # such a day may be years away
        del fields["weekday"]
    return fields


def shown() -> dict[str, str]:
    """Texts of public objects."""
    settings = RedisSettings()
    result = asyncio.run(_a_result())
    schedule = cron(add, hour=3, minute={1, 2})
    return {
        "RedisSettings": repr(settings),
        "from_dsn": repr(RedisSettings.from_dsn("redis://user:secret@host:1234/5")),
        "from_dsn unix": repr(RedisSettings.from_dsn("unix://user:secret@/run/redis.sock?db=3")),
        "from_dsn tls": repr(RedisSettings.from_dsn("rediss://:secret@host:1/2")),
        "Retry": f"{Retry()!s} {Retry(defer=1.5)!r} {Retry(defer=timedelta(seconds=3))!r}",
        "FailedJobs one": str(FailedJobs(1, [result])),
        "FailedJobs two": str(FailedJobs(2, [result, result])),
        "CronJob": re.sub(r"0x[0-9a-f]+", "0x", repr(schedule)),
        "cron name": schedule.name,
        "Function": re.sub(
            r"0x[0-9a-f]+", "0x", repr(func(add, name="n", keep_result=60, timeout=5, max_tries=2))
        ),
        "JobExecutionFailed": f"{JobExecutionFailed('x') == JobExecutionFailed('x')}",
    }


async def _a_result() -> Any:
    when = datetime(2024, 1, 2, tzinfo=UTC)
    from arq.jobs import JobResult

    return JobResult(
        function="f", args=(1,), kwargs={}, job_try=1, enqueue_time=when, score=None, success=False,
        result="bad", start_time=when, finish_time=when, queue_name="q", job_id="id",
    )  # fmt: skip


def surface() -> dict[str, dict[str, Any]]:
    """Public names of every module: parameters of functions, bases of classes, values of constants."""
    found: dict[str, dict[str, Any]] = {}
    for module_name in MODULES:
        for name, value in sorted(vars(importlib.import_module(module_name)).items()):
            if not name.startswith("_") and (described := _describe(module_name, value)) is not None:
                found.setdefault(module_name, {})[name] = described
    return found


def _describe(module_name: str, value: Any) -> Any:
    home = str(getattr(value, "__module__", None))
    if module_name == "arq.constants":
        return {"constant": value}
    if not home.startswith("arq"):
        return None
    if inspect.isclass(value):
        bases = [
            base.__name__
            for base in value.__mro__[1:-1]
            if base.__module__.startswith(("arq", "builtins", "enum"))
        ]
        return {"home": home, "bases": bases}
    if inspect.isfunction(value):
        return {"home": home, "async": inspect.iscoroutinefunction(value), "parameters": parameters(value)}
    return None


def parameters(function: Any) -> list[list[str]]:
    """Name, kind and default of each."""
    listed = inspect.signature(function).parameters.values()
    return [[one.name, one.kind.name, _plain(one.default)] for one in listed]


def _plain(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    return repr(default) if isinstance(default, (str, int, float, type(None))) else type(default).__name__


def methods() -> dict[str, list[list[str]]]:
    """Signatures of the methods that users call or override."""
    wanted: dict[type, str] = {
        Worker: "__init__ run async_run run_check main start_jobs run_job heart_beat close "
        "handle_sig handle_sig_wait_for_completion",
        ArqRedis: "__init__ enqueue_job all_job_results queued_jobs",
        Job: "__init__ result info result_info status abort",
    }
    return {
        f"{cls.__name__}.{name}": parameters(getattr(cls, name))
        for cls, names in wanted.items()
        for name in names.split()
    }


async def observe(dsn: str) -> dict[str, Any]:
    """Everything that needs Redis."""
    settings = RedisSettings.from_dsn(dsn)
    settings.conn_timeout = CONNECT_S
    pool = await create_pool(settings)
    lines = Lines()
    logger = logging.getLogger("arq")
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    found = {
        "enqueued": await enqueued(pool),
        "ran": await ran(pool, lines),
        "cron at startup": await cron_at_startup(pool, lines),
    }
    await pool.flushall()
    return found


def main() -> None:
    """Print the observation."""
    found = {
        "payloads": payloads(),
        "cron": cron_table(),
        "shown": shown(),
        "surface": surface(),
        "methods": methods(),
        **asyncio.run(observe(sys.argv[1])),
    }
    assert arq.VERSION
    for number, (section, entries) in enumerate(found.items()):
        print("{" if number == 0 else ",", json.dumps(section), ":", _one_entry_a_line(entries))
    print("}")


def _one_entry_a_line(entries: Any) -> str:
    """JSON that a person can compare."""
    if isinstance(entries, list):
        return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "]"
    lines = (
        f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}" for name, entry in entries.items()
    )
    return "{\n" + ",\n".join(lines) + "}"


main()
