"""Taking jobs from the queue: who gets what, and what the queue shows meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from arq._redis import membership, scripts
from arq._redis.batch_sizes import MOST_BYTES
from arq._redis.membership import Why
from arq._redis.scripts import ClaimRequest
from arq.connections import ArqRedis, JobCall
from arq.utils import timestamp_ms
from tests.arq.redis.harness import QUEUE, claim, hold_as_upstream, ids, job, keys, old_enqueue

pytestmark = pytest.mark.usefixtures("engine")

LOCK_MS = 60_000


async def test_a_claimed_job_is_locked_counted_noted_and_out_of_sight(arq_redis: ArqRedis) -> None:
    await old_enqueue(arq_redis, "a", score=1000)
    before = timestamp_ms()
    taken = job(await claim(arq_redis, "w"))
    assert (taken.job_id, taken.score, taken.job_try, taken.interrupted, taken.aborted) == (
        "a",
        1000,
        1,
        0,
        False,
    )
    assert taken.payload == await arq_redis.get("arq:job:a")
    assert await arq_redis.get("arq:in-progress:a") == b"w"
    assert 0 < await arq_redis.pttl("arq:in-progress:a") <= LOCK_MS
    assert not await arq_redis.exists("arq:retry:a")  # the first start is counted by the claim
    score = await arq_redis.zscore(QUEUE, "a")
    assert score is not None
    assert before - 1000 <= score - LOCK_MS <= timestamp_ms()  # whole seconds
    assert await arq_redis.hlen("arq:batches:w") == 1
    assert await arq_redis.pttl("arq:batches:w") > LOCK_MS


async def test_nobody_gets_a_job_twice(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(["f"] * 30)
    taken = [ids(await claim(arq_redis, f"w{i}", limit=7)) for i in range(6)]
    assert [len(jobs) for jobs in taken] == [7, 7, 7, 7, 2, 0]
    assert len({job_id for jobs in taken for job_id in jobs}) == 30


async def test_the_longest_due_come_first(arq_redis: ArqRedis) -> None:
    for score, job_id in ((3000, "c"), (1000, "a"), (2000, "b")):
        await old_enqueue(arq_redis, job_id, score=score)
    assert ids(await claim(arq_redis, "w", limit=2)) == ["a", "b"]


async def test_what_is_not_due_stays_and_the_answer_says_when_it_will_be(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("f", _job_id="now"), JobCall("f", _job_id="later", _defer_by=3600)])
    answer = await claim(arq_redis, "w", lock_ms=7_200_000)
    assert ids(answer) == ["now"]
    assert 3_500_000 < answer.wait_ms <= 3_600_000


@pytest.mark.parametrize(("limit", "wait_ms"), [(1, 0), (2, 0), (3, LOCK_MS), (9, LOCK_MS)])
async def test_the_answer_says_whether_more_is_due(arq_redis: ArqRedis, limit: int, wait_ms: int) -> None:
    """After the last job the next entry that falls due is the lapse of a lock."""
    await arq_redis.enqueue_jobs(["f"] * 3)
    assert wait_ms / 2 <= (await claim(arq_redis, "w", limit=limit)).wait_ms <= wait_ms


async def test_a_worker_that_is_presumed_dead_gets_nothing(arq_redis: ArqRedis) -> None:
    """Somebody has given its jobs back: what it claims now would be nobody's to give back again."""
    await arq_redis.enqueue_job("f")
    call = scripts.claim(QUEUE, "never announced", ClaimRequest(1, 60_000))
    assert scripts.read_claim(await scripts.run(arq_redis, call)) == ("unknown", 0)
    assert len((await claim(arq_redis, "w")).jobs) == 1


async def test_an_empty_queue(arq_redis: ArqRedis) -> None:
    answer = await claim(arq_redis, "w")
    assert (answer.jobs, answer.wait_ms, answer.shared, answer.begin_at) == ([], -1, False, "")
    assert await keys(arq_redis) == set()


