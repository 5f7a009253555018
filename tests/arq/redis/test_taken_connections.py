"""Producers take a connection at hand from the pool by themselves, unless the pool has its own way."""

from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool

from arq.connections import ArqRedis, RedisSettings
from tests.support.servers import HOST


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often redis-py has looked whether a connection is good."""
    asked: list[str] = []
    ensure = ConnectionPool.ensure_connection

    async def count(pool: ConnectionPool, connection: Connection) -> None:
        asked.append("looked")
        await ensure(pool, connection)

    monkeypatch.setattr(ConnectionPool, "ensure_connection", count)
    return asked


async def connections(pool: ArqRedis) -> set[str]:
    return {client["id"] for client in await pool.client_list() if client["cmd"] != "ping"}


async def test_one_connection_serves_in_turn(arq_redis: ArqRedis, asked: list[str]) -> None:
    await arq_redis.enqueue_job("f")
    before = await connections(arq_redis)
    for _ in range(5):
        asked.clear()
        assert await arq_redis.enqueue_job("f") is not None
        assert not asked
        assert await connections(arq_redis) == before
    assert await arq_redis.zcard("arq:queue") == 6


async def test_one_that_was_cut_is_replaced(arq_redis: ArqRedis, asked: list[str]) -> None:
    await arq_redis.enqueue_job("f")
    own_id = (await arq_redis.client_list())[0]["id"]
    assert await arq_redis.client_kill_filter(_id=own_id, skipme=False) == 1
    asked.clear()
    assert await arq_redis.enqueue_job("f") is not None
    assert await arq_redis.zcard("arq:queue") == 2


async def test_pools_that_count_or_wait_are_asked(
    redis_settings: RedisSettings, arq_redis: ArqRedis, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await arq_redis.enqueue_job("f")
    await arq_redis.ping()  # the connection is the pool's again
    monkeypatch.setattr("arq._redis.connection_pools._are_counted", lambda: True)
    asked.clear()
    await arq_redis.enqueue_job("f")
    assert asked
    monkeypatch.undo()


class Watched(ConnectionPool):
    """Has a way of its own."""

    taken = 0

    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        self.taken += 1
        return await super().get_connection(*args, **kwargs)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kind", [Watched, BlockingConnectionPool])
async def test_pools_of_other_kinds(redis_settings: RedisSettings, kind: type[ConnectionPool]) -> None:
    pool = kind(host=HOST, port=redis_settings.port, max_connections=3)
    client = ArqRedis(pool)
    for _ in range(3):
        assert await client.enqueue_job("f") is not None
    if isinstance(pool, Watched):
        assert pool.taken == 3
    assert await client.zcard("arq:queue") == 3
    await client.aclose()
    await pool.disconnect()
