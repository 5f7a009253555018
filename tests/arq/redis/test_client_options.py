"""Clients that an application has made for itself, with options that change what commands and answers look like."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio import BlockingConnectionPool, ConnectionPool

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Worker, async_check_health, func
from tests.arq.redis.harness import enqueued, for_ever, nothing_held, quick, running
from tests.support.eventually import wait_until_async
from tests.support.servers import HOST

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decoded": {"decode_responses": True},
    "decoded, RESP2": {"decode_responses": True, "protocol": 2},
    "decoded, RESP3": {"decode_responses": True, "protocol": 3},
    "RESP2": {"protocol": 2},
    "RESP3": {"protocol": 3},
    "latin": {"encoding": "latin-1", "decode_responses": True},
    "utf-16": {"encoding": "utf-16-le"},
    "strict ascii": {"encoding": "ascii", "encoding_errors": "strict", "decode_responses": True},
    "single": {"single_connection_client": True},
    "checked": {"health_check_interval": 1, "client_name": "shop"},
}


@contextlib.asynccontextmanager
async def client_with(settings: RedisSettings, **options: Any) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis(host=HOST, port=settings.port, **options)
    try:
        yield client
    finally:
        await client.aclose(close_connection_pool=True)


async def does_everything(pool: ArqRedis, settings: RedisSettings) -> None:
    """A worker and a producer with this client: jobs run, are aborted, listed, and nothing stays locked."""
    worker = Worker(
        [quick, func(for_ever, name="for_ever")],
        redis_pool=pool,
        allow_abort_jobs=True,
        poll_delay=0.05,
        handle_signals=False,
    )
    async with running(worker):
        umlaut = await enqueued(pool, "quick", "Grüße ✓", _job_id="grün-✓")
        never, later = await enqueued(pool, "for_ever"), await enqueued(pool, "quick", _defer_by=3600)
        assert await umlaut.result(timeout=30) == "Grüße ✓"
        await wait_until_async(lambda: worker.job_tasks, what="it runs")
        assert await never.status() is JobStatus.in_progress
        assert await never.abort(timeout=30)
        assert {job.job_id for job in await pool.queued_jobs()} == {later.job_id}
        assert {result.job_id for result in await pool.all_job_results()} == {"grün-✓", never.job_id}
        assert (await pool._get_job_result("arq:result:grün-✓".encode())).result == "Grüße ✓"
        assert (await later.info()) is not None
        found = await umlaut.result_info()
        assert found is not None
        assert found.result == "Grüße ✓"
        assert await async_check_health(settings) == 0


@pytest.mark.parametrize("name", OPTIONS)
async def test_a_pool_of_the_applications_own(redis_settings: RedisSettings, name: str) -> None:
    async with client_with(redis_settings, **OPTIONS[name]) as client:
        await client.ping()
        await does_everything(ArqRedis(pool_or_conn=client.connection_pool), redis_settings)


@pytest.mark.parametrize("name", ["decoded", "utf-16", "single"])
async def test_a_client_that_is_made_with_these_options(redis_settings: RedisSettings, name: str) -> None:
    pool = ArqRedis(host=HOST, port=redis_settings.port, **OPTIONS[name])
    await does_everything(pool, redis_settings)
    await pool.aclose(close_connection_pool=True)


async def test_a_client_instead_of_its_pool(redis_settings: RedisSettings) -> None:
    async with client_with(redis_settings, decode_responses=True) as client:
        await does_everything(ArqRedis(client), redis_settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [1, 3])
async def test_a_pool_that_makes_its_users_wait(redis_settings: RedisSettings, most: int) -> None:
    pool = BlockingConnectionPool(host=HOST, port=redis_settings.port, max_connections=most, timeout=30)
    await does_everything(ArqRedis(pool), redis_settings)
    await pool.disconnect()


def changed(answer: Any, **_: Any) -> str:
    return f"changed {answer!r}"


async def test_response_callbacks(redis_settings: RedisSettings) -> None:
    """They are for the application's own commands."""
    pool = ArqRedis(host=HOST, port=redis_settings.port)
    for command in ("GET", "ZCARD", "ZRANGE", "EVALSHA", "MGET", "SCAN", "SET", "DEL"):
        pool.set_response_callback(command, changed)  # type: ignore[arg-type]
    await does_everything(pool, redis_settings)
    assert await pool.get("nothing") == "changed None"
    await pool.aclose(close_connection_pool=True)


async def test_a_burst_ends_when_the_queue_is_empty(redis_settings: RedisSettings) -> None:
    async with client_with(redis_settings, encoding="utf-16-le") as client:
        pool = ArqRedis(client.connection_pool)
        await enqueued(pool, "quick")
        worker = Worker([quick], redis_pool=pool, burst=True, poll_delay=0, handle_signals=False)
        assert await worker.run_check() == 1
        await worker.close()
    fresh = await create_pool(redis_settings)
    await nothing_held(fresh)
    await fresh.aclose()


