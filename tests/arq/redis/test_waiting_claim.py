"""The claim that waits for a token together with an idle worker: one round trip from the queue to the start.

All workers here look at the queue by themselves only every minute, unless a test says something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from signal import SIGTERM
from typing import Any

import pytest
import redis

from arq._endings import Done, Terms
from arq._redis import membership, scripts
from arq._redis.scripts import ClaimAnswer, ClaimRequest, Refusal
from arq._worker import wake_tokens
from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.worker import Retry, Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    RoundTrips,
    armed,
    claim,
    commands,
    idle,
    ids,
    keys,
    nothing_held,
    old_enqueue,
    quiet,
    running,
    until_stopped,
)
from tests.support.eventually import wait_until_async
from tests.support.flaky import Fault, FlakyProxy

WAKE = "arq:wake:arq:queue"


class Jobs(dict[str, int]):
    """Counts the starts of jobs; holds those named `held` until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    def was_started(self, job_id: str, times: int) -> bool:
        return self.get(job_id, 0) >= times

    async def quick(self, ctx: Ctx) -> None:
        self[ctx["job_id"]] = self.get(ctx["job_id"], 0) + 1

    async def held(self, ctx: Ctx) -> None:
        await self.quick(ctx)
        await self.go.wait()

    async def again(self, ctx: Ctx) -> None:
        await self.quick(ctx)
        if ctx["job_try"] == 1:
            raise Retry

    def worker(self, settings: RedisSettings, **options: Any) -> Worker:
        functions = [func(getattr(self, name), name=name) for name in ("quick", "held", "again")]
        chosen: dict[str, Any] = {"redis_settings": settings, "poll_delay": 60, "handle_signals": False}
        return Worker(functions, **chosen | options)


@pytest.fixture
async def jobs() -> Jobs:
    return Jobs()


@contextlib.asynccontextmanager
async def silent(worker: Worker) -> AsyncIterator[None]:
    """The worker can exchange nothing with Redis over its main connection."""
    async with inside.exchange(worker).link._turn:
        yield


async def locks(pool: ArqRedis) -> set[str]:
    return {key.removeprefix("arq:in-progress:") for key in await keys(pool, "arq:in-progress:*")}


# ---------------------------------------------------------------- one round trip


async def test_the_job_comes_with_the_token(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings)
    async with running(one):
        for job_id in "abc":
            await armed(one)
            async with silent(one):
                await arq_redis.enqueue_job("quick", _job_id=job_id)
                await wait_until_async(functools.partial(jobs.__contains__, job_id))
    assert jobs == {"a": 1, "b": 1, "c": 1}
    await nothing_held(arq_redis)


async def test_a_job_costs_an_idle_worker_two_round_trips(
    arq_redis: ArqRedis, redis_settings: RedisSettings, redis_client: redis.Redis, jobs: Jobs
) -> None:
    """The next wait with the next claim, and the ending."""
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        await arq_redis.enqueue_job("quick")  # now all connections are there
        await wait_until_async(lambda: one.jobs_complete == 1)
        await armed(one)
        round_trips = RoundTrips(redis_client)
        await arq_redis.enqueue_job("quick")  # a third one, the producer's
        await wait_until_async(lambda: one.jobs_complete == 2)
        await wait_until_async(lambda: inside.has_waiting_claim(one))
        await wait_until_async(lambda: inside.listens(one) and inside.listener(one)._stage.name == "WAITING")
        assert round_trips.so_far() <= 3


async def test_a_claim_follows_a_wait_that_is_under_way(
    arq_redis: ArqRedis, redis_settings: RedisSettings, redis_client: redis.Redis, jobs: Jobs
) -> None:
    """While a job runs the worker waits for a token only; when it ends, a claim is sent behind that wait."""
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        await arq_redis.enqueue_job("held", _job_id="a")
        await wait_until_async(lambda: "a" in jobs)
        await idle(one)
        assert inside.listens(one)
        assert not inside.has_waiting_claim(one)
        with commands(redis_client) as called:
            jobs.go.set()
            await armed(one)
        assert "blpop" not in called
        async with silent(one):
            await arq_redis.enqueue_job("quick", _job_id="b")
            await wait_until_async(lambda: "b" in jobs)


