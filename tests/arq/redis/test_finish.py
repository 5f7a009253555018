"""Writing how jobs ended, keeping locks, giving jobs back: all of it only for whoever holds the job."""

from __future__ import annotations

import math
from typing import Any

import pytest

from arq._endings import Again, Done, Ending, Terms, read_finish
from arq._redis import membership, scripts
from arq._redis.scripts import ClaimedJob
from arq.connections import ArqRedis
from arq.utils import timestamp_ms
from tests.arq.redis.harness import QUEUE, claim, hold_as_upstream, ids, job, keys, old_enqueue
from tests.support.eventually import wait_until_async

pytestmark = pytest.mark.usefixtures("engine")

OLD_SCORE = 1000


def done(claimed: ClaimedJob, result: bytes = b"result", **more: Any) -> Done:
    return Done(claimed.job_id, claimed.stamp, result, **{"keep_ms": 60_000} | more)


def again(
    claimed: ClaimedJob, defer_ms: int | None = None, job_try: int = 1, *, interrupted: bool = False
) -> Again:
    return Again(claimed.job_id, claimed.stamp, defer_ms, job_try, interrupted)


async def finish(pool: ArqRedis, worker_id: str, *endings: Ending, **terms: Any) -> list[int]:
    """Of each ending whether it was written. They are the last ones of their claims."""
    said = Terms(over=list({ending.stamp for ending in endings}), **terms)
    answer = await scripts.run(pool, scripts.finish(QUEUE, worker_id, endings, said))
    late = read_finish(answer, len(endings))
    return [int(index not in late) for index in range(len(endings))]


async def extend(pool: ArqRedis, worker_id: str, *job_ids: str, lock_ms: int = 60_000) -> list[str]:
    return scripts.decode_ids(await scripts.run(pool, scripts.extend(QUEUE, worker_id, lock_ms, job_ids)))


@pytest.fixture
async def held(arq_redis: ArqRedis) -> ClaimedJob:
    """Job `a`, held by worker `w`."""
    await old_enqueue(arq_redis, "a", score=OLD_SCORE)
    return job(await claim(arq_redis, "w"))


async def lock_lapsed(pool: ArqRedis) -> None:
    """Job `a` of worker `w`, whose lock has lapsed."""
    await old_enqueue(pool, "a", score=OLD_SCORE)
    await claim(pool, "w", lock_ms=1)

    async def lapsed() -> bool:
        return not await pool.exists("arq:in-progress:a")

    await wait_until_async(lapsed)


# ---------------------------------------------------------------- finish


