"""Scores and counts that are none, as somebody may have written them: operators see the rest all the same."""

from __future__ import annotations

import pytest

from arq._keys import dead_key, dead_set_key, evicted_key
from arq.admin import Admin
from arq.connections import ArqRedis
from arq.constants import abort_jobs_ss
from tests.arq.redis.harness import QUEUE


@pytest.mark.keeps_keys
@pytest.mark.parametrize("score", ["-inf", "+inf", "1e308", "-1e308"])
async def test_numbers_that_are_no_times(arq_redis: ArqRedis, score: str) -> None:
    admin = Admin(arq_redis)
    await arq_redis.enqueue_job("f", _job_id="a")
    await arq_redis.zadd(QUEUE, {"a": score})
    await arq_redis.zadd(abort_jobs_ss, {"a": score})
    await arq_redis.zadd(dead_set_key(QUEUE), {"b": score})
    await arq_redis.hset(dead_key("b"), mapping={"payload": "x", "entry": "x"})
    await arq_redis.expire(dead_key("b"), 100)
    await arq_redis.set(evicted_key(QUEUE), "many", ex=100)
    counts = await admin.counts()
    assert (counts.queued + counts.deferred, counts.dead, counts.evicted) == (1, 1, 0)
    (queue,) = (await admin.overview()).queues
    assert (queue.queued + queue.deferred, queue.dead, queue.evicted) == (1, 1, 0)
    assert await admin.job("a")
    assert [job.job_id for job in (await admin.jobs(state="dead")).jobs] == ["b"]
    assert await admin.dead_job("b")