async def test_more_than_one_job(arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs) -> None:
    one = jobs.worker(redis_settings, max_jobs=5)
    async with running(one):
        await armed(one)
        await arq_redis.enqueue_jobs(["held"] * 7)
        await wait_until_async(lambda: len(one.job_tasks) == 5)
        assert len(await locks(arq_redis)) == 5
        jobs.go.set()
        await wait_until_async(lambda: one.jobs_complete == 7)


async def test_a_batch_wakes_all(arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs) -> None:
    workers = [jobs.worker(redis_settings) for _ in range(3)]
    async with running(*workers):
        await armed(*workers)
        await arq_redis.enqueue_jobs(["held"] * 6)
        await wait_until_async(lambda: [len(one.job_tasks) for one in workers] == [2, 2, 2])
        jobs.go.set()
        await wait_until_async(lambda: sum(one.jobs_complete for one in workers) == 6)


async def test_a_wait_that_runs_off_looks_at_the_queue(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_tokens, "BLOCK_S", 0.3)
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        async with silent(one):
            await old_enqueue(arq_redis, "a", "quick")
            await wait_until_async(lambda: "a" in jobs)


async def test_a_retry_is_a_new_claim(arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs) -> None:
    """It is due at once, and its token may meet our own waiting claim before we know that its end is written."""
    one = jobs.worker(redis_settings)
    async with running(one):
        for job_id in "abcdefgh":
            await armed(one)
            await arq_redis.enqueue_job("again", _job_id=job_id)
            await wait_until_async(functools.partial(jobs.was_started, job_id, 2))
        await wait_until_async(lambda: one.jobs_complete == 8)
    assert set(jobs.values()) == {2}
    await nothing_held(arq_redis)


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize("options", [{"max_jobs": 1}, {"after_job_end": "hook"}], ids=["one place", "hook"])
async def test_who_has_no_claim_waiting(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, options: dict[str, Any]
) -> None:
    async def hook(ctx: Ctx) -> None:
        pass

    one = jobs.worker(
        redis_settings, **{name: hook if value == "hook" else value for name, value in options.items()}
    )
    async with running(one):
        for job_id in "abc":
            await idle(one)
            assert inside.listens(one)
            assert not inside.has_waiting_claim(one)
            await arq_redis.enqueue_job("quick", _job_id=job_id)
            await wait_until_async(functools.partial(jobs.__contains__, job_id))


async def waiting(pool: ArqRedis, epoch: int = 0) -> ClaimAnswer | Refusal:
    call = scripts.claim(QUEUE, "w", ClaimRequest(1, 60_000, epoch=epoch, waited=True))
    return scripts.read_claim(await scripts.run(pool, call))


@pytest.mark.parametrize("why", ["unknown", "late", "busy"])
async def test_a_refusal_leaves_the_token_to_others(arq_redis: ArqRedis, why: str) -> None:
    await scripts.run(arq_redis, scripts.present(QUEUE, "w", 60_000))
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "ab"])
    if why != "unknown":
        await membership.register(arq_redis, "w", 60_000)
    if why == "late":
        await scripts.run(arq_redis, scripts.reclaim("w", 1))
    if why == "busy":
        assert ids(await claim(arq_redis, "w", 1)) == ["a"]
    await arq_redis.delete(WAKE)
    refused = await waiting(arq_redis)
    assert isinstance(refused, Refusal)
    assert refused.why == why
    assert await arq_redis.llen(WAKE) == 1
    assert 0 < await arq_redis.pttl(WAKE) <= 60_000
    assert await locks(arq_redis) == ({"a"} if why == "busy" else set())


async def test_a_refusal_leaves_no_token_for_an_empty_queue(arq_redis: ArqRedis) -> None:
    await scripts.run(arq_redis, scripts.present(QUEUE, "w", 60_000))
    assert await waiting(arq_redis) == ("unknown", 0)
    assert not await arq_redis.exists(WAKE)


async def run_beside_the_claim(one: Worker, pool: ArqRedis) -> None:
    """Let an armed worker find job a by itself, by a look at the queue: its claim goes on waiting."""
    await old_enqueue(pool, "a", "held")
    inside.poll(one).more = True
    inside.wake_up(one)
    await wait_until_async(lambda: one.job_tasks)
    assert inside.has_waiting_claim(one)