async def test_done_leaves_the_result_and_nothing_else(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    assert await finish(arq_redis, "w", done(held)) == [1]
    assert await keys(arq_redis) == {"arq:result:a"}
    assert await arq_redis.get("arq:result:a") == b"result"
    assert 0 < await arq_redis.pttl("arq:result:a") <= 60_000


async def test_done_without_a_result_leaves_nothing(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    assert await finish(arq_redis, "w", done(held, b"", keep_ms=None)) == [1]
    assert await keys(arq_redis) == set()


@pytest.mark.keeps_keys("arq:result:a")
async def test_a_result_for_ever(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await finish(arq_redis, "w", done(held, keep_ms=None))
    assert await arq_redis.pttl("arq:result:a") == -1


async def test_a_tick_is_held_for_a_while(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await finish(arq_redis, "w", done(held, hold_ms=60_000))
    assert await arq_redis.zcard(QUEUE) == 0
    assert await arq_redis.enqueue_job("f", _job_id="a") is None
    for key in await keys(arq_redis):
        assert 0 < await arq_redis.pttl(key) <= 60_000


async def test_again_brings_the_job_back_at_its_old_place(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    assert await finish(arq_redis, "w", again(held)) == [1]
    assert await arq_redis.zscore(QUEUE, "a") == OLD_SCORE
    assert not await arq_redis.exists("arq:in-progress:a", "arq:batches:w", "arq:interrupted:a")
    assert job(await claim(arq_redis, "w2")).job_try == 2


async def test_again_later(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await finish(arq_redis, "w", again(held, 300_000))
    score = await arq_redis.zscore(QUEUE, "a")
    assert score is not None
    assert 200_000 < score - timestamp_ms() <= 300_000
    assert (await claim(arq_redis, "w2")).jobs == []


async def test_again_after_an_interruption(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await finish(arq_redis, "w", again(held, interrupted=True))
    taken = job(await claim(arq_redis, "w2"))
    assert (taken.job_try, taken.interrupted) == (2, 1)


async def test_a_try_that_was_asked_for_is_remembered(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await finish(arq_redis, "w", again(held, None, 3))
    assert job(await claim(arq_redis, "w2")).job_try == 4


async def test_a_job_that_was_given_to_somebody_else_is_left_alone(
    arq_redis: ArqRedis, held: ClaimedJob
) -> None:
    await membership.release(arq_redis, "w")
    await claim(arq_redis, "w2")
    before = {key: await arq_redis.dump(key) for key in sorted(await keys(arq_redis))}
    for ending in (done(held), again(held), again(held, 5, interrupted=True)):
        assert await finish(arq_redis, "w", ending) == [0]
    assert {key: await arq_redis.dump(key) for key in sorted(await keys(arq_redis))} == before


async def test_a_job_that_is_back_in_the_queue_is_left_alone(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await membership.release(arq_redis, "w")
    assert await finish(arq_redis, "w", done(held)) == [0]
    assert await arq_redis.zscore(QUEUE, "a") == OLD_SCORE
    assert await arq_redis.exists("arq:job:a")
    assert not await arq_redis.exists("arq:result:a")


async def test_a_lapsed_lock_does_no_harm_while_nobody_took_the_job(arq_redis: ArqRedis) -> None:
    await old_enqueue(arq_redis, "a", score=OLD_SCORE)
    taken = job(await claim(arq_redis, "w", lock_ms=1))

    async def lapsed() -> bool:
        return not await arq_redis.exists("arq:in-progress:a")

    await wait_until_async(lapsed)
    assert await finish(arq_redis, "w", done(taken)) == [1]
    assert await keys(arq_redis) == {"arq:result:a"}


@pytest.mark.parametrize("thief", ["ours", "upstream"])
async def test_after_a_lapse_whoever_took_the_job_has_it(arq_redis: ArqRedis, thief: str) -> None:
    await old_enqueue(arq_redis, "a", score=OLD_SCORE)
    taken = job(await claim(arq_redis, "w", lock_ms=1))

    async def lapsed() -> bool:
        return not await arq_redis.exists("arq:in-progress:a")

    await wait_until_async(lapsed)
    if thief == "ours":
        assert ids(await claim(arq_redis, "w2")) == ["a"]
    else:
        await hold_as_upstream(arq_redis, "a")
    assert await finish(arq_redis, "w", done(taken)) == [0]
    assert await arq_redis.exists("arq:job:a", "arq:in-progress:a") == 2


async def test_the_same_worker_later_is_somebody_else(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    """A write whose answer was lost is repeated; meanwhile the same worker may have claimed the job anew."""
    assert await finish(arq_redis, "w", again(held)) == [1]
    second = job(await claim(arq_redis, "w"))
    assert await finish(arq_redis, "w", again(held), epoch=1, is_repeated=True) == [0]
    assert await arq_redis.get("arq:in-progress:a") == b"w"
    assert await finish(arq_redis, "w", again(held)) == [0]  # the first one, which was held up
    assert await finish(arq_redis, "w", done(second), epoch=1) == [1]


async def test_each_of_many_endings_is_looked_at_alone(arq_redis: ArqRedis) -> None:
    for number in range(500):
        await arq_redis.enqueue_job("f", _job_id=f"j{number}")
    taken = (await claim(arq_redis, "w", limit=500)).jobs
    await arq_redis.set("arq:in-progress:j7", "thief", px=60_000)
    answers = await finish(arq_redis, "w", *(done(one) for one in taken))
    assert [one.job_id for one, answer in zip(taken, answers, strict=True) if not answer] == ["j7"]
    assert await arq_redis.zrange(QUEUE, 0, -1) == [b"j7"]


async def test_a_finished_job_needs_no_abort(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await arq_redis.zadd("arq:abort", {"a": timestamp_ms(), "b": timestamp_ms()})
    await finish(arq_redis, "w", done(held))
    assert await arq_redis.zrange("arq:abort", 0, -1) == [b"b"]


# ---------------------------------------------------------------- extend


async def test_a_lock_is_extdone(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    assert await extend(arq_redis, "w", "a", lock_ms=600_000) == []
    assert await arq_redis.pttl("arq:in-progress:a") > 500_000
    score = await arq_redis.zscore(QUEUE, "a")
    assert score is not None
    assert score - timestamp_ms() > 500_000
    assert await arq_redis.pttl("arq:batches:w") > 600_000
    assert await finish(arq_redis, "w", again(held)) == [1]
    assert await arq_redis.zscore(QUEUE, "a") == OLD_SCORE


async def test_a_lapsed_lock_is_taken_again_while_nobody_took_the_job(arq_redis: ArqRedis) -> None:
    await lock_lapsed(arq_redis)
    assert await extend(arq_redis, "w", "a") == []
    assert await arq_redis.get("arq:in-progress:a") == b"w"
    assert (await claim(arq_redis, "w2")).jobs == []


async def test_a_lost_job_is_named_and_left_alone(arq_redis: ArqRedis) -> None:
    await lock_lapsed(arq_redis)
    await claim(arq_redis, "w2", lock_ms=50_000)
    assert await extend(arq_redis, "w", "a", "never had it") == ["a", "never had it"]
    assert await arq_redis.get("arq:in-progress:a") == b"w2"
    assert await arq_redis.pttl("arq:in-progress:a") <= 50_000


# ---------------------------------------------------------------- release, sweep


async def test_released_jobs_are_where_they_were(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await old_enqueue(arq_redis, "b", score=OLD_SCORE + 1)
    await claim(arq_redis, "w")
    assert set((await membership.release(arq_redis, "w")).job_ids) == {"a", "b"}
    assert await arq_redis.zrange(QUEUE, 0, -1, withscores=True) == [(b"a", OLD_SCORE), (b"b", OLD_SCORE + 1)]
    assert await keys(arq_redis, "arq:in-progress:*") == await keys(arq_redis, "arq:batches:*") == set()
    assert [one.job_try for one in (await claim(arq_redis, "w2")).jobs] == [2, 2]
    assert (await membership.release(arq_redis, "w")).job_ids == []


async def test_release_reaches_every_queue_the_worker_took_from(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a", _queue_name="other queue")
    await claim(arq_redis, "w", queue_name="other queue")
    score = await arq_redis.zscore("other queue", "a")
    assert (await membership.release(arq_redis, "w")).job_ids == ["a"]
    assert await arq_redis.zscore("other queue", "a") != score


async def test_release_leaves_what_others_hold(arq_redis: ArqRedis) -> None:
    await lock_lapsed(arq_redis)
    await claim(arq_redis, "w2")
    assert (await membership.release(arq_redis, "w")).job_ids == []
    assert await arq_redis.get("arq:in-progress:a") == b"w2"
    assert await keys(arq_redis, "arq:batches:*") == {"arq:batches:w2"}


async def test_release_brings_nothing_back_that_is_finished(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await arq_redis.zrem(QUEUE, "a")  # as a worker of another version does at the end of a job
    await membership.release(arq_redis, "w")
    assert await arq_redis.zcard(QUEUE) == 0


async def test_release_wakes_somebody(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    """Two tokens: the dead worker may have been waiting for one, and Redis may hand it one before it knows."""
    await membership.release(arq_redis, "w")
    assert await arq_redis.llen("arq:wake:arq:queue") == 2
    assert 0 < await arq_redis.pttl("arq:wake:arq:queue") <= 60_000


async def test_only_overdue_workers_are_swept(arq_redis: ArqRedis) -> None:
    for worker_id in ("dead", "alive", "unknown"):
        await arq_redis.enqueue_job("f", _job_id=f"of {worker_id}")
        await claim(arq_redis, worker_id)
    await membership.register(arq_redis, "dead", 1)
    await membership.deregister(arq_redis, "unknown")

    async def swept() -> dict[str, list[str]]:
        return {name: released.job_ids for name, released in (await membership.sweep(arq_redis)).items()}

    assert await wait_until_async(swept) == {"dead": ["of dead"]}
    assert await arq_redis.zrange("arq:leases", 0, -1) == [b"alive"]
    assert await arq_redis.exists("arq:in-progress:of alive", "arq:in-progress:of unknown") == 2


async def test_a_sweep_says_when_to_look_again(arq_redis: ArqRedis) -> None:
    assert (await membership.sweep(arq_redis)).next_s == math.inf
    await membership.register(arq_redis, "late", 90_000)
    await membership.register(arq_redis, "soon", 60_000)
    assert 30 < (await membership.sweep(arq_redis)).next_s <= 60
    await arq_redis.zadd("arq:leases", {"of an earlier version": 1e15, "soon": 1e15})
    await arq_redis.zadd("arq:members", {"soon": 1e15, "late": 1e15})
    assert 60 < (await membership.sweep(arq_redis)).next_s <= 90
    await arq_redis.zadd("arq:leases", {"late": 1e15, "no number": "inf"})
    assert (await membership.sweep(arq_redis)).next_s > 1e9


async def test_a_renewed_worker_is_not_swept(arq_redis: ArqRedis, held: ClaimedJob) -> None:
    await membership.register(arq_redis, "w", 0)
    await membership.renew(arq_redis, ["w", "was never announced"], 60_000)
    assert await membership.sweep(arq_redis) == {}
    await membership.renew(arq_redis, [], 60_000)
    assert await arq_redis.zrange("arq:leases", 0, -1) == [b"w"]
    await membership.deregister(arq_redis, "w")
    assert not await arq_redis.exists("arq:leases")


async def test_a_worker_may_hold_thousands(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(["f"] * 1100)
    await claim(arq_redis, "w", limit=1100)
    assert len((await membership.release(arq_redis, "w")).job_ids) == 1100
    assert len((await claim(arq_redis, "w2", limit=5000)).jobs) == 1100
