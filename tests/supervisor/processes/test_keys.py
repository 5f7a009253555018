"""A pool, and what it finds in Redis: keys of older versions, and keys that are not what they should be."""

import datetime
import json

import pytest
import redis

from arq._health_line import Tally, format_line
from tests.supervisor.commands import run
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

HEALTH = "arq:queue:health-check"


def put_health(client: redis.Redis, key: str) -> None:
    line = format_line(Tally(), datetime.datetime(2026, 1, 1))
    client.set(key, line, ex=60)


def test_the_fleet_has_workers_of_older_versions_in_it(pool: Pool, redis_client: redis.Redis) -> None:
    redis_client.zadd("arq:workers", {"shop:old:0:00000000": 9e15, "a job of somebody's queue": 1})
    redis_client.zadd("arq:leases", {"shop:new:0:00000000": 9e15})
    redis_client.zadd("arq:workers", {b"\xff": 2})
    redis_client.expire("arq:workers", 60)
    put_health(redis_client, f"{HEALTH}:shop:old:0")
    put_health(redis_client, f"{HEALTH}:shop:new:0")
    done = run(pool, "--check", "--fleet", "--redis-url", f"redis://127.0.0.1:{pool.port}", "--json")
    report = json.loads(done.stdout)
    assert [one["host"] for one in report["pools"]] == ["new", "old"]
    assert report["healthy"] == 2


def test_the_fleet_where_the_old_register_is_something_else(pool: Pool, redis_client: redis.Redis) -> None:
    redis_client.rpush("arq:workers", "x")
    redis_client.expire("arq:workers", 60)
    redis_client.zadd("arq:leases", {"shop:new:0:00000000": 9e15})
    put_health(redis_client, f"{HEALTH}:shop:new:0")
    done = run(pool, "--check", "--fleet", "--redis-url", f"redis://127.0.0.1:{pool.port}")
    assert "1/1 healthy" in done.stdout


@pytest.mark.parametrize("kind", ["string", "list"])
def test_keys_of_a_wrong_type(pool: Pool, queue: Queue, redis_client: redis.Redis, kind: str) -> None:
    """The pool starts, runs jobs, keeps its leases, and stops as ever; Redis is not taken for lost."""

    def spoil(key: str) -> None:
        redis_client.delete(key)
        redis_client.set(key, "x", ex=60) if kind == "string" else redis_client.rpush(key, "x")
        redis_client.expire(key, 60)

    spoil("arq:leases")
    spoil("arq:lookers:arq:queue")
    pool.start("--procs", "2").ready()
    job_id = queue.put("echo", 1)
    assert queue.result(job_id) == 1
    spoil("arq:leases")
    assert queue.result(queue.put("echo", 2)) == 2
    wait_until(lambda: redis_client.type("arq:leases") == b"zset", what="the leases are there again")
    spoil("arq:claims:ghost")
    redis_client.zadd("arq:leases", {"ghost": 1})
    redis_client.zadd("arq:leases", {b"\xff": 1})
    wait_until(lambda: redis_client.zscore("arq:leases", "ghost") is None, what="the steward sweeps")
    spoil(f"{HEALTH}:app.Settings:nowhere:0")
    wait_until(lambda: redis_client.exists(HEALTH), what="the health line")
    spoil(HEALTH)
    assert pool.stop() == 0
    assert not pool.events("redis.lost")
    redis_client.delete(HEALTH)


def test_a_redis_over_its_memory_limit(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    """The pool starts, runs what is queued, keeps leases and health lines, and does not say that Redis is lost."""
    job_id = queue.put("echo", 1)
    redis_client.setrange("ballast", 1_000_000, "x")
    redis_client.expire("ballast", 60)
    redis_client.config_set("maxmemory-policy", "noeviction")
    redis_client.config_set("maxmemory", redis_client.info("memory")["used_memory"] - 100_000)
    try:
        pool.start("--procs", "1", "--name", "shop").ready()
        assert queue.result(job_id) == 1
        steward = pool.steward()
        wait_until(lambda: redis_client.exists(HEALTH), what="the health line")
        before = redis_client.zrange("arq:leases", 0, -1, withscores=True)
        wait_until(
            lambda: redis_client.zrange("arq:leases", 0, -1, withscores=True) != before,
            what="leases are renewed",
        )
        assert pool.steward() == steward
        assert pool.stop() == 0
    finally:
        redis_client.config_set("maxmemory", 0)
    assert not pool.events("redis.lost")
    assert not redis_client.exists(HEALTH)
