"""Jobs that fail for good are kept in the dead set of their queue, in the same step as their failure is written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from arq import Retry, func
from arq._dead_letters import read_dead_letter
from arq._keys import dead_key, dead_set_key, errors_key
from arq.connections import ArqRedis
from tests.arq.redis.harness import QUEUE, Ctx, broken, enqueued, quick
from tests.conftest import WorkerFactory

pytestmark = pytest.mark.keeps_keys()
DEAD = dead_set_key(QUEUE)


async def ids(redis: ArqRedis) -> list[str]:
    found: Any = await redis.zrange(DEAD, 0, -1)
    return [job_id.decode() for job_id in found]


async def kept_of(redis: ArqRedis, job_id: str) -> dict[bytes, bytes]:
    found: Any = await redis.hgetall(dead_key(job_id))
    return dict(found)


async def errors_of(redis: ArqRedis, job_id: str) -> list[str]:
    found: Any = await redis.lrange(errors_key(job_id), 0, -1)
    return [error.decode() for error in found]


async def test_what_is_kept_of_a_job(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await enqueued(arq_redis, "broken", _job_id="a")
    payload = await arq_redis.get("arq:job:a")
    await worker([broken]).main()
    assert await ids(arq_redis) == ["a"]
    kept = await kept_of(arq_redis, "a")
    assert kept[b"payload"] == payload
    assert kept[b"queue"] == QUEUE.encode()
    letter = read_dead_letter(kept[b"entry"], [])
    assert (letter.function, letter.kind, letter.tries) == ("broken", "builtins.ValueError", 1)
    assert "boom" in letter.error
    assert "in broken" in letter.traceback
    for key in (DEAD, dead_key("a")):
        assert 600_000 < await arq_redis.ttl(key) <= 604_800


async def test_what_succeeds_or_has_no_payload_or_is_aborted_is_not_kept(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    await enqueued(arq_redis, "quick")
    await enqueued(arq_redis, "broken", _job_id="expired")
    await arq_redis.delete("arq:job:expired")
    aborted = await enqueued(arq_redis, "broken", _defer_by=60)
    await aborted.abort()
    await worker([quick, broken]).main()
    assert await ids(arq_redis) == []


@pytest.mark.parametrize(
    ("of_function", "of_worker", "is_kept"),
    [
        ({}, {}, True),
        ({}, {"dead_letter": False}, False),
        ({"dead_letter": True}, {"dead_letter": False}, True),
        ({"dead_letter": False}, {}, False),
        ({"keep_result": 0}, {}, False),
        ({}, {"keep_result": 0}, False),
        ({"dead_letter": True}, {"keep_result": 0}, True),
    ],
)
async def test_whose_jobs_are_kept(
    arq_redis: ArqRedis,
    worker: WorkerFactory,
    of_function: dict[str, Any],
    of_worker: dict[str, Any],
    is_kept: bool,
) -> None:
    await enqueued(arq_redis, "broken")
    await worker([func(broken, name="broken", **of_function)], **of_worker).main()
    assert len(await ids(arq_redis)) == is_kept


async def test_a_function_that_the_worker_does_not_have(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await enqueued(arq_redis, "unknown", _job_id="a")
    await worker([quick]).main()
    assert b"not found" in (await kept_of(arq_redis, "a"))[b"entry"]


async def test_errors_of_earlier_tries_are_kept_and_go_with_a_success(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def shaky(ctx: Ctx, good_try: int) -> None:
        if ctx["job_try"] < good_try:
            raise ValueError(f"try {ctx['job_try']}")

    await enqueued(arq_redis, "shaky", 9, _job_id="bad")
    await enqueued(arq_redis, "shaky", 3, _job_id="good")
    policy = func(shaky, name="shaky", retry_on=ValueError, backoff=lambda n, exc: 0, max_tries=4)
    await worker([policy], poll_delay=0.01).main()
    assert await ids(arq_redis) == ["bad"]
    assert await errors_of(arq_redis, "bad") == [
        "ValueError('try 1')",
        "ValueError('try 2')",
        "ValueError('try 3')",
    ]
    assert await arq_redis.ttl(errors_key("bad")) > 0
    assert not await arq_redis.exists(errors_key("good"))


async def test_arqs_own_retry_is_no_failure(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    async def again(ctx: Ctx) -> None:
        if ctx["job_try"] < 3:
            raise Retry(0)

    await enqueued(arq_redis, "again", _job_id="a")
    await worker([func(again, name="again")], poll_delay=0.01).main()
    assert not await arq_redis.exists(errors_key("a"))


async def test_the_set_is_bounded_by_number_and_says_what_leaves_it(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(7):
        await enqueued(arq_redis, "broken", _job_id=f"{number}")
    await worker([broken], dead_max=3).main()
    assert len(await ids(arq_redis)) == 3
    assert await arq_redis.get(f"arq:evicted:{QUEUE}") == b"4"
    assert len(await arq_redis.keys("arq:dead:*")) == 3
    assert [record for record in caplog.records if "had to leave it" in record.getMessage()]


async def test_the_set_is_bounded_by_age(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.zadd(DEAD, {"old": 1000})
    await arq_redis.hset(dead_key("old"), "entry", "x")
    await enqueued(arq_redis, "broken", _job_id="new")
    await worker([broken], dead_ttl=timedelta(hours=1)).main()
    assert await ids(arq_redis) == ["new"]
    assert not await arq_redis.exists(dead_key("old"))
    assert 0 < await arq_redis.ttl(DEAD) <= 3600


async def test_the_hook_is_called_when_the_job_is_there(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    told = []

    async def on_dead(ctx: Ctx) -> None:
        told.append((ctx["job_id"], ctx["function"], str(ctx["error"]), await ids(arq_redis)))

    await enqueued(arq_redis, "broken", _job_id="a")
    await worker([broken, quick], on_dead=on_dead).main()
    assert told == [("a", "broken", "boom", ["a"])]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dead_max": 0}, "dead_max must be a whole number from 1 on"),
        ({"dead_ttl": 0}, "dead_ttl must be a time in seconds above 0"),
        ({"on_dead": 3}, "on_dead"),
    ],
)
def test_wrong_options_are_named(wrong: dict[str, Any], said: str, worker: WorkerFactory) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        worker([broken], **wrong)
