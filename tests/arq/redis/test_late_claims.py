"""A claim that arrives after its worker has given it up takes nothing: nobody would ever run what it took."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import RedisError

from arq._redis import membership, script_loader, scripts
from arq._redis.scripts import ClaimAnswer, ClaimRequest, Refusal
from arq._redis.worker_connection import Link
from arq._worker.commit_and_claim import Exchange
from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.worker import Worker, func
from tests.arq.redis.harness import QUEUE, Ctx, ids, keys, nothing_held, quick, quiet, running
from tests.support.eventually import wait_until_async
from tests.support.flaky import Fault, FlakyProxy

EPOCH_KEY = "arq:epoch:w"


async def claim(pool: ArqRedis, epoch: int) -> ClaimAnswer | Refusal:
    call = scripts.claim(QUEUE, "w", ClaimRequest(1, 60_000, epoch=epoch))
    return scripts.read_claim(await scripts.run(pool, call))


async def reclaim(pool: ArqRedis, epoch: int) -> list[str]:
    answer = await scripts.run(pool, scripts.reclaim("w", epoch))
    return [job.job_id for job in scripts.read_jobs(answer)[0]]


@pytest.fixture
async def exchange(arq_redis: ArqRedis) -> Exchange:
    """What a worker `w` has; a queue with jobs is there."""
    await membership.register(arq_redis, "w", 60_000)
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "abc"])
    return Exchange(Link(arq_redis.connection_pool), QUEUE, "w", 60_000, 60_000, look_at_aborts=False)


async def test_a_claim_that_was_given_up_takes_nothing(arq_redis: ArqRedis, exchange: Exchange) -> None:
    assert await reclaim(arq_redis, 1) == []
    assert await claim(arq_redis, 0) == ("late", 1)
    assert not await keys(arq_redis, "arq:in-progress:*")
    now = await claim(arq_redis, 1)
    assert isinstance(now, ClaimAnswer)
    assert ids(now) == ["a"]


async def test_a_reclaim_that_comes_late_lets_no_older_claims_in(
    arq_redis: ArqRedis, exchange: Exchange
) -> None:
    await reclaim(arq_redis, 5)
    await reclaim(arq_redis, 4)
    assert await claim(arq_redis, 4) == ("late", 5)


async def test_the_number_goes_when_nobody_can_need_it_any_more(
    arq_redis: ArqRedis, exchange: Exchange
) -> None:
    await reclaim(arq_redis, 1)
    assert 1_000_000 < await arq_redis.pttl(EPOCH_KEY) <= 3_600_000  # else no late claim would be refused
    await exchange.leave()
    assert not await keys(arq_redis, "arq:epoch:*")
    assert await claim(arq_redis, 0) == ("unknown", 0)
    await exchange.close()


async def test_after_a_lost_answer_only_new_claims_count(
    arq_redis: ArqRedis, proxied: RedisSettings, proxy: FlakyProxy, exchange: Exchange
) -> None:
    through = ArqRedis(host=proxied.host, port=proxied.port)
    exchange.link = Link(through.connection_pool)
    for step in ("claim", "reclaim"):  # the claim's answer is lost, then that of the reclaim
        proxy.arm(Fault.ANSWER_LOST, script_loader.load(step).sha.encode())
        with pytest.raises((OSError, RedisError)):
            await exchange.commit_and_claim(1)
    answer = await exchange.commit_and_claim(1)
    assert answer is not None
    assert (answer.recovered, ids(answer)) == (True, ["a"])
    assert [await claim(arq_redis, epoch) for epoch in (0, 1)] == [("late", 2)] * 2
    answer = await exchange.commit_and_claim(1)
    assert answer is not None
    assert ids(answer) == ["b"]
    await exchange.close()
    await through.aclose()


async def test_a_worker_that_was_released_meanwhile_still_refuses_its_late_claims(
    arq_redis: ArqRedis, exchange: Exchange
) -> None:
    exchange._claim_lost = True
    await exchange.commit_and_claim(1)
    await scripts.run(arq_redis, scripts.release("w", scripts.Why.DIED))
    answer = await exchange.commit_and_claim(1)
    assert answer is not None
    assert ids(answer) == ["a"]
    late = await claim(arq_redis, 0)
    assert isinstance(late, Refusal)
    assert late.why == "late"
    await exchange.close()


async def test_a_worker_that_could_not_say_goodbye_goes_on(arq_redis: ArqRedis, exchange: Exchange) -> None:
    """It ran before with this id, lost answers, and Redis was away when it left."""
    await reclaim(arq_redis, 7)
    assert isinstance(await claim(arq_redis, 7), ClaimAnswer)
    found = []
    for _ in range(2):
        answer = await exchange.commit_and_claim(1)
        assert answer is not None
        found.append((answer.recovered, ids(answer)))
    assert found == [(True, ["a"]), (False, ["b"])]
    await exchange.close()


async def test_a_claim_held_up_in_the_network(
    arq_redis: ArqRedis,
    proxied: RedisSettings,
    proxy: FlakyProxy,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker hears nothing, asks anew on another connection, and then its first claim arrives."""
    worker = Worker(
        [func(quick, name="quick")], redis_settings=proxied, poll_delay=0.05, handle_signals=False
    )
    claims: list[tuple[Any, ...]] = []
    claim_of = Exchange._claim

    def noted(*args: Any) -> Any:
        call = claim_of(*args)
        claims.append(call.by_sha())
        return call

    async def on_startup(ctx: Ctx) -> None:
        proxy.arm(Fault.REQUEST_LOST, script_loader.load("claim").sha.encode())

    monkeypatch.setattr(Exchange, "_claim", noted)
    worker.on_startup = on_startup
    async with running(worker):
        await wait_until_async(lambda: arq_redis.exists(f"arq:epoch:{worker.worker_id}"))
        await quiet(worker)
        await arq_redis.enqueue_job("quick", _job_id="a")
        answer = scripts.read_claim(await arq_redis.execute_command(*claims[0]))
        assert isinstance(answer, Refusal)
        assert not await keys(arq_redis, "arq:in-progress:*")
        worker.allow_pick_jobs = True
        await wait_until_async(lambda: worker.jobs_complete == 1)
    await nothing_held(arq_redis)
