"""What supervisors say of their pools in Redis, and the dashboard reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from arq.admin import Admin, PoolReport
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def reports(pool: Pool) -> list[PoolReport]:
    async def look() -> list[PoolReport]:
        async with Admin.connect(f"redis://127.0.0.1:{pool.port}") as admin:
            return await admin.pools()

    return asyncio.run(look())


def test_a_pool_is_shown_with_its_restarts_until_it_stops(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2", "--name", "shop").ready()
    wait_until(lambda: [one.ready for one in reports(pool)] == [2], what="a report of two ready workers")
    (report,) = reports(pool)
    assert (report.pool, report.pid, report.procs, report.restarts) == ("shop", pool.pid, 2, 0)
    assert {slot.pid for slot in report.slots} == set(pool.workers().values())
    assert all(slot.rss_mb > 1 and slot.worker_id.startswith("shop:") for slot in report.slots)
    assert redis_client.pttl("arq:pools") > 0
    assert redis_client.pttl(f"arq:pool:shop:{report.host}") > 0
    pool.kill(pool.workers()[1])

    def is_told() -> bool:
        found = reports(pool)[0]
        return found.restarts == 1 and found.slots[1].last_exit == "SIGKILL" and found.ready == 2

    wait_until(is_told, what="a report of the restart")
    assert pool.stop() == 0
    assert reports(pool) == []
    assert redis_client.keys("arq:pool*") == []


@pytest.mark.parametrize(
    "said", [b"x", b"[]", b'{"pool": "a"}', b'{"pool": 1, "supervisor": []}', b"\xff" * 100]
)
async def test_what_is_no_report_is_left_out(redis_client: redis.Redis, arq_redis: Any, said: bytes) -> None:
    redis_client.set("arq:pool:a:b", said, ex=60)
    redis_client.zadd("arq:pools", {"a:b": 1})
    redis_client.expire("arq:pools", 60)
    assert await Admin(arq_redis).pools() == []
