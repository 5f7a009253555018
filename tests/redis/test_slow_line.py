"""What is large takes longer than an answer may take: it gets its time as long as it moves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from arq.connections import ArqRedis, RedisSettings, create_pool
from tests.conftest import WorkerFactory
from tests.redis.harness import CONNECT_S, Ctx, enqueued
from tests.support.servers import HOST, RedisServer
from tests.support.slow import slow_line

#: A transfer of half a second or more; answers may take 0.3 s.
SIZE = 5_000_000


@pytest.fixture
async def slow(redis_server: RedisServer, arq_redis: ArqRedis) -> AsyncIterator[RedisSettings]:
    async with slow_line(redis_server) as line:
        yield RedisSettings(
            host=HOST, port=line.port, conn_retries=0, conn_timeout=CONNECT_S, socket_timeout=0.3
        )


async def sized(ctx: Ctx, size: int) -> bytes:
    return bytes(size)


async def count(ctx: Ctx, payload: bytes) -> int:
    return len(payload)


async def test_large_results_and_payloads_pass_a_slow_line(
    arq_redis: ArqRedis, slow: RedisSettings, impatient: None, worker: WorkerFactory
) -> None:
    pool = await create_pool(slow)
    try:
        job = await enqueued(pool, "count", bytes(SIZE))
        other = await enqueued(arq_redis, "sized", SIZE)
        one = worker([sized, count], redis_settings=slow)
        await one.main()
        assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (2, 0, 0)
        assert await job.result() == SIZE
        other._redis = pool
        assert await other.result() == bytes(SIZE)
    finally:
        await pool.aclose(close_connection_pool=True)