async def test_a_job_reads_what_the_applications_client_gives(redis_settings: RedisSettings) -> None:
    async def reads(ctx: dict[str, Any]) -> Any:
        await ctx["redis"].set("key", "Grüße", ex=60)
        return await ctx["redis"].get("key")

    async with client_with(redis_settings, decode_responses=True) as client:
        pool = ArqRedis(client.connection_pool)
        worker = Worker([func(reads, name="reads")], redis_pool=pool, poll_delay=0, handle_signals=False)
        async with running(worker):
            assert await (await enqueued(pool, "reads")).result(timeout=30) == "Grüße"


@pytest.mark.parametrize("name", ["plain", "decoded", "decoded, RESP2", "utf-16"])
async def test_a_job_of_a_plain_client(arq_redis: ArqRedis, redis_settings: RedisSettings, name: str) -> None:
    """Which is no `ArqRedis`."""
    later = await enqueued(arq_redis, "quick", _job_id="später", _defer_by=3600)
    done = await enqueued(arq_redis, "quick")
    worker = Worker([quick], redis_pool=arq_redis, burst=True, max_burst_jobs=1, handle_signals=False)
    await worker.main()
    async with client_with(redis_settings, **OPTIONS[name]) as client:
        assert await Job(later.job_id, client).status() is JobStatus.deferred
        assert (await Job(later.job_id, client).info()) is not None
        assert await Job(done.job_id, client).status() is JobStatus.complete
        assert (await Job(done.job_id, client).result_info()) is not None
        if name != "utf-16":  # its pipelines are the application's
            assert await Job(done.job_id, client).result(timeout=30) == "quick"


# --- few connections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_given", [False, True], ids=["its own", "the application's"])
@pytest.mark.parametrize("most", [1, 2, 5])
async def test_jobs_that_use_the_workers_few_connections(
    redis_settings: RedisSettings, most: int, is_given: bool
) -> None:
    """They wait for one another, none fails."""
    settings = replace(redis_settings, max_connections=most)
    pool = await create_pool(settings)
    few = ArqRedis(ConnectionPool(host=HOST, port=redis_settings.port, max_connections=most))
    client: dict[str, Any] = {"redis_pool": few} if is_given else {"redis_settings": settings}

    async def counts(ctx: dict[str, Any]) -> None:
        await asyncio.gather(*(ctx["redis"].incr("counter") for _ in range(4)))
        async with ctx["redis"].pipeline(transaction=True) as pipe:
            assert await pipe.incr("counter").execute()
        assert await ctx["redis"].enqueue_job("quick", _queue_name="elsewhere") is not None

    worker = Worker([func(counts, name="counts")], **client, max_jobs=20, handle_signals=False)
    async with running(worker):
        jobs = await asyncio.gather(*(pool.enqueue_job("counts") for _ in range(60)))
        await asyncio.gather(*(job.result(timeout=60) for job in jobs if job is not None))
    assert worker.jobs_failed == 0
    assert await pool.get("counter") == b"300"
    await pool.expire("counter", 60)
    assert await pool.zcard("elsewhere") == 60
    assert len(pool.connection_pool._available_connections) <= most
    await pool.aclose()
    await few.aclose(close_connection_pool=True)


async def test_enqueueing_waits_for_a_connection_of_a_full_pool(redis_settings: RedisSettings) -> None:
    """Also where the pool is the application's, and refuses others at once."""
    only = ConnectionPool(host=HOST, port=redis_settings.port, max_connections=1)
    pool = ArqRedis(only)
    taken = await only.get_connection(*(() if redis.__version__ >= "5.3" else ("PING",)))  # type: ignore[no-untyped-call]
    enqueueing = asyncio.gather(*(pool.enqueue_job("quick") for _ in range(20)))
    with pytest.raises(redis.exceptions.ConnectionError, match="Too many connections"):
        await redis.asyncio.Redis(connection_pool=only).ping()
    assert not enqueueing.done()
    await only.release(taken)
    assert None not in await enqueueing
    await only.disconnect()


async def test_nobody_waits_for_ever(redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arq._redis.connection_pools.WAIT_S", 0.05)
    pool = await create_pool(replace(redis_settings, max_connections=1))
    pubsub = pool.pubsub()
    await pubsub.subscribe("news")
    for call in (pool.ping(), pool.enqueue_job("quick")):
        with pytest.raises(redis.exceptions.ConnectionError, match="Too many connections"):
            await call
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    assert await pool.enqueue_job("quick")
    await pool.aclose()
