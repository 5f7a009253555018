"""One note for all jobs of a claim: of jobs that are over, lapse or are given back; and beside older notes."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from typing import Any

import pytest
import redis

from arq._endings import Again, Done, Ending, Terms, read_finish
from arq._redis import membership, scripts
from arq._redis.membership import Why
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import deserialize_job
from arq.worker import Worker, func
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    armed,
    claim,
    enqueued,
    hold_as_old,
    ids,
    members,
    nothing_held,
    old_enqueue,
    running,
)
from tests.support.eventually import wait_until_async
from tests.support.servers import HOST, RedisServer


async def finish(pool: ArqRedis, worker_id: str, *endings: Ending, **terms: Any) -> list[int]:
    answer = await scripts.run(pool, scripts.finish(QUEUE, worker_id, endings, Terms(**terms)))
    return read_finish(answer, len(endings))


async def lapsed(pool: ArqRedis, worker_id: str, *job_ids: str) -> scripts.ClaimAnswer:
    """Jobs that a living worker holds, whose locks have lapsed."""
    answer = await claim(pool, worker_id, job_ids=job_ids, lock_ms=1)
    names = [f"arq:in-progress:{job_id}" for job_id in job_ids]

    async def are_free() -> bool:
        return not await pool.exists(*names)

    await wait_until_async(are_free, what="locks lapse")
    return answer


# ---------------------------------------------------------------- what a note says


@pytest.mark.parametrize("odd", ["a\nb", "100%", "%0A", "\n", "%\n%250A"])
async def test_odd_ids_are_given_back_at_their_places(arq_redis: ArqRedis, odd: str) -> None:
    queue = f"queue {odd}"
    for number, job_id in enumerate(["plain", odd, f"{odd}{odd}"]):
        await old_enqueue(arq_redis, job_id, score=1000 + number, queue=queue)
    before = await arq_redis.zrange(queue, 0, -1, withscores=True)
    assert ids(await claim(arq_redis, "w", queue_name=queue)) == ["plain", odd, f"{odd}{odd}"]
    lock_ms = 600_000
    assert await scripts.run(arq_redis, scripts.extend(queue, "w", lock_ms, [odd])) == []
    held = scripts.read_jobs(await scripts.run(arq_redis, scripts.reclaim("w", 1)))[0]
    assert {job.job_id: job.score for job in held}[odd] == 1001
    await membership.release(arq_redis, "w", Why.UNBEGUN)
    assert await arq_redis.zrange(queue, 0, -1, withscores=True) == before


async def test_a_job_that_is_over_is_not_given_back(arq_redis: ArqRedis) -> None:
    """The note still names it, for others of its claim run; its id may be in the queue again."""
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "ab"])
    first, _ = (await claim(arq_redis, "w")).jobs
    await finish(arq_redis, "w", Done("a", first.stamp, only_start=True))
    await old_enqueue(arq_redis, "a", score=5000)
    assert (await membership.release(arq_redis, "w")).job_ids == ["b"]
    assert await arq_redis.zscore(QUEUE, "a") == 5000
    assert not await arq_redis.exists("arq:retry:a")


async def test_the_last_claim_of_a_job_counts(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "ab"])
    first, _ = (await claim(arq_redis, "w")).jobs
    await finish(arq_redis, "w", Again("a", first.stamp, None, 1))
    await arq_redis.zadd(QUEUE, {"a": 7000})
    assert ids(await claim(arq_redis, "w")) == ["a"]
    assert set((await membership.release(arq_redis, "w")).job_ids) == {"a", "b"}
    assert await arq_redis.zscore(QUEUE, "a") == 7000


async def test_a_note_goes_with_the_last_of_its_jobs(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    """In whatever order they end, and however."""

    async def job(ctx: Ctx, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        if pause_s > 0.02 and ctx["job_try"] == 1:
            raise RuntimeError("failed")

    functions = [func(job, name="job", max_tries=2)]
    worker = Worker(functions, redis_settings=redis_settings, handle_signals=False, poll_delay=60)
    async with running(worker):
        await armed(worker)
        pauses = random.Random(1).choices([0, 0.01, 0.03], k=40)
        await arq_redis.enqueue_jobs([JobCall("job", pause) for pause in pauses])
        await wait_until_async(lambda: worker.jobs_complete + worker.jobs_failed == 40)
        await armed(worker)
        assert not await arq_redis.exists(f"arq:batches:{worker.worker_id}")
    await nothing_held(arq_redis)


# ---------------------------------------------------------------- starts


async def test_a_start_whose_lock_lapses_counts(arq_redis: ArqRedis) -> None:
    """Its worker lives, and stands still."""
    await enqueued(arq_redis, "quick", _job_id="a")
    await lapsed(arq_redis, "late", "a")
    answer = await claim(arq_redis, "w")
    assert [(job.job_id, job.job_try) for job in answer.jobs] == [("a", 2)]
    assert not answer.swept


async def test_what_a_late_worker_finishes_leaves_no_counter(arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in "ab"])
    (job,) = (await lapsed(arq_redis, "late", "a")).jobs
    await claim(arq_redis, "w", job_ids=["b"])  # it looks, and counts the start
    assert await arq_redis.get("arq:retry:a") == b"1"
    assert await finish(arq_redis, "late", Done("a", job.stamp, only_start=True)) == []
    assert not await arq_redis.exists("arq:retry:a", "arq:job:a", "arq:in-progress:a")


async def test_a_lapse_of_an_extended_lock_is_seen(arq_redis: ArqRedis) -> None:
    await enqueued(arq_redis, "quick", _job_id="a")
    await claim(arq_redis, "late")
    await scripts.run(arq_redis, scripts.extend(QUEUE, "late", 1, ["a"]))
    await wait_until_async(lambda: _is_gone(arq_redis, "arq:in-progress:a"))
    await arq_redis.zadd("arq:lapses", {"late": 1})  # five seconds pass
    assert (await claim(arq_redis, "w")).jobs[0].job_try == 2


async def _is_gone(pool: ArqRedis, key: str) -> bool:
    return not await pool.exists(key)


async def test_who_is_looked_at_is_looked_at_again(arq_redis: ArqRedis) -> None:
    await membership.register(arq_redis, "w", 60_000)
    for entry in ("w", "nobody"):
        await arq_redis.zadd("arq:lapses", {entry: 1})
    await claim(arq_redis, "v")
    found: dict[Any, Any] = dict(await arq_redis.zrange("arq:lapses", 0, -1, withscores=True))  # type: ignore[arg-type]
    assert found.keys() == {b"w", b"v"}
    seconds, _ = await arq_redis.time()
    assert 0 <= found[b"w"] - seconds * 1000 <= 6000


# ---------------------------------------------------------------- what a server does not permit


@pytest.mark.parametrize(
    "forbidden", ["", "-msetex", "-msetex -mset", "-msetex -msetnx", "-msetex -pexpireat"]
)
async def test_without_the_right_to_write_many_at_once(own_server: RedisServer, forbidden: str) -> None:
    """What is written has its expiry all the same, and each job is run once."""
    words = forbidden.split()
    with redis.Redis(HOST, own_server.port) as client:
        if b"msetex" not in client.command_list():
            words = [word for word in words if word != "-msetex"]
        client.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", *words)
    pool = await create_pool(RedisSettings(HOST, own_server.port, username="app", password="secret"))
    await pool.enqueue_jobs([JobCall("quick", _job_id=f"j{number}") for number in range(40)])
    jobs = (await claim(pool, "w", 40)).jobs
    assert len(jobs) == 40
    locks = await pool.keys("arq:in-progress:*")
    assert len(locks) == 40
    assert all([0 < await pool.pttl(lock) <= 60_000 for lock in locks])
    assert await finish(pool, "w", *(Done(job.job_id, job.stamp, b"x", 50_000) for job in jobs)) == []
    results = await pool.keys("arq:result:*")
    assert len(results) == 40
    assert all([0 < await pool.pttl(result) <= 50_000 for result in results])
    assert not await pool.keys("arq:job:*")
    await pool.aclose()


@pytest.mark.parametrize("count", [1, 3, 40])
async def test_results_for_ever(arq_redis: ArqRedis, count: int) -> None:
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=f"j{number}") for number in range(count)])
    jobs = (await claim(arq_redis, "w", count)).jobs
    assert await finish(arq_redis, "w", *(Done(job.job_id, job.stamp, b"x") for job in jobs)) == []
    assert [await arq_redis.pttl(f"arq:result:{job.job_id}") for job in jobs] == [-1] * count
    for job in jobs:
        await arq_redis.delete(f"arq:result:{job.job_id}")


@pytest.mark.parametrize("count", [2, 40])
async def test_an_id_twice_in_a_batch_is_one_job(arq_redis: ArqRedis, count: int) -> None:
    """The first one counts, as one after the other."""
    calls = [JobCall("quick", number, _job_id="twice") for number in range(count)]
    jobs = await arq_redis.enqueue_jobs(calls)
    assert [job is not None for job in jobs] == [True] + [False] * (count - 1)
    (claimed,) = (await claim(arq_redis, "w", 10)).jobs
    assert claimed.payload is not None
    assert deserialize_job(claimed.payload).args == (0,)


# ---------------------------------------------------------------- histories of a fleet with notes of both kinds


class MixedFleet:
    """Workers of both kinds that claim, finish, put back, die, and let locks lapse, at random."""

    def __init__(self, pool: ArqRedis, chance: random.Random) -> None:
        self.pool, self.chance = pool, chance
        self.born = 0
        #: worker -> job id -> stamp of its claim; None where the worker is of an earlier version
        self.running: dict[str, dict[str, bytes | None]] = {}
        self.starts: Counter[str] = Counter()
        self.done: set[str] = set()

    async def step(self) -> None:
        """One thing that happens."""
        if len(self.running) < 4:
            self.born += 1
            self.running[f"{self.chance.choice(['old', 'new'])}{self.born}"] = {}
        worker_id = self.chance.choice(list(self.running))
        happens = self.chance.choice([self.claim, self.claim, self.finish, self.finish, self.die])
        await happens(worker_id)

    async def claim(self, worker_id: str) -> None:
        """Up to five jobs."""
        held = self.running[worker_id]
        if worker_id.startswith("new"):
            for job in (await claim(self.pool, worker_id, 5)).jobs:
                self.starts[job.job_id] += 1
                assert job.job_try == self.starts[job.job_id], job
                held[job.job_id] = job.stamp
            return
        seconds, _ = await self.pool.time()
        due: list[Any] = await self.pool.zrangebyscore(QUEUE, "-inf", seconds * 1000)
        for job_id in [entry.decode() for entry in due][:5]:
            await hold_as_old(self.pool, worker_id, job_id)
            self.starts[job_id] += 1
            tried: Any = await self.pool.get(f"arq:retry:{job_id}")
            assert int(tried) == self.starts[job_id]
            held[job_id] = None

    async def finish(self, worker_id: str) -> None:
        """Some of its jobs are over, or to be run again."""
        held = self.running[worker_id]
        for job_id in self.chance.sample(sorted(held), k=len(held) // 2):
            stamp, again = held.pop(job_id), self.chance.random() < 0.3
            if stamp is None:
                await self._finish_as_old(worker_id, job_id)
                self.done.add(job_id)
                continue
            over = [] if stamp in held.values() else [stamp]
            ending: Ending = Again(job_id, stamp, None, self.starts[job_id]) if again else Done(job_id, stamp)
            assert await finish(self.pool, worker_id, ending, over=over) == []
            if not again:
                self.done.add(job_id)

    async def _finish_as_old(self, worker_id: str, job_id: str) -> None:
        await self.pool.delete(f"arq:in-progress:{job_id}", f"arq:job:{job_id}", f"arq:retry:{job_id}")
        await self.pool.zrem(QUEUE, job_id)
        await self.pool.hdel(f"arq:claims:{worker_id}", job_id)

    async def die(self, worker_id: str) -> None:
        """Whoever finds it gives back exactly what it held."""
        held = self.running.pop(worker_id)
        released = await membership.release(self.pool, worker_id, Why.DIED, "signal 9")
        assert sorted(released.job_ids) == sorted(held)


@pytest.mark.parametrize("seed", range(12))
async def test_no_job_is_lost_or_doubled_and_every_start_counts(arq_redis: ArqRedis, seed: int) -> None:
    fleet = MixedFleet(arq_redis, random.Random(seed))
    wanted = {f"job {number}" for number in range(30)}
    await arq_redis.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in sorted(wanted)])
    for _ in range(400):
        if fleet.done == wanted:
            break
        await fleet.step()
    for worker_id in list(fleet.running):
        await fleet.die(worker_id)
    assert set(await members(arq_redis, QUEUE)) == wanted - fleet.done


async def test_locks_are_there_until_the_last_ms_of_a_claim_is_over(arq_redis: ArqRedis) -> None:
    """A worker that waits for a lock to lapse looks in that very ms, and must look again in the next one."""
    await arq_redis.enqueue_job("f", _job_id="a")
    (job,) = (await claim(arq_redis, "w")).jobs

    async def is_looked_at_again() -> bool:
        seconds, us = await arq_redis.time()
        now = seconds * 1000 + us // 1000
        note: Any = await arq_redis.hget("arq:batches:w", job.stamp)
        _, rest = note.split(b"\n", 1)
        await arq_redis.hset("arq:batches:w", job.stamp, b"%d\n%s" % (now, rest))
        await arq_redis.zadd("arq:lapses", {"w": 1})
        await claim(arq_redis, "next")
        return (await arq_redis.zscore("arq:lapses", "w") or math.inf) < now + 4000

    await wait_until_async(is_looked_at_again)
