"""Statistics of jobs in Redis: who writes them, when, for how long, and how they are read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from arq._keys import stats_key, tens_key
from arq.admin import Admin, FunctionStats
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, Ctx, broken, commands, idle, nothing_held, quick, running
from tests.arq.redis.operators import Outcome, run_command
from tests.support.eventually import wait_until_async
from tests.support.servers import RedisServer


async def twice(ctx: Ctx) -> None:
    if ctx["job_try"] == 1:
        raise Retry


async def slow(ctx: Ctx) -> None:
    await asyncio.sleep(0.1)


@pytest.fixture
def worker(redis_settings: RedisSettings) -> Callable[..., Worker]:
    def make(**options: Any) -> Worker:
        functions = options.pop("functions", [quick, broken, twice, slow])
        return Worker(functions=functions, redis_settings=redis_settings, handle_signals=False, **options)

    return make


async def burst(worker: Worker) -> None:
    await worker.async_run()
    await worker.close()


async def stats_keys(pool: ArqRedis) -> list[str]:
    found: list[Any] = await pool.keys("arq:stats:*")
    return sorted(key.decode() for key in found)


async def found(pool: ArqRedis, **asked: Any) -> dict[str, FunctionStats]:
    return {one.function: one for one in (await Admin(pool).stats(**asked)).functions}


async def test_what_became_of_jobs_is_counted_by_function(
    arq_redis: ArqRedis, worker: Callable[..., Worker]
) -> None:
    for function in ("quick", "quick", "broken", "twice", "slow", "nobody's"):
        await arq_redis.enqueue_job(function)
    await burst(worker(burst=True))
    by_name = await found(arq_redis)
    assert {name: (one.done, one.failed, one.retried) for name, one in by_name.items()} == {
        "quick": (2, 0, 0),
        "broken": (0, 1, 0),
        "twice": (1, 0, 1),
        "slow": (1, 0, 0),
        "<unknown>": (0, 1, 0),
    }
    p50 = by_name["slow"].run.percentile(50)
    assert p50 is not None
    assert p50 >= 64
    assert (by_name["twice"].run.count, by_name["twice"].wait.count) == (2, 1)
    assert by_name["<unknown>"].run.count == 0
    assert by_name["quick"].per_minute == pytest.approx(2 / 60)
    assert set(await found(arq_redis, function="slow")) == {"slow"}
    await nothing_held(arq_redis)


async def test_waiting_begins_when_a_job_is_due(arq_redis: ArqRedis, worker: Callable[..., Worker]) -> None:
    await arq_redis.enqueue_job("quick", _defer_by=-60)
    await burst(worker(burst=True))
    p50 = (await found(arq_redis))["quick"].wait.percentile(50)
    assert p50 is not None
    assert 32_768 <= p50 <= 131_072


async def test_keys_are_of_minutes_and_of_ten_minutes_and_expire(
    arq_redis: ArqRedis, worker: Callable[..., Worker]
) -> None:
    await arq_redis.enqueue_job("quick")
    await burst(worker(burst=True))
    lives = {key: await arq_redis.ttl(key) for key in await stats_keys(arq_redis)}
    assert len(lives) == 2
    for key, ttl_s in lives.items():
        hours = 72 if re.fullmatch(rf"arq:stats:{QUEUE}:h:\d+", key) else 8
        assert hours * 3600 - 60 < ttl_s <= hours * 3600
        assert await arq_redis.hget(key, "quick|done") == b"1"


async def test_an_idle_worker_writes_none(
    arq_redis: ArqRedis, redis_client: redis.Redis, worker: Callable[..., Worker]
) -> None:
    idler = worker()
    async with running(idler):
        await idle(idler)
        inside.due(idler).statistics_at_s = 0.1
        with commands(redis_client) as used:
            inside.wake_up(idler)
            await wait_until_async(
                lambda: inside.due(idler).statistics_at_s > 0.1, what="statistics were due"
            )
    assert "hincrby" not in used
    assert await stats_keys(arq_redis) == []


async def test_a_worker_that_goes_on_writes_all_at_once_when_it_is_time(
    arq_redis: ArqRedis, redis_client: redis.Redis, worker: Callable[..., Worker]
) -> None:
    busy = worker()
    async with running(busy):
        await idle(busy)
        for _ in range(20):
            await arq_redis.enqueue_job("quick")
        await wait_until_async(lambda: busy.jobs_complete == 20, what="all jobs are done")
        assert await stats_keys(arq_redis) == []
        inside.due(busy).statistics_at_s = 0.1
        inside.wake_up(busy)

        async def is_written() -> bool:
            return "quick" in await found(arq_redis)

        await wait_until_async(is_written, what="they are written")
        with commands(redis_client) as used:
            assert (await found(arq_redis))["quick"].done == 20
        assert "hincrby" not in used
    assert (await found(arq_redis))["quick"].done == 20


async def test_workers_add_to_one_another(arq_redis: ArqRedis, worker: Callable[..., Worker]) -> None:
    for _ in range(3):
        await arq_redis.enqueue_job("quick")
        await burst(worker(burst=True))
    assert (await found(arq_redis))["quick"].done == 3


async def test_depth_and_the_oldest_due_job(
    arq_redis: ArqRedis, worker: Callable[..., Worker], gate: asyncio.Event
) -> None:
    async def gated(ctx: Ctx) -> None:
        await gate.wait()

    busy = worker(functions=[func(gated, name="gated")], max_jobs=1)
    for _ in range(6):
        await arq_redis.enqueue_job("gated", _defer_by=-30)
    async with running(busy):
        await wait_until_async(lambda: bool(busy.job_tasks), what="one runs")
        inside.due(busy).statistics_at_s = 0.1
        inside.wake_up(busy)

        async def is_written() -> bool:
            return bool((await Admin(arq_redis).stats()).points)

        await wait_until_async(is_written, what="it is written while none has ended")
        gate.set()
        await wait_until_async(lambda: busy.jobs_complete == 6, what="all are done")
    points = (await Admin(arq_redis).stats()).points
    assert max(point.depth or 0 for point in points) >= 4
    assert max(point.oldest_ms or 0 for point in points) >= 30_000
    assert sum(point.done for point in points) == 6


async def test_what_is_no_hash_makes_room_and_what_is_no_number_counts_nothing(
    arq_redis: ArqRedis, worker: Callable[..., Worker]
) -> None:
    seconds, _ = await arq_redis.time()
    for minute in range(seconds // 60 - 1, seconds // 60 + 3):
        await arq_redis.set(stats_key(QUEUE, minute), "x", ex=60)
        await arq_redis.set(tens_key(QUEUE, minute // 10), "x", ex=60)
    await arq_redis.enqueue_job("quick")
    await burst(worker(burst=True))
    (one,) = (await found(arq_redis)).values()
    assert one.done == 1
    for key in await stats_keys(arq_redis):
        if await arq_redis.type(key) == b"hash":
            await arq_redis.hset(key, "quick|failed", "many")
    assert (await found(arq_redis))["quick"].failed == 0


async def test_more_than_eight_hours_are_read_by_ten_minutes(
    arq_redis: ArqRedis, worker: Callable[..., Worker]
) -> None:
    await arq_redis.enqueue_job("quick")
    await burst(worker(burst=True))
    seconds, _ = await arq_redis.time()
    long_ago = tens_key(QUEUE, seconds // 600 - 6 * 40)
    await arq_redis.hset(long_ago, mapping={"quick|done": "41"})
    await arq_redis.expire(long_ago, 60)
    assert (await found(arq_redis, since=timedelta(hours=8)))["quick"].done == 1
    assert (await found(arq_redis, since=timedelta(hours=30)))["quick"].done == 1
    assert (await found(arq_redis, since=timedelta(hours=72)))["quick"].done == 42
    assert (await Admin(arq_redis).stats(since=72 * 3600)).step_s == 600


@pytest.mark.parametrize("since", [0, 59, 72 * 3600 + 1, -5])
async def test_a_time_that_is_not_kept_is_refused(arq_redis: ArqRedis, since: float) -> None:
    with pytest.raises(ValueError, match="kept for 72 h"):
        await Admin(arq_redis).stats(since=since)


# ---------------------------------------------------------------- arq stats


async def stats(server: RedisServer, *words: str) -> Outcome:
    return await asyncio.to_thread(run_command, "stats", *words, ARQ_REDIS=server.dsn)


async def test_the_command_has_a_table_and_json(
    arq_redis: ArqRedis, worker: Callable[..., Worker], redis_server: RedisServer
) -> None:
    for function in ("quick", "broken"):
        await arq_redis.enqueue_job(function)
    await burst(worker(burst=True))
    head, *rows = (await stats(redis_server)).out.splitlines()
    assert re.split(r"  +", head) == [
        "FUNCTION",
        "DONE",
        "FAILED",
        "RETRIED",
        "RATE/MIN",
        "RUN P50",
        "RUN P95",
        "WAIT P50",
        "WAIT P95",
    ]
    assert [row.split()[:4] for row in rows] == [["broken", "0", "1", "0"], ["quick", "1", "0", "0"]]
    (row,) = (await stats(redis_server, "--function", "quick", "--since", "2m", "--json")).rows
    assert {name: row[name] for name in ("queue", "function", "done", "failed", "retried", "per_minute")} == {
        "queue": QUEUE,
        "function": "quick",
        "done": 1,
        "failed": 0,
        "retried": 0,
        "per_minute": 0.5,
    }
    assert 0 <= row["run_p50_s"] <= row["run_p95_s"]
    assert 0 <= row["wait_p50_s"] <= row["wait_p95_s"]


async def test_what_the_command_can_not_show(arq_redis: ArqRedis, redis_server: RedisServer) -> None:
    nothing = await stats(redis_server)
    assert (nothing.code, nothing.out) == (0, "")
    assert "has counted such jobs" in nothing.err
    slip = await stats(redis_server, "--queue", "shopp")
    assert slip.code == 1
    assert "there is no queue 'shopp'" in slip.err
    for since, why in (("1s", "kept for 72 h"), ("73h", "kept for 72 h"), ("soon", "is no duration")):
        refused = await stats(redis_server, "--since", since)
        assert refused.code == 2
        assert why in refused.err