async def test_a_worker_with_a_job_gets_no_second_one_unasked(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    """Its loop may be blocked by that job: the token goes on to somebody else."""
    first, second = jobs.worker(redis_settings), jobs.worker(redis_settings)
    async with running(first):
        await armed(first)
        await run_beside_the_claim(first, arq_redis)
        async with silent(first), running(second):
            await armed(second)
            await arq_redis.enqueue_job("held", _job_id="b")
            await wait_until_async(lambda: second.job_tasks)
            jobs.go.set()
            await wait_until_async(lambda: second.jobs_complete == 1)
        await wait_until_async(lambda: first.jobs_complete == 1)


async def test_a_lost_job_does_not_count_as_held_for_ever(arq_redis: ArqRedis) -> None:
    """Its lock lapsed and another worker has it: that ends the claim, whatever becomes of the job."""
    await arq_redis.enqueue_job("quick", _job_id="a")
    taken = (await claim(arq_redis, "w", 1)).jobs[0]
    await arq_redis.set("arq:in-progress:a", "x", ex=60)
    ending, said = Done("a", taken.stamp), Terms(over=[taken.stamp])
    assert await scripts.run(arq_redis, scripts.finish(QUEUE, "w", [ending], said)) == [1]
    assert not await arq_redis.exists("arq:batches:w")
    assert await arq_redis.get("arq:in-progress:a") == b"x"


# ---------------------------------------------------------------- never more than max_jobs


async def test_deferred_jobs_fill_all_places_while_a_claim_waits(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings, max_jobs=3)
    most = 0
    async with running(one):
        await armed(one)
        calls = [JobCall("held", _job_id=str(number), _defer_by=0.2) for number in range(5)]
        await arq_redis.enqueue_jobs(calls)
        await wait_until_async(lambda: len(one.job_tasks) == 3)
        most = len(await locks(arq_redis))
        jobs.go.set()
        await wait_until_async(lambda: one.jobs_complete == 5)
    assert most == 3


async def test_jobs_without_tokens_fill_all_places_while_a_claim_waits(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings, max_jobs=2, poll_delay=0.1)
    async with running(one):
        await armed(one)
        for job_id in "abc":
            await old_enqueue(arq_redis, job_id, "held")
        await wait_until_async(lambda: len(one.job_tasks) == 2)
        assert len(await locks(arq_redis)) == 2
        jobs.go.set()
        await wait_until_async(lambda: one.jobs_complete == 3)


async def test_the_place_that_is_kept_can_not_be_taken(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings, max_jobs=2)
    async with running(one):
        await armed(one)
        for job_id in "abc":
            await old_enqueue(arq_redis, job_id, "held")
        await one.start_jobs([b"a", b"b", b"c"])
        assert await locks(arq_redis) == {"a"}


# ---------------------------------------------------------------- quiet and stop


async def test_a_quiet_worker_takes_nothing(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one, other = jobs.worker(redis_settings), jobs.worker(redis_settings)
    async with running(one, other):
        await armed(one, other)
        await quiet(one)
        for job_id in "ab":
            await armed(other)
            await arq_redis.enqueue_job("quick", _job_id=job_id)
            await wait_until_async(functools.partial(jobs.__contains__, job_id))
        await wait_until_async(lambda: other.jobs_complete == 2)
        await quiet(other)
        await arq_redis.enqueue_job("quick", _job_id="c")
        assert await locks(arq_redis) == set()
        one.allow_pick_jobs = True
        await wait_until_async(lambda: "c" in jobs)
        await armed(one)
    assert (one.jobs_complete, other.jobs_complete) == (1, 2)
    await nothing_held(arq_redis)


async def test_what_was_given_just_before_is_run(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    """Redis gave the job away before it learnt that the worker takes no more: it is this worker's, and it knows."""
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        client = next(client for client in await arq_redis.client_list() if client["cmd"] == "blpop")
        call = scripts.claim(QUEUE, one.worker_id, ClaimRequest(1, 60_000, waited=True))
        await old_enqueue(arq_redis, "a", "quick", score=1)
        await scripts.run(arq_redis, call)  # as if it were the worker's own one
        one.allow_pick_jobs = False
        await wait_until_async(lambda: "a" in jobs)
        assert client["id"] not in {other["id"] for other in await arq_redis.client_list()}
    assert jobs == {"a": 1}
    await nothing_held(arq_redis)


async def test_a_draining_worker_takes_nothing(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings, job_completion_wait=60)
    async with until_stopped(one):
        await wait_until_async(lambda: inside.listens(one))
        await armed(one)
        await run_beside_the_claim(one, arq_redis)
        one.handle_sig_wait_for_completion(SIGTERM)
        await quiet(one)
        await arq_redis.enqueue_job("quick", _job_id="b")
        assert await locks(arq_redis) == {"a"}
        jobs.go.set()
    assert jobs == {"a": 1}
    await nothing_held(arq_redis, [QUEUE, "arq:job:b"])


# ---------------------------------------------------------------- trouble


async def test_scripts_are_flushed(arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs) -> None:
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        await arq_redis.script_flush()
        await arq_redis.enqueue_job("quick", _job_id="a")
        await wait_until_async(lambda: "a" in jobs)
        await armed(one)
    await nothing_held(arq_redis)


async def test_the_worker_was_taken_for_dead(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        await membership.release(arq_redis, one.worker_id)
        await arq_redis.enqueue_job("quick", _job_id="a")
        await wait_until_async(lambda: "a" in jobs)


async def test_the_connection_is_killed(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs, restless: None
) -> None:
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        for client in await arq_redis.client_list():
            if client["cmd"] == "blpop":
                await arq_redis.client_kill_filter(_id=client["id"])
        await wait_until_async(lambda: arq_redis.exists(f"arq:epoch:{one.worker_id}"))
        await armed(one)
        async with silent(one):
            await arq_redis.enqueue_job("quick", _job_id="a")
            await wait_until_async(lambda: "a" in jobs)
    await nothing_held(arq_redis)


@pytest.mark.parametrize("fault", Fault)
async def test_the_connection_breaks(
    arq_redis: ArqRedis,
    proxy: FlakyProxy,
    proxied: RedisSettings,
    jobs: Jobs,
    restless: None,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """With the answer the worker loses that it was given a job: it asks."""
    monkeypatch.setattr(wake_tokens, "BLOCK_S", 1)
    monkeypatch.setattr(wake_tokens, "_GRACE_S", 0.3)
    one = jobs.worker(proxied)

    async def on_startup(ctx: Ctx) -> None:
        proxy.arm(fault, b"BLPOP")

    one.on_startup = on_startup
    async with running(one):
        await wait_until_async(lambda: proxy.struck)
        await arq_redis.enqueue_job("quick", _job_id="a")
        await wait_until_async(lambda: "a" in jobs)
        await wait_until_async(lambda: one.jobs_complete == 1)
        await armed(one)
    assert jobs == {"a": 1}
    await nothing_held(arq_redis)


async def test_an_answer_that_was_overtaken_hides_nothing(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        now_ms = inside.poll(one).answered_ms + 10
        inside.main_loop(one).take(ClaimAnswer(now_ms, wait_ms=500, begin_at="", shared=False, jobs=[]))
        due_at_s = inside.poll(one).look_at_s
        inside.main_loop(one).take(ClaimAnswer(now_ms - 1, wait_ms=-1, begin_at="", shared=False, jobs=[]))
        assert inside.poll(one).look_at_s == due_at_s
        inside.main_loop(one).take(ClaimAnswer(now_ms + 1, wait_ms=-1, begin_at="", shared=False, jobs=[]))
        assert inside.poll(one).look_at_s > due_at_s


async def test_an_answer_from_before_we_asked_does_not_count(
    arq_redis: ArqRedis, redis_settings: RedisSettings, jobs: Jobs
) -> None:
    """What it brings, the answer to our question has brought, too: it may be over already."""
    one = jobs.worker(redis_settings)
    async with running(one):
        await armed(one)
        inside.exchange(one).ask_what_is_ours()
        async with silent(one):
            inside.wake_up(one)
            await wait_until_async(lambda: inside.exchange(one).epoch == 1)  # the question is on its way
            await arq_redis.enqueue_job("quick", _job_id="a")
            await wait_until_async(lambda: inside.listens(one) and not inside.has_waiting_claim(one))
            assert await locks(arq_redis) == {"a"}
            assert "a" not in jobs
        await wait_until_async(lambda: "a" in jobs)
        await armed(one)
    assert jobs == {"a": 1}
    await nothing_held(arq_redis)
