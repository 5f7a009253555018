"""A queue may have any name that arq has no key of. Names of our first versions are read, and nothing more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import redis

from arq._keys import check_queue_name, lookers_key, wake_key
from arq._redis import membership
from arq._worker import wake_tokens
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.utils import timestamp_ms
from arq.worker import Worker
from tests.arq.redis import inside
from tests.arq.redis.harness import CONNECT_S, enqueued, for_ever, hold_as_old, idle, members, quick, running
from tests.support.eventually import wait_until_async

OLD_REGISTER = "arq:workers"
TAKEN = [
    "arq:abort",
    "arq:leases",
    "arq:job:a",
    "arq:in-progress:a",
    "arq:retry:a",
    "arq:result:a",
    "arq:interrupted:a",
    "arq:claims:host:1:abcdef",
    "arq:batches:host:1:abcdef",
    "arq:lapses",
    "arq:members",
    "arq:epoch:host:1:abcdef",
    "arq:left:a",
    "arq:lookers:shop",
    "arq:wake:shop",
    "arq:wake",  # its health key would be the one for wake-up tokens of the queue `health-check`
    "arq:job",
    "arq:cron:shop:cron:clean:0123456789ab",
    "arq:stats:shop:29930726",
    "arq:stats:shop:h:2993072",
    "shop:health-check",
    "shop:health-check:pool:host:3",
]
#: beside one another: each of these was, or begins like, a key of the queue before it
FREE = [
    "shop",
    "shop:workers",
    "shop:wake",
    "arq",
    "arq:workers",
    "arq:waker",
    "arq:abort-reports",
    "arq:cron:jobs",
    "shop:health-check:daily",
    "лавка",
]


@pytest.fixture
async def pool(redis_settings: RedisSettings) -> AsyncIterator[ArqRedis]:
    """A pool that no worker closes."""
    pool = await create_pool(redis_settings)
    yield pool
    await pool.aclose()


def on(queue: str, settings: RedisSettings, **options: Any) -> Worker:
    return Worker(
        [quick, for_ever],
        queue_name=queue,
        redis_settings=settings,
        handle_signals=False,
        **{"poll_delay": 0.05} | options,
    )


@pytest.mark.keeps_keys(*FREE)
async def test_queues_of_such_names_do_not_disturb_one_another(
    pool: ArqRedis, redis_settings: RedisSettings
) -> None:
    """With jobs that are due now and later in all of them, while workers of all of them look, sweep and are woken."""
    calls = [
        JobCall("quick", number, _queue_name=queue, _job_id=f"{queue} {number}", _defer_by=number % 2 / 5)
        for queue in FREE
        for number in range(20)
    ]
    jobs = [job for job in await pool.enqueue_jobs(calls) if job is not None]
    async with running(*(on(queue, redis_settings) for queue in FREE)):
        results = await asyncio.gather(*(job.result(timeout=60) for job in jobs))
        assert results == list(range(20)) * len(FREE)
        # now that all look at their queues: with tokens
        again = [await enqueued(pool, "quick", queue, _queue_name=queue) for queue in FREE]
        assert await asyncio.gather(*(job.result(timeout=60) for job in again)) == FREE
    for queue in FREE:
        assert await pool.zcard(queue) == 0


@pytest.mark.parametrize("queue", TAKEN)
async def test_a_name_that_is_a_key_is_refused_in_one_line(
    pool: ArqRedis, redis_settings: RedisSettings, queue: str
) -> None:
    for _ in range(2):  # what is remembered of names is only what is allowed
        with pytest.raises(ValueError, match="choose another") as refused:
            await pool.enqueue_job("quick", _queue_name=queue)
        assert repr(queue) in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="choose another"):
        await pool.enqueue_jobs([JobCall("quick"), JobCall("quick", _queue_name=queue)])
    with pytest.raises(ValueError, match="choose another"):
        on(queue, redis_settings)
    assert await pool.dbsize() == 0


def test_every_key_that_a_script_makes_is_taken() -> None:
    """Whoever adds one has to say so in `arq._keys`."""
    folder, scripts = files("arq") / "lua", ""
    for path in (*folder.iterdir(), *(folder / "include").iterdir()):
        scripts += path.read_text() if path.name.endswith(".lua") else ""
    words = set(re.findall(r"prefix \.\. '([a-z-]+:)'", scripts))
    assert {"job:", "claims:", "wake:"} < words
    for word in words - {"cron:", "ticks:"}:  # a queue's name is in those
        with pytest.raises(ValueError, match="choose another"):
            check_queue_name(f"arq:{word}a")


@pytest.mark.parametrize("queue", FREE)
def test_a_name_that_is_no_key_is_free(queue: str) -> None:
    check_queue_name(queue)


async def test_a_pool_of_such_a_name(redis_settings: RedisSettings) -> None:
    pool = await create_pool(redis_settings, default_queue_name="arq:leases")
    with pytest.raises(ValueError, match="choose another"):
        await pool.enqueue_job("quick")
    with pytest.raises(ValueError, match="choose another"):
        Worker([quick], queue_name=None, redis_pool=pool)
    await pool.aclose()


@pytest.mark.parametrize(
    "key", ["shop", "arq:abort", "arq:leases", "arq:workers", "arq:job:a", "arq:wake:shop"]
)
def test_a_health_key_that_is_another_key(key: str) -> None:
    with pytest.raises(ValueError, match=f"health_check_key '{key}' .*choose another one$"):
        Worker([quick], queue_name="shop", health_check_key=key)


def test_a_health_key_of_ones_own() -> None:
    assert Worker([quick], health_check_key="shop:alive").health_check_key == "shop:alive"


async def test_nothing_is_written_under_the_old_names(pool: ArqRedis, redis_settings: RedisSettings) -> None:
    worker = on("shop", redis_settings, max_jobs=2)
    async with running(worker):
        await idle(worker)
        jobs = [await enqueued(pool, "quick", _queue_name="shop") for _ in range(9)]
        await enqueued(pool, "for_ever", _queue_name="shop")
        await asyncio.gather(*(job.result(timeout=30) for job in jobs))
        await wait_until_async(lambda: pool.exists(f"arq:batches:{worker.worker_id}"), what="one is running")
        assert await pool.exists("arq:leases", "arq:members", lookers_key("shop")) == 3
        await membership.release(pool, worker.worker_id)
        assert await pool.exists(OLD_REGISTER, "shop:wake", "shop:workers") == 0
        assert not await pool.exists(f"arq:claims:{worker.worker_id}")


# ---------------------------------------------------------------- a fleet in which our first versions still run


async def stand_as_old(pool: ArqRedis, worker_id: str, *job_ids: str, deadline: float = 1) -> None:
    """Let a worker of that version be one that holds these jobs, and is overdue."""
    for job_id in job_ids:
        await enqueued(pool, "quick", _job_id=job_id)
    await hold_as_old(pool, worker_id, *job_ids)
    await pool.zadd(OLD_REGISTER, {worker_id: deadline})
    await pool.expire(OLD_REGISTER, 600)


async def test_the_jobs_of_a_dead_old_worker_are_given_back(
    pool: ArqRedis, redis_settings: RedisSettings
) -> None:
    await stand_as_old(pool, "old:1", "a", "b")
    await stand_as_old(pool, "old:2", "c", deadline=timestamp_ms() + 600_000)
    assert (await membership.sweep(pool))["old:1"].job_ids == ["a", "b"]
    assert await membership.sweep(pool) == {}
    assert await members(pool, OLD_REGISTER) == ["old:2"]
    async with running(on("arq:queue", redis_settings)):
        await wait_until_async(lambda: pool.exists("arq:result:a", "arq:result:b"), what="they are run")
        assert not await pool.exists("arq:result:c")


async def test_what_else_stands_in_the_old_register_stays(pool: ArqRedis) -> None:
    """It may be the queue of somebody; a worker without jobs is not worth a risk either."""
    await stand_as_old(pool, "idle")
    for number in range(150):
        await enqueued(pool, "quick", _queue_name=OLD_REGISTER, _job_id=f"j{number}")
    ttl = await pool.pttl(OLD_REGISTER)
    assert await membership.sweep(pool) == {}
    assert await pool.zcard(OLD_REGISTER) == 151
    assert 0 < await pool.pttl(OLD_REGISTER) <= ttl


@pytest.mark.parametrize("kind", ["string", "list", "hash", "set"])
async def test_an_old_register_that_is_something_else(pool: ArqRedis, kind: str) -> None:
    await create(pool, kind, OLD_REGISTER)
    await membership.register(pool, "dead", 0)
    assert (await membership.sweep(pool))["dead"].job_ids == []
    assert await pool.exists(OLD_REGISTER)


async def create(pool: ArqRedis, kind: str, key: str) -> None:
    """A key of a type, for a minute."""
    if kind == "string":
        await pool.set(key, "x")
    elif kind == "list":
        await pool.rpush(key, "x")
    elif kind == "hash":
        await pool.hset(key, "x", "y")
    else:
        await pool.sadd(key, "x")
    await pool.expire(key, 60)


async def old_looker(pool: ArqRedis, queue: str) -> None:
    await pool.zadd(f"{queue}:workers", {"old:1": timestamp_ms() + 50_000})
    await pool.expire(f"{queue}:workers", 60)


async def test_old_tokens_wake_a_worker_while_old_workers_are_there(
    pool: ArqRedis, redis_settings: RedisSettings
) -> None:
    await old_looker(pool, "arq:queue")
    worker = on("arq:queue", redis_settings, poll_delay=600)
    async with running(worker):
        await idle(worker)
        job = await enqueued(pool, "quick")
        assert await job.result(timeout=30) == "quick"
        await idle(worker)
        # as an old producer does: the token is elsewhere
        await pool.delete(lookers_key("arq:queue"))
        job = await enqueued(pool, "quick")
        assert not await pool.exists(wake_key("arq:queue"))
        await pool.rpush("arq:queue:wake", "1")
        assert await job.result(timeout=30) == "quick"


async def test_a_list_of_somebody_elses_is_left_alone(pool: ArqRedis, redis_settings: RedisSettings) -> None:
    await pool.rpush("shop:wake", "mine", "mine, too")
    await pool.expire("shop:wake", 60)
    worker = on("shop", redis_settings)
    async with running(worker):
        await idle(worker)
        assert not inside.listener(worker).with_old
        assert await pool.llen("shop:wake") == 2


async def test_where_old_tokens_would_be_is_a_queue(
    pool: ArqRedis, redis_settings: RedisSettings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen once, and then not asked for again: not once a second."""
    monkeypatch.setattr(wake_tokens, "_RETRY_S", 0.01)
    await old_looker(pool, "shop")
    await enqueued(pool, "quick", _queue_name="shop:wake", _defer_by=60)
    worker = on("shop", redis_settings, poll_delay=600)
    async with running(worker):
        await idle(worker)
        listener = inside.listener(worker)
        await wait_until_async(lambda: listener._old_key is None, what="it is noticed")
        await idle(worker)
        redis_client.config_resetstat()
        job = await enqueued(pool, "quick", _queue_name="shop")
        assert await job.result(timeout=30) == "quick"
        await idle(worker)
        assert redis_client.info("commandstats")["cmdstat_blpop"]["calls"] <= 2
    await pool.delete("shop:wake")


async def test_a_user_who_may_see_only_arq_and_the_queue(
    pool: ArqRedis, redis_client: redis.Redis, redis_settings: RedisSettings
) -> None:
    """No key beside the queue, its health key and `arq:*` is needed."""
    keys = ["arq:*", "shop", "shop:health-check"]
    redis_client.acl_setuser(
        "narrow", reset=True, enabled=True, passwords=["+pw"], keys=keys, categories=["+@all"]
    )
    narrow = RedisSettings(
        host=redis_settings.host,
        port=redis_settings.port,
        username="narrow",
        password="pw",
        conn_timeout=CONNECT_S,
    )
    await old_looker(pool, "shop")
    try:
        async with running(on("shop", narrow, poll_delay=600)):
            job = await enqueued(pool, "quick", _queue_name="shop")
            assert await job.result(timeout=30) == "quick"
    finally:
        redis_client.acl_deluser("narrow")
