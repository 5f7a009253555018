"""A worker that stops takes nothing more, in whatever order claims and endings come; what never began never counts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from signal import SIGTERM
from typing import Any

import pytest

from arq._endings import Again, Terms
from arq._redis import membership, scripts
from arq._redis.scripts import ClaimedJob, ClaimRequest, Refusal
from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.worker import Worker
from tests.arq.redis import inside
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    armed,
    claim,
    enqueued,
    for_ever,
    ids,
    keys,
    members,
    old_enqueue,
    quick,
    running,
    until_stopped,
)
from tests.support.eventually import wait_until_async

WAKE = "arq:wake:arq:queue"


async def counters(pool: ArqRedis, job_id: str) -> list[bytes | None]:
    """How often a job was started, and how many of these starts a shutdown has ended."""
    found: list[Any] = await pool.mget(f"arq:retry:{job_id}", f"arq:interrupted:{job_id}")
    return found


# ---------------------------------------------------------------- the worker


def hang_up_late(worker: Worker) -> None:
    """What it gives back reaches Redis before the end of the connection on which its claim waits."""
    idle = inside.main_loop(worker).idle
    stop_listening = idle.stop_listening

    async def has_given_back() -> bool:
        return await worker.pool.exists("arq:in-progress:a") == 0

    async def late() -> None:
        await wait_until_async(has_given_back)
        await stop_listening()

    idle.stop_listening = late  # type: ignore[method-assign]


async def test_what_a_stop_gives_back_is_not_taken_by_the_claim_that_waits(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    for n in range(1, 4):
        one = Worker(
            [for_ever],
            redis_settings=redis_settings,
            handle_signals=False,
            poll_delay=0.1,
            allow_abort_jobs=True,
        )
        hang_up_late(one)
        async with until_stopped(one):
            await armed(one)
            if n == 1:
                await old_enqueue(arq_redis, "a", "for_ever")  # leaves no token: the claim goes on waiting
            else:
                await arq_redis.zadd(QUEUE, {"a": 1})
            await wait_until_async(lambda one=one: one.job_tasks)  # type: ignore[misc]
            one.handle_sig(SIGTERM)
        assert await counters(arq_redis, "a") == [b"%d" % n] * 2
        assert not await keys(arq_redis, "arq:in-progress:*")
        assert await arq_redis.zrem(QUEUE, "a") == 1


class StopsOnAnswer(Worker):
    """Is told to stop when the answer to a claim is there, before or after it has made tasks of it."""

    stop: Callable[[], object]
    after = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        claims = inside.main_loop(self).claims
        self._begin = claims.begin
        claims.begin = self._begin_and_stop  # type: ignore[method-assign]

    def _begin_and_stop(self, jobs: list[ClaimedJob], run_job: Any, run: Any = None) -> None:
        if jobs and not self.after:
            self.stop()
        self._begin(jobs, run_job, run)
        if jobs and self.after:
            self.stop()


def cancel(worker: Worker) -> None:
    worker.handle_sig(SIGTERM)


def drain(worker: Worker) -> None:
    worker.handle_sig_wait_for_completion(SIGTERM)


@pytest.mark.parametrize(
    ("stop", "after"), [(cancel, True), (cancel, False), (drain, False)], ids=["tasks", "answer", "drain"]
)
async def test_a_start_that_never_was_is_not_counted(
    arq_redis: ArqRedis, redis_settings: RedisSettings, stop: Callable[[Worker], None], after: bool
) -> None:
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "abc"])
    await arq_redis.set("arq:retry:b", 2, ex=100)
    await arq_redis.set("arq:interrupted:b", 1, ex=100)
    before = await arq_redis.zrange(QUEUE, 0, -1, withscores=True)
    one = StopsOnAnswer([quick], redis_settings=redis_settings, handle_signals=False, job_completion_wait=20)
    one.after = after
    one.stop = lambda: stop(one)
    async with until_stopped(one):
        pass
    assert (one.jobs_complete, one.jobs_failed, one.jobs_retried) == (0, 0, 0)
    assert await arq_redis.zrange(QUEUE, 0, -1, withscores=True) == before
    assert [await counters(arq_redis, job_id) for job_id in "abc"] == [
        [None, None],
        [b"2", b"1"],
        [None, None],
    ]
    assert not await keys(arq_redis, "arq:in-progress:*")


async def test_a_batch_of_which_some_have_begun(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    """The first job stops the worker from its own code: those behind it in the batch have had no turn yet."""

    async def stops(ctx: Ctx) -> None:
        if ctx["job_id"] == "a":
            ctx["worker"].handle_sig(SIGTERM)
        await asyncio.Event().wait()

    stops.__qualname__ = "stops"
    await arq_redis.enqueue_jobs([JobCall("stops", _job_id=job_id) for job_id in "abcd"])
    ctx: dict[Any, Any] = {}
    one = Worker([stops], redis_settings=redis_settings, handle_signals=False, ctx=ctx)
    ctx["worker"] = one
    async with until_stopped(one):
        pass
    assert await counters(arq_redis, "a") == [b"1", b"1"]
    assert [await counters(arq_redis, job_id) for job_id in "bcd"] == [[None, None]] * 3
    assert sorted(await members(arq_redis, QUEUE)) == list("abcd")


async def test_what_a_drain_was_given_too_late_is_run_by_another_at_once(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    held, released = asyncio.Event(), asyncio.Event()

    async def holds(ctx: Ctx) -> None:
        held.set()
        await released.wait()

    holds.__qualname__ = "holds"
    options: dict[str, Any] = {"redis_settings": redis_settings, "handle_signals": False, "poll_delay": 60}
    one = StopsOnAnswer([holds, quick], job_completion_wait=30, **options)
    two = Worker([quick], **options)
    await arq_redis.enqueue_job("holds")
    one.stop = lambda: None
    async with until_stopped(one):
        await asyncio.wait_for(held.wait(), 30)
        one.stop, one.after = lambda: drain(one), False
        job = await enqueued(arq_redis, "quick")
        await wait_until_async(lambda: inside.context(one).draining)
        async with running(two):
            assert await job.result(timeout=30) == "quick"
            assert one.job_tasks  # it still drains
        released.set()
    info = await job.result_info()
    assert info is not None
    assert info.job_try == 1


# ---------------------------------------------------------------- the scripts


def sent(epoch: int, *, waited: bool, job_ids: tuple[str, ...] = ()) -> scripts.Call:
    asked = ClaimRequest(5, 60_000, () if waited else job_ids, epoch=epoch, waited=waited)
    return scripts.claim(QUEUE, "w", asked)


@pytest.mark.parametrize("seed", range(40))
async def test_no_order_of_claims_and_endings_lets_a_stopping_worker_have_a_job(
    arq_redis: ArqRedis, seed: int
) -> None:
    """Claims of a worker are on their way over several connections while it stops; Redis may see them in any order."""
    chance = random.Random(seed)
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "abcd"])
    epoch = chance.choice([0, 3])
    await membership.register(arq_redis, "w", 60_000)
    began = (await claim(arq_redis, "w", chance.choice([1, 2]), epoch=epoch)).jobs
    late = [
        sent(epoch, waited=chance.random() < 0.6, job_ids=chance.choice([(), ("a", "c")]))
        for _ in range(chance.choice([1, 2, 3]))
    ]
    endings = [
        scripts.finish(
            QUEUE,
            "w",
            [Again(job.job_id, job.stamp, None, job.job_try, interrupted=True)],
            Terms(epoch + 1, is_leaving=True),
        )
        for job in began
    ]
    order: list[scripts.Call] = [*endings, *late]
    chance.shuffle(order)
    order.append(scripts.release("w", scripts.Why.UNBEGUN))
    order += [chance.choice(late) for _ in range(chance.choice([0, 1]))]
    is_stopping = False
    for call in order:
        answer = await scripts.run(arq_redis, call)
        if call in endings:
            is_stopping = True
        elif call in late and is_stopping:
            assert isinstance(scripts.read_claim(answer), Refusal)
    for job_id in "abcd":
        begun = sum(job.job_id == job_id for job in began)
        expected = [b"1"] * 2 if begun else [None] * 2
        assert await counters(arq_redis, job_id) == expected, job_id
    assert not await keys(arq_redis, "arq:in-progress:*")
    assert not await keys(arq_redis, "arq:batches:*")


# ---------------------------------------------------------------- what is left to others


async def given_back(pool: ArqRedis, cohort: str, job_id: str = "a") -> None:
    """A job that was started once and given back by a worker that goes together with others."""
    await pool.enqueue_job("quick", _job_id=job_id)
    (job,) = (await claim(pool, "gone", job_ids=[job_id])).jobs
    ending = Again(job.job_id, job.stamp, None, 1, interrupted=True)
    await scripts.run(pool, scripts.finish(QUEUE, "gone", [ending], Terms(1, is_leaving=True, cohort=cohort)))


async def test_those_who_go_leave_it_to_those_who_stay(arq_redis: ArqRedis) -> None:
    await given_back(arq_redis, "old")
    await arq_redis.enqueue_job("quick", _job_id="b")
    await scripts.run(arq_redis, scripts.present(QUEUE, "w", 60_000))
    await scripts.run(arq_redis, scripts.present(QUEUE, "v", 60_000))
    await arq_redis.delete(WAKE)
    goes = await claim(arq_redis, "w", cohorts=" old out ")
    assert ids(goes) == ["b"]
    assert 0 < goes.wait_ms <= 15_000
    assert await arq_redis.llen(WAKE) == 1  # somebody else has to hear of it
    assert not await keys(arq_redis, "arq:in-progress:a")
    stays = await claim(arq_redis, "v", cohorts=" new ")
    assert ids(stays) == ["a"]
    assert stays.jobs[0].job_try == 2


async def test_it_is_not_left_for_ever(arq_redis: ArqRedis) -> None:
    await given_back(arq_redis, "old")
    assert 0 < await arq_redis.pttl("arq:left:a") <= 15_000
    await arq_redis.delete("arq:left:a")
    assert ids(await claim(arq_redis, "w", cohorts=" old ")) == ["a"]


async def test_what_was_given_back_by_one_alone_is_left_by_nobody(arq_redis: ArqRedis) -> None:
    await given_back(arq_redis, "")
    assert not await keys(arq_redis, "arq:left:*")
    assert ids(await claim(arq_redis, "w", cohorts=" old ")) == ["a"]


async def test_a_worker_that_is_about_to_go_leaves_tokens_to_others(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    options: dict[str, Any] = {"redis_settings": redis_settings, "handle_signals": False, "poll_delay": 0.2}
    goes, stays = Worker([quick], **options), Worker([quick], **options)
    goes.cohort = goes.outgoing = "old"
    async with running(goes):
        job = await enqueued(arq_redis, "quick")
        assert await job.result(timeout=30) == "quick"  # what nobody has given back it takes
        await given_back(arq_redis, "old")
        async with running(stays):
            await wait_until_async(lambda: stays.jobs_complete)
        assert (goes.jobs_complete, stays.jobs_complete) == (1, 1)
        goes.outgoing = ""  # it stays after all
        await armed(goes)
