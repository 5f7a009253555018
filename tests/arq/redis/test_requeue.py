"""The dead set in the hands of operators: lists, one job, requeue, removal; `arq.admin.Admin` and `arq dead`."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from typing import Any

import pytest
import redis

from arq._keys import dead_key, dead_set_key
from arq.admin import Admin, Deed, JobState
from arq.connections import ArqRedis
from tests.arq.redis.harness import QUEUE, Ctx, broken, enqueued, quick
from tests.arq.redis.operators import Outcome, run_command
from tests.conftest import WorkerFactory
from tests.support.servers import RedisServer

DEAD = dead_set_key(QUEUE)


@pytest.fixture
async def admin(arq_redis: ArqRedis) -> Admin:
    return Admin(arq_redis)


async def died(arq_redis: ArqRedis, worker: WorkerFactory, *job_ids: str) -> None:
    for job_id in job_ids:
        await enqueued(arq_redis, "broken", _job_id=job_id)
    await worker([broken, quick]).main()


async def test_lists_and_one_job(admin: Admin, arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await died(arq_redis, worker, "a1", "a2", "b1")
    assert (await admin.counts()).dead == 3
    page = await admin.jobs(state="dead", limit=2)
    rest = await admin.jobs(state="dead", limit=2, cursor=page.cursor)
    jobs = [*page.jobs, *rest.jobs]
    assert {job.job_id for job in jobs} == {"a1", "a2", "b1"}
    assert {(job.state, job.function, job.error) for job in jobs} == {
        (JobState.dead, "broken", "ValueError('boom')")
    }
    assert rest.cursor == ""
    assert {job.job_id for job in (await admin.jobs(state="dead", id_prefix="a")).jobs} == {"a1", "a2"}
    assert not (await admin.jobs(state="dead", function="quick")).jobs
    assert not (await admin.jobs(state="dead", older_than=60)).jobs
    found = await admin.dead_job("a1")
    assert found is not None
    assert "in broken" in found.traceback
    assert [event.what for event in found.timeline] == ["enqueued", "started", "failed"]
    assert await admin.dead_job("c") is None


async def test_requeued_jobs_run_again_under_their_ids(
    admin: Admin, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    ran = []

    async def mended(ctx: Ctx) -> None:
        ran.append((ctx["job_id"], ctx["job_try"]))

    mended.__qualname__ = "broken"
    await died(arq_redis, worker, "a", "b")
    assert await admin.requeue(["a", "x"]) == [Deed.done, Deed.unknown]
    assert not await arq_redis.exists("arq:result:a", dead_key("a"))
    assert 86_000 < await arq_redis.ttl("arq:job:a") <= 86_400
    await worker([mended]).main()
    assert ran == [("a", 1)]
    assert (await admin.counts()).dead == 1


async def test_one_more_try(admin: Admin, arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await enqueued(arq_redis, "broken", _job_id="a", _job_try=4)
    await worker([broken]).main()
    assert await admin.requeue(["a"], tries=1) == [Deed.done]
    assert await arq_redis.get("arq:retry:a") == b"3"


async def test_what_is_queued_or_runs_or_has_died_again_is_left_alone(
    admin: Admin, arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis
) -> None:
    await died(arq_redis, worker, "queued", "runs", "again")
    listed = (await admin.jobs(state="dead")).jobs
    redis_client.delete("arq:result:queued", "arq:result:again")
    await died(arq_redis, worker, "again")
    await enqueued(arq_redis, "quick", _job_id="queued", _defer_by=60)
    redis_client.set("arq:in-progress:runs", "1", ex=60)
    by_id = dict(zip((job.job_id for job in listed), await admin.requeue(listed), strict=True))
    assert by_id == {"queued": Deed.queued, "runs": Deed.running, "again": Deed.changed}
    assert (await admin.counts()).dead == 3
    redis_client.delete("arq:in-progress:runs", "arq:job:queued", QUEUE)


async def test_nothing_of_a_payload_is_run(admin: Admin, redis_client: redis.Redis) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (redis.Redis, ())

    payload = pickle.dumps({"t": None, "f": "f", "a": (Evil(),), "k": {}, "et": 1})
    redis_client.hset(dead_key("a"), mapping={"payload": payload, "entry": json.dumps({"v": 99})})
    redis_client.hset(dead_key("b"), mapping={"payload": b"?"})
    redis_client.zadd(DEAD, {"a": 1000, "b": 2000})
    for key in (dead_key("a"), dead_key("b"), DEAD):
        redis_client.expire(key, 60)
    first, second = (await admin.jobs(state="dead")).jobs
    assert (first.job_id, first.function) == ("b", None)
    assert "Redis" in second.arguments
    assert "version 99" in second.problem
    assert await admin.requeue(["b"]) == [Deed.done]
    redis_client.delete("arq:job:b", QUEUE)


# --- the command ---


@pytest.fixture
def arq(redis_server: RedisServer, redis_client: redis.Redis) -> Any:
    def run(*words: str, code: int = 0) -> Outcome:
        outcome = run_command(*words, ARQ_REDIS=redis_server.dsn)
        assert outcome.code == code, outcome
        return outcome

    return run


def bury(redis_client: redis.Redis, *job_ids: str) -> None:
    now_ms = int(time.time() * 1000)
    payload = pickle.dumps({"t": None, "f": "f", "a": (), "k": {}, "et": now_ms})
    entry = {"v": 1, "function": "f", "error": "ValueError('boom')", "kind": "builtins.ValueError"}
    for job_id in job_ids:
        redis_client.hset(dead_key(job_id), mapping={"payload": payload, "entry": json.dumps(entry)})
        redis_client.expire(dead_key(job_id), 600)
    redis_client.zadd(DEAD, dict.fromkeys(job_ids, now_ms))
    redis_client.expire(DEAD, 600)


def test_arq_dead(arq: Any, redis_client: redis.Redis) -> None:
    assert "is empty" in arq("dead", "ls").err
    bury(redis_client, "a", "b", "c")
    assert {row["id"] for row in arq("dead", "ls", "--json").rows} == {"a", "b", "c"}
    assert "boom" in arq("dead", "ls").out
    assert arq("dead", "show", "a", "--json").rows[0]["error"] == "ValueError('boom')"
    assert "there is no job 'x'" in arq("dead", "show", "x", code=1).err
    assert "would requeue 3 jobs" in arq("dead", "requeue", "--all", "--dry-run").err
    assert "--yes" in arq("dead", "requeue", "--all", code=2).err
    assert arq("dead", "requeue", "a", "--yes").out == "a: requeued\n"
    assert "there is no such job" in arq("dead", "requeue", "a", "--yes", code=1).err
    assert arq("dead", "rm", "b", "--yes").out == "b: removed\n"
    assert redis_client.zrange(DEAD, 0, -1) == [b"c"]
    assert redis_client.zrange(QUEUE, 0, -1) == [b"a"]
    assert "is no rate" in arq("dead", "requeue", "c", "--rate", "fast", code=2).err


def test_a_rate_is_kept(arq: Any, redis_client: redis.Redis) -> None:
    bury(redis_client, *(f"{number}" for number in range(30)))
    began_s = time.monotonic()
    arq("dead", "requeue", "--all", "--rate", "60/s", "--yes")
    assert time.monotonic() - began_s > 0.35
    assert redis_client.zcard(QUEUE) == 30


async def test_a_bulk_requeue_ends_when_all_die_again(
    arq: Any, arq_redis: ArqRedis, worker: WorkerFactory, redis_client: redis.Redis
) -> None:
    bury(redis_client, *(f"{number}" for number in range(300)))
    await asyncio.to_thread(arq, "dead", "requeue", "--all", "--yes")
    one = worker([quick])  # knows no `f`: each fails again
    await one.main()
    assert one.jobs_failed == 300
    assert redis_client.zcard(DEAD) == 300
