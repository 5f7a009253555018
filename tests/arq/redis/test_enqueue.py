"""Putting jobs into the queue."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import Job, SerializationError
from arq.utils import timestamp_ms
from tests.arq.redis.harness import QUEUE, RoundTrips, claim, keys

DAY_MS = 86_400_000


async def payload_of(pool: ArqRedis, job_id: str) -> dict[str, Any]:
    found: Any = await pool.get(f"arq:job:{job_id}")
    return dict(pickle.loads(found))


async def test_what_is_written(arq_redis: ArqRedis) -> None:
    before = timestamp_ms()
    job = await arq_redis.enqueue_job("f", 1, "two", three=3)
    assert isinstance(job, Job)
    assert len(job.job_id) == 32
    assert await keys(arq_redis) == {QUEUE, f"arq:job:{job.job_id}"}
    payload = await payload_of(arq_redis, job.job_id)
    assert payload == {"t": None, "f": "f", "a": (1, "two"), "k": {"three": 3}, "et": payload["et"]}
    assert before <= payload["et"] <= timestamp_ms()
    score = await arq_redis.zscore(QUEUE, job.job_id)
    assert score is not None
    assert before - 1 <= score <= timestamp_ms()  # Redis rounds down
    assert DAY_MS - 60_000 < await arq_redis.pttl(f"arq:job:{job.job_id}") <= DAY_MS


async def test_one_round_trip(arq_redis: ArqRedis, redis_client: redis.Redis) -> None:
    await arq_redis.enqueue_job("f")  # the server has the script now
    trips = RoundTrips(redis_client)
    await arq_redis.enqueue_job("f")
    assert trips.so_far() == 1
    await arq_redis.enqueue_job("f", _job_id="a")
    assert await arq_redis.enqueue_job("f", _job_id="a") is None
    assert trips.so_far() == 2


async def test_calls_at_the_same_time_share_a_round_trip_and_a_connection(
    arq_redis: ArqRedis, redis_client: redis.Redis
) -> None:
    await arq_redis.enqueue_job("f")
    trips = RoundTrips(redis_client)
    connections = redis_client.info("stats")["total_connections_received"]
    jobs = await asyncio.gather(*(arq_redis.enqueue_job("f", i) for i in range(300)))
    assert trips.so_far() <= 6
    assert redis_client.info("stats")["total_connections_received"] == connections
    assert len({job.job_id for job in jobs if job is not None}) == 300
    assert await arq_redis.zcard(QUEUE) == 301


async def test_one_of_many_with_the_same_id_gets_through(arq_redis: ArqRedis) -> None:
    jobs = await asyncio.gather(*(arq_redis.enqueue_job("f", i, _job_id="same") for i in range(50)))
    assert [job is not None for job in jobs] == [True] + [False] * 49
    assert await arq_redis.zcard(QUEUE) == 1


@pytest.mark.parametrize("later", [{}, {"_defer_by": 60}])
async def test_of_jobs_with_one_id_in_one_call_the_first_counts(
    arq_redis: ArqRedis, later: dict[str, Any]
) -> None:
    calls = [JobCall("f", n, _job_id=job_id) for n, job_id in enumerate(["a", "same", "b", "same"])]
    calls += [JobCall("f", n + 4, _job_id=job_id, **later) for n, job_id in enumerate(["c", "same", "d"])]
    jobs = await arq_redis.enqueue_jobs(calls)
    assert [job is not None for job in jobs] == [True, True, True, False, True, False, True]
    assert {job.job_id: job.args for job in await arq_redis.queued_jobs()} == {
        "a": (0,), "same": (1,), "b": (2,), "c": (4,), "d": (6,),
    }  # fmt: skip


async def test_an_id_is_taken_while_the_job_is_queued_or_has_a_result(arq_redis: ArqRedis) -> None:
    await arq_redis.set("arq:result:done", b"?", px=60_000)
    assert await arq_redis.enqueue_job("f", _job_id="done") is None
    assert await arq_redis.enqueue_job("f", _job_id="new") is not None
    assert await arq_redis.enqueue_job("f", _job_id="new", _queue_name="other") is None
    assert await keys(arq_redis) == {QUEUE, "arq:job:new", "arq:result:done"}


async def test_an_id_is_taken_while_the_job_runs_even_if_its_payload_has_expired(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await claim(arq_redis, "w")
    await arq_redis.delete("arq:job:a")
    assert await arq_redis.enqueue_job("f", _job_id="a") is None


async def test_an_empty_id_is_no_id(arq_redis: ArqRedis) -> None:
    jobs = [await arq_redis.enqueue_job("f", _job_id="") for _ in range(2)]
    assert all(job is not None and len(job.job_id) == 32 for job in jobs)


@pytest.mark.parametrize(
    ("options", "wait_ms"),
    [
        ({}, 0),
        ({"_defer_by": 0}, 0),
        ({"_defer_by": 2.5}, 2500),
        ({"_defer_by": timedelta(minutes=10)}, 600_000),
        ({"_defer_by": -2}, -2000),
        ({"_defer_until": None}, 0),
    ],
)
async def test_when_a_job_is_due(arq_redis: ArqRedis, options: dict[str, Any], wait_ms: int) -> None:
    before = timestamp_ms()
    await arq_redis.enqueue_job("f", _job_id="a", **options)
    score = await arq_redis.zscore(QUEUE, "a")
    assert score is not None
    assert before - 1 <= score - wait_ms <= timestamp_ms()
    ttl_ms = await arq_redis.pttl("arq:job:a")
    assert DAY_MS - 60_000 < ttl_ms - max(wait_ms, 0) <= DAY_MS


async def test_a_moment_is_taken_as_it_is(arq_redis: ArqRedis) -> None:
    moment = datetime(2040, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)
    await arq_redis.enqueue_job("f", _job_id="a", _defer_until=moment)
    assert await arq_redis.zscore(QUEUE, "a") == 2_219_900_889_123
    naive = moment.astimezone().replace(tzinfo=None)
    await arq_redis.enqueue_job("f", _job_id="b", _defer_until=naive)
    assert await arq_redis.zscore(QUEUE, "b") == 2_219_900_889_123


async def test_not_two_times_at_once(arq_redis: ArqRedis) -> None:
    with pytest.raises(RuntimeError, match="use either 'defer_until' or 'defer_by' or neither, not both"):
        await arq_redis.enqueue_job("f", _defer_until=datetime.now(), _defer_by=1)


@pytest.mark.parametrize(
    ("expires", "ttl_ms"),
    [
        (500, 500_000),
        (300.5, 300_500),
        (timedelta(minutes=7), 420_000),
        (0, DAY_MS + 3_600_000),
        (None, DAY_MS + 3_600_000),
    ],
)
async def test_expiry(arq_redis: ArqRedis, expires: Any, ttl_ms: int) -> None:
    """`_expires` counts from now, not from when the job is due; 0 says nothing. As it always was."""
    await arq_redis.enqueue_job("f", _job_id="a", _expires=expires, _defer_by=3600)
    assert ttl_ms - 60_000 < await arq_redis.pttl("arq:job:a") <= ttl_ms


async def test_the_pool_says_how_long_jobs_outlive_their_time(redis_settings: RedisSettings) -> None:
    pool = await create_pool(redis_settings, expires_extra_ms=300_000, default_queue_name="other")
    await pool.enqueue_job("f", _job_id="a", _defer_by=200)
    assert 440_000 < await pool.pttl("arq:job:a") <= 500_000
    assert await pool.zcard("other") == 1
    await pool.aclose()


async def test_job_try_and_queue(arq_redis: ArqRedis) -> None:
    job = await arq_redis.enqueue_job("f", _job_try=3, _queue_name="other")
    assert job is not None
    assert await arq_redis.zcard("other") == 1
    assert (await payload_of(arq_redis, job.job_id))["t"] == 3


async def test_arguments_that_can_not_be_serialized_leave_nothing(arq_redis: ArqRedis) -> None:
    with pytest.raises(SerializationError, match='unable to serialize job "f"'):
        await arq_redis.enqueue_job("f", lambda: None)
    assert await keys(arq_redis) == set()


BAD = [
    {"_expires": -1},
    {"_expires": 1e17},
    {"_expires": float("nan")},
    {"_expires": float("inf")},
    {"_defer_by": 1e300},
    {"_defer_by": float("inf")},
    {"_defer_until": "tomorrow"},
    {"_defer_until": datetime.max},
    {"_job_id": object()},
    {"_job_id": "\ud800"},
    {"_queue_name": "\ud800"},
    {"_queue_name": object()},
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: str(*bad.items())[:30])
async def test_one_bad_call_does_not_spoil_those_beside_it(arq_redis: ArqRedis, bad: dict[str, Any]) -> None:
    """Calls at the same time share a script: what is wrong with one must not touch the others."""
    good = [arq_redis.enqueue_job("f", _job_id=job_id) for job_id in ("a", "b", "c", "d")]
    answers = await asyncio.gather(
        *good[:2], arq_redis.enqueue_job("f", **bad), *good[2:], return_exceptions=True
    )
    assert [getattr(answers[i], "job_id", answers[i]) for i in (0, 1, 3, 4)] == ["a", "b", "c", "d"]
    for job_id in "abcd":
        assert await arq_redis.zscore(QUEUE, job_id) is not None
    if isinstance(answers[2], Exception):  # refused: then nothing of it is left
        assert await keys(arq_redis) - {QUEUE} == {f"arq:job:{job_id}" for job_id in "abcd"}


async def test_a_queue_that_is_none_spoils_only_its_own(arq_redis: ArqRedis) -> None:
    await arq_redis.set("text", "not a queue", ex=60)
    answers = await asyncio.gather(
        arq_redis.enqueue_job("f", _job_id="a"),
        arq_redis.enqueue_job("f", _job_id="b", _queue_name="text"),
        arq_redis.enqueue_job("f", _job_id="c"),
        return_exceptions=True,
    )
    assert isinstance(answers[1], redis.ResponseError)
    assert [getattr(answer, "job_id", answer) for answer in (answers[0], answers[2])] == ["a", "c"]
    assert not await arq_redis.exists("arq:job:b")


# ---------------------------------------------------------------- enqueue_jobs


async def test_many_at_once(arq_redis: ArqRedis, redis_client: redis.Redis) -> None:
    await arq_redis.enqueue_job("warm")
    trips = RoundTrips(redis_client)
    jobs = await arq_redis.enqueue_jobs([("f", i) for i in range(1200)])
    assert trips.so_far() <= 12  # three writes; a large one is read in pieces, which differ between servers
    assert len({job.job_id for job in jobs if job is not None}) == 1200
    assert await arq_redis.zcard(QUEUE) == 1201


async def test_every_way_to_name_a_job(arq_redis: ArqRedis) -> None:
    jobs = await arq_redis.enqueue_jobs(
        [
            "plain",
            ("with_args", 1, 2),
            JobCall("full", 1, _job_id="a", _queue_name="other", _defer_by=60, key="word"),
            JobCall("again", _job_id="a", _queue_name="other"),
        ]
    )
    assert [job is not None for job in jobs] == [True, True, True, False]
    assert {job.function for job in await arq_redis.queued_jobs()} == {"plain", "with_args"}
    (other,) = await arq_redis.queued_jobs(queue_name="other")
    assert (other.function, other.args, other.kwargs, other.job_id) == ("full", (1,), {"key": "word"}, "a")


async def test_no_jobs_at_all(arq_redis: ArqRedis) -> None:
    assert await arq_redis.enqueue_jobs([]) == []


@pytest.mark.parametrize("bad", [3, (), (3, "f"), None, b"f", {"f": 1}])
async def test_what_is_no_job_is_named_and_nothing_is_enqueued(arq_redis: ArqRedis, bad: Any) -> None:
    with pytest.raises(TypeError, match="a job must be a JobCall"):
        await arq_redis.enqueue_jobs(["f", bad])
    with pytest.raises(SerializationError):
        await arq_redis.enqueue_jobs(["f", ("f", lambda: None)])
    assert await keys(arq_redis) == set()


def test_a_job_call_shows_itself() -> None:
    assert repr(JobCall("f", 1, _job_id="a", b=2)) == "<JobCall f(1, b=2)>"


# ---------------------------------------------------------------- tokens, ticks


async def test_no_token_where_nobody_listens(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f")
    assert not await arq_redis.exists("arq:wake:arq:queue")


async def test_an_enqueue_forgets_an_old_request_to_abort(arq_redis: ArqRedis) -> None:
    await arq_redis.zadd("arq:abort", {"a": 1, "b": 1})
    await arq_redis.enqueue_job("f", _job_id="a")
    assert await arq_redis.zrange("arq:abort", 0, -1) == [b"b"]