async def test_what_a_worker_of_the_original_holds_is_left_exactly_as_it_is(arq_redis: ArqRedis) -> None:
    """Its retry is a relative ZINCRBY: a changed score would send the job far into the future."""
    for number in range(5):
        await old_enqueue(arq_redis, f"j{number}", score=1000 + number)
    await hold_as_upstream(arq_redis, "j1", "j3")
    assert ids(await claim(arq_redis, "w")) == ["j0", "j2", "j4"]
    assert await arq_redis.zscore(QUEUE, "j1") == 1001
    assert await arq_redis.zscore(QUEUE, "j3") == 1003
    assert await arq_redis.get("arq:in-progress:j1") == b"1"
    assert not await arq_redis.exists("arq:retry:j1")


async def test_held_jobs_do_not_fill_the_limit(arq_redis: ArqRedis) -> None:
    for number in range(40):
        await old_enqueue(arq_redis, f"held{number}", score=1000 + number)
        await hold_as_upstream(arq_redis, f"held{number}")
    await old_enqueue(arq_redis, "free", score=5000)
    assert ids(await claim(arq_redis, "w", limit=1)) == ["free"]


async def test_the_hint_where_to_begin(arq_redis: ArqRedis) -> None:
    for number in range(20):
        await old_enqueue(arq_redis, f"held{number}", score=1000 + number)
        await hold_as_upstream(arq_redis, f"held{number}")
    for number in range(3):
        await old_enqueue(arq_redis, f"free{number}", score=5000 + number)
    first = await claim(arq_redis, "w", limit=1)
    assert ids(first) == ["free0"]
    assert first.begin_at
    second = await claim(arq_redis, "w", limit=5, begin_at=first.begin_at)
    assert ids(second) == ["free1", "free2"]


