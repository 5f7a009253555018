"""What the log says about the server, and a warning when it is older than any that arq is tested with."""

from __future__ import annotations

import logging
import re

import pytest
import redis

from arq._redis import server_probe
from arq.connections import ArqRedis, RedisSettings, create_pool, log_redis_info
from tests.support.eventually import wait_until_async


async def test_the_line(arq_redis: ArqRedis, redis_client: redis.Redis) -> None:
    """One, which programs read up to its end; Valkey's own version stands beside that of the Redis it is like."""
    lines: list[str] = []
    await log_redis_info(arq_redis, lines.append)
    (line,) = lines
    server = redis_client.info("server")
    assert re.fullmatch(r"redis_version=\S+ mem_usage=\S+ clients_connected=\d+ db_keys=0", line)
    versions = line.split()[0]
    assert versions.startswith(f"redis_version={server['redis_version']}")
    own = server.get("valkey_version")
    assert versions.endswith(f",valkey_version={own}" if own else server["redis_version"])


async def test_no_connection_stays_for_it(redis_settings: RedisSettings, redis_client: redis.Redis) -> None:
    """A worker that waits for jobs has those that it waits with, and no other."""
    before = len(redis_client.client_list())
    pool = await create_pool(redis_settings)
    lines: list[str] = []
    await log_redis_info(pool, lines.append)
    assert len(lines) == 1
    await wait_until_async(lambda: _has_clients(redis_client, before), what="the connection is closed")
    await pool.aclose()


async def _has_clients(redis_client: redis.Redis, count: int) -> bool:
    return len(redis_client.client_list()) == count


async def test_a_server_that_is_too_old_is_told_of_once(
    redis_settings: RedisSettings,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And works all the same. Where the server is not old, what counts as old is changed."""
    version = tuple(map(int, redis_client.info("server")["redis_version"].split(".")))
    monkeypatch.setattr("arq._redis.server_errors.OLDEST", max((7, 0), (version[0], version[1] + 1)))
    server_probe._warn_of_age.cache_clear()
    for _ in range(3):
        pool = await create_pool(redis_settings)
        assert await pool.enqueue_job("f")
        await pool.aclose()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith(f"redis {'.'.join(map(str, version))} is older than ")


async def test_nothing_is_said_of_others(
    redis_settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    pool = await create_pool(redis_settings)
    await pool.aclose()
    assert "older than" not in caplog.text or "redis 6." in caplog.text
