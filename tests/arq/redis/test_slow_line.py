"""What is large takes longer than an answer may take: it gets its time as long as it moves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from arq.connections import ArqRedis, RedisSettings, create_pool
from tests.arq.redis import inside
from tests.arq.redis.harness import CONNECT_S, Ctx, enqueued
from tests.conftest import WorkerFactory
from tests.support.servers import HOST, RedisServer
from tests.support.slow import slow_line

#: A transfer of more than a second. Up to 4 MB may lie in the buffers of the system, where nobody sees them move.
SIZE = 12_000_000
LIMIT_S = 0.8


@pytest.fixture
async def slow(redis_server: RedisServer, arq_redis: ArqRedis) -> AsyncIterator[RedisSettings]:
    async with slow_line(redis_server) as line:
        yield RedisSettings(
            host=HOST, port=line.port, conn_retries=0, conn_timeout=CONNECT_S, socket_timeout=LIMIT_S
        )


async def sized(ctx: Ctx, size: int) -> bytes:
    return bytes(size)


async def count(ctx: Ctx, payload: bytes) -> int:
    return len(payload)


@pytest.mark.slow
async def test_a_worker_reads_and_writes_over_a_slow_line(
    arq_redis: ArqRedis, slow: RedisSettings, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.wait_for_answers(monkeypatch, LIMIT_S)
    jobs = [await enqueued(arq_redis, "count", bytes(SIZE)), await enqueued(arq_redis, "sized", SIZE)]
    one = worker([sized, count], redis_settings=slow)
    await one.main()
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (2, 0, 0)
    assert [await job.result() for job in jobs] == [SIZE, bytes(SIZE)]


async def test_a_result_is_read_over_a_slow_line(
    arq_redis: ArqRedis, slow: RedisSettings, worker: WorkerFactory
) -> None:
    job = await enqueued(arq_redis, "sized", SIZE)
    await worker([sized]).main()
    pool = await create_pool(slow)
    try:
        job._redis = pool
        assert await job.result() == bytes(SIZE)
    finally:
        await pool.aclose(close_connection_pool=True)