async def test_exactly_these_ids(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(
        [JobCall("f", _job_id="a"), JobCall("f", _job_id="b"), JobCall("f", _job_id="later", _defer_by=99)]
    )
    await hold_as_upstream(arq_redis, "b")
    assert ids(await claim(arq_redis, "w", job_ids=["a", "b", "later", "unknown"])) == ["a"]
    assert not await arq_redis.exists("arq:in-progress:unknown", "arq:in-progress:later")


async def test_a_job_without_a_payload_is_given_out_to_be_buried(arq_redis: ArqRedis) -> None:
    await arq_redis.zadd(QUEUE, {"gone": 1})
    taken = job(await claim(arq_redis, "w"))
    assert (taken.job_id, taken.payload) == ("gone", None)


async def test_starts_and_interruptions_are_counted(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await arq_redis.set("arq:retry:a", 4, ex=60)
    await arq_redis.set("arq:interrupted:a", 2, ex=60)
    taken = job(await claim(arq_redis, "w"))
    assert (taken.job_try, taken.interrupted) == (5, 2)


async def test_requests_to_abort_are_seen_only_by_those_who_look(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("f", _job_id="a"), JobCall("f", _job_id="b")])
    await arq_redis.zadd("arq:abort", {"a": timestamp_ms(), "b": timestamp_ms()})
    assert not job(await claim(arq_redis, "w", limit=1)).aborted
    assert job(await claim(arq_redis, "w", limit=1, look_at_aborts=True)).aborted


async def present(pool: ArqRedis, queue: str, *worker_ids: str) -> None:
    for worker_id in worker_ids:
        await scripts.run(pool, scripts.present(queue, worker_id, 60_000))


async def test_a_backlog_is_shared_fairly(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(["f"] * 8)
    await present(arq_redis, QUEUE, "w1", "w2")
    first = await claim(arq_redis, "w1", limit=10, fair=True)
    assert 4 <= len(first.jobs) < 8
    second = await claim(arq_redis, "w2", limit=10, fair=True)
    assert len(first.jobs) + len(second.jobs) >= 6


async def test_a_lone_worker_shares_with_nobody(arq_redis: ArqRedis) -> None:
    """Workers of other queues have nothing to do with it."""
    await arq_redis.enqueue_jobs(["f"] * 8)
    await present(arq_redis, "other", *(f"other{number}" for number in range(50)))
    await scripts.run(arq_redis, scripts.lease([f"other{number}" for number in range(50)], 60_000))
    await present(arq_redis, QUEUE, "w1")
    assert len((await claim(arq_redis, "w1", limit=10, fair=True)).jobs) == 8


async def test_thousands_in_one_claim(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs(["f"] * 1100)
    assert len((await claim(arq_redis, "w", limit=1100)).jobs) == 1100
    assert await arq_redis.hlen("arq:batches:w") == 1


@pytest.mark.parametrize("member", [b"\xff\xfe", b"", "späte Grüße".encode(), b"with space", b"a:b:c\n"])
async def test_odd_ids(arq_redis: ArqRedis, member: bytes) -> None:
    entries: dict[Any, float] = {member: 1, "good": 2}
    await arq_redis.zadd(QUEUE, entries)
    assert "good" in ids(await claim(arq_redis, "w"))


@pytest.mark.parametrize("score", [float("-inf"), -1, 0, 0.5])
async def test_odd_scores(arq_redis: ArqRedis, score: float) -> None:
    await old_enqueue(arq_redis, "odd", score=score)
    await old_enqueue(arq_redis, "good", score=2)
    assert ids(await claim(arq_redis, "w")) == ["odd", "good"]


@pytest.mark.parametrize("odd", [b"usual", b"", "späte Grüße".encode(), b"a\nb", b"%0A\n%25 %"])
async def test_many_with_the_same_score_keep_it(arq_redis: ArqRedis, odd: bytes) -> None:
    """Servers to which scores are dear say them once."""
    same: dict[Any, float] = {odd: 7, **{f"j{number:02}": 7 for number in range(30)}}
    await arq_redis.zadd(QUEUE, same | {"later": 9})
    found = await claim(arq_redis, "w", limit=31)
    assert ids(found) == sorted(member.decode() if isinstance(member, bytes) else member for member in same)
    assert {one.score for one in found.jobs} == {7}
    assert found.wait_ms == 0
    await membership.release(arq_redis, "w", Why.DIED, "signal 9")
    back: Any = await arq_redis.zrange(QUEUE, 0, 30, withscores=True)
    assert {score for _, score in back} == {7}
    assert ids(await claim(arq_redis, "next", limit=40)) == [*ids(found), "later"]


async def test_many_of_which_one_is_held_or_was_started_before(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("f", _job_id=f"j{number:02}") for number in range(30)])
    await hold_as_upstream(arq_redis, "j05")
    assert len((await claim(arq_redis, "w", limit=25)).jobs) == 25
    await arq_redis.set("arq:retry:j28", 4, ex=60)
    found = await claim(arq_redis, "w", limit=25)
    assert [(one.job_id, one.job_try) for one in found.jobs] == [
        ("j26", 1),
        ("j27", 1),
        ("j28", 5),
        ("j29", 1),
    ]


async def test_large_payloads_among_many_leave_the_rest_free(arq_redis: ArqRedis) -> None:
    entries = {f"j{number:02}": 7 for number in range(30)}
    await arq_redis.zadd(QUEUE, entries)
    for job_id in entries:
        await arq_redis.set(f"arq:job:{job_id}", bytes(MOST_BYTES // 12), px=60_000)
    found = await claim(arq_redis, "w", limit=30)
    assert 12 <= len(found.jobs) < 30
    assert found.wait_ms == 0
    assert await keys(arq_redis, "arq:in-progress:*") == {f"arq:in-progress:{name}" for name in ids(found)}
    rest = await claim(arq_redis, "v", limit=12)
    assert not set(ids(found)) & set(ids(rest))
    assert ids(rest)[0] == f"j{len(found.jobs):02}"
