"""Processes that die: who is blamed, who is a suspect, and with whom suspects are tried. The scripts, step by step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from arq._crash_records import Crashes, read_crashes
from arq._endings import Again, Done
from arq._redis import membership, scripts
from arq._redis.membership import Released, Why
from arq._redis.scripts import Caution, ClaimRequest
from arq._worker.crash_suspects import few
from arq.connections import ArqRedis, JobCall
from tests.arq.redis.harness import QUEUE, claim, ids, keys, nothing_held
from tests.support.eventually import wait_until_async

ROOM, LEAVE, BESIDE = (Caution(3, 0, mode) for mode in ("room", "leave", "beside"))
QUARANTINE = f"arq:quarantine:{QUEUE}"


async def enqueue(pool: ArqRedis, *job_ids: str) -> None:
    await pool.enqueue_jobs([JobCall("quick", _job_id=job_id) for job_id in job_ids])


async def die(pool: ArqRedis, *job_ids: str, cause: str = "signal 9", worker_id: str = "w") -> Released:
    """A process dies that runs these jobs."""
    for job_id in job_ids:
        assert ids(await claim(pool, worker_id, job_ids=[job_id])) == [job_id]
    return await membership.release(pool, worker_id, Why.DIED, cause)


async def suspected(pool: ArqRedis, job_id: str, times: int) -> None:
    """A job that was in so many processes that died, each time beside one that is over by now."""
    for n in range(times):
        await enqueue(pool, f"neighbour {n}")
        await die(pool, job_id, f"neighbour {n}")
        await done(pool, f"neighbour {n}")


async def done(pool: ArqRedis, job_id: str) -> None:
    (job,) = (await claim(pool, "done", job_ids=[job_id])).jobs
    await scripts.run(pool, scripts.finish(QUEUE, "done", [Done(job_id, job.stamp)]))


async def let_wait(pool: ArqRedis, *job_ids: str) -> None:
    """Nobody is patient any more with the ones that have come back."""
    for job_id in job_ids:
        await pool.expire(f"arq:crashes:{job_id}", 80_000)


async def count(pool: ArqRedis, job_id: str) -> tuple[int, int]:
    """Starts, and how many of them do not count."""
    found = await pool.mget(f"arq:retry:{job_id}", f"arq:interrupted:{job_id}")
    return int(found[0] or 0), int(found[1] or 0)


async def note(pool: ArqRedis, job_id: str) -> Crashes | None:
    found: Any = await pool.get(f"arq:crashes:{job_id}")
    return None if found is None else read_crashes(found)


# ---------------------------------------------------------------- who is blamed


async def test_one_that_was_alone_is_blamed(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, "a")
    assert await die(arq_redis, "a") == (["a"], "a", False)
    assert await count(arq_redis, "a") == (1, 0)
    assert await note(arq_redis, "a") == (2, 1, "signal 9")  # it never takes others down again
    assert await die(arq_redis, "a", cause="exit status 3") == (["a"], "a", True)
    assert await count(arq_redis, "a") == (2, 0)
    assert await note(arq_redis, "a") == (3, 2, "exit status 3")


async def test_of_many_nobody_is_blamed(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abc")
    assert await die(arq_redis, *"abc") == (["a", "b", "c"], "", False)
    for job_id in "abc":
        assert await count(arq_redis, job_id) == (1, 1)
        assert await note(arq_redis, job_id) == (1, 0, "signal 9")
        assert 80_000 < await arq_redis.ttl(f"arq:crashes:{job_id}") <= 88_400


async def test_one_that_was_often_suspected_is_blamed_beside_others(arq_redis: ArqRedis) -> None:
    """It can't always be alone: a long job may be there."""
    await enqueue(arq_redis, *"ab")
    await suspected(arq_redis, "a", 2)
    assert (await die(arq_redis, "a", "b")).blamed == ""  # twice is no proof
    released = await die(arq_redis, "a", "b")
    assert (released.blamed, released.was_suspected) == ("a", True)
    assert await count(arq_redis, "a") == (4, 3)
    assert await count(arq_redis, "b") == (2, 2)


async def test_of_two_that_were_suspected_equally_often_nobody_is_blamed(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    for _ in range(4):
        assert (await die(arq_redis, "a", "b")).blamed == ""
    assert await note(arq_redis, "a") == await note(arq_redis, "b") == (4, 0, "signal 9")


async def make_older(pool: ArqRedis, worker_id: str, job_id: str) -> None:
    """Let it have been claimed a minute before."""
    notes: dict[Any, Any] = await pool.hgetall(f"arq:batches:{worker_id}")
    (stamp,) = (stamp for stamp, text in notes.items() if job_id.encode() in text.split(b"\n")[2::2])
    await pool.hdel(f"arq:batches:{worker_id}", stamp)
    await pool.hset(f"arq:batches:{worker_id}", int(stamp) - 60_000_000, notes[stamp])


async def test_one_that_has_run_for_a_while_is_less_likely(arq_redis: ArqRedis) -> None:
    """The long jobs of a process are not all tried alone because of a new one that kills it."""
    await enqueue(arq_redis, *"abc")
    await die(arq_redis, *"ab")
    for expected in (1, 2, 2, 3):
        for job_id in "abc":
            assert ids(await claim(arq_redis, "w", job_ids=[job_id])) == [job_id]
        for job_id in "ab":  # they have been running for a minute
            await make_older(arq_redis, "w", job_id)
        await membership.release(arq_redis, "w", Why.DIED, "signal 9")
        for job_id in "ab":
            known = await note(arq_redis, job_id)
            assert known is not None
            assert known.level == expected
    assert await note(arq_redis, "c") == (4, 1, "signal 9")
    assert await count(arq_redis, "a") == (5, 5)


async def test_a_shutdown_is_no_crash(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await claim(arq_redis, "w")
    assert await membership.release(arq_redis, "w", Why.STOPPED, "cohort") == (["a", "b"], "", False)
    assert await count(arq_redis, "a") == (1, 1)
    assert not await keys(arq_redis, "arq:crashes:*")
    assert await arq_redis.get("arq:left:a") == b"cohort"


async def test_nobody_knows_how_one_died_that_vanished(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await claim(arq_redis, "w", 1)
    await claim(arq_redis, "v", 1)
    await membership.register(arq_redis, "w", -1)
    assert await membership.sweep(arq_redis) == {"w": (["a"], "a", False)}
    assert await note(arq_redis, "a") == (2, 1, "vanished")
    assert await note(arq_redis, "b") is None


async def vanish(pool: ArqRedis, worker_id: str, *job_ids: str) -> None:
    """A worker was killed, nobody has looked for dead ones since, and the locks of its jobs have lapsed."""
    assert ids(await claim(pool, worker_id, job_ids=job_ids, lock_ms=1)) == list(job_ids)
    await pool.zadd("arq:leases", {worker_id: 1})

    async def are_free() -> bool:
        return not await pool.exists(*(f"arq:in-progress:{job_id}" for job_id in job_ids))

    await wait_until_async(are_free, what="locks lapse")


async def test_whose_fault_it_was_is_settled_before_a_job_is_taken_again(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abc", "d")
    await vanish(arq_redis, "dead", *"abc")
    answer = await claim(arq_redis, "w")
    assert answer.swept == {"dead": (["a", "b", "c"], "", False)}
    assert ids(answer) == ["a", "b", "c", "d"]
    assert [await count(arq_redis, job_id) for job_id in "abcd"] == [(2, 1), (2, 1), (2, 1), (0, 0)]
    assert [await note(arq_redis, job_id) for job_id in "abcd"] == [(1, 0, "vanished")] * 3 + [None]


async def test_that_holds_for_every_way_to_claim(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await vanish(arq_redis, "dead", *"ab")
    answer = await claim(arq_redis, "w", job_ids=["b", "a"])
    assert ids(answer) == ["b", "a"]
    assert answer.swept == {"dead": (["a", "b"], "", False)}
    assert [await count(arq_redis, job_id) for job_id in "ab"] == [(2, 1)] * 2


async def test_the_suspects_that_are_found_so_are_tried_beside_few(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abcd")
    await vanish(arq_redis, "dead", *"abcd")
    answer = await claim(arq_redis, "w", caution=LEAVE)
    answer = await claim(arq_redis, "w", caution=LEAVE)
    assert len(await arq_redis.keys("arq:in-progress:*")) == LEAVE.few
    assert answer.swept == {}


async def test_a_worker_that_is_late_itself_gives_nothing_back(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await vanish(arq_redis, "w", *"ab")
    call = scripts.claim(QUEUE, "w", ClaimRequest(9, 60_000, caution=BESIDE))
    answer = scripts.read_claim(await scripts.run(arq_redis, call))
    assert isinstance(answer, scripts.ClaimAnswer)
    assert ids(answer) == ["a", "b"]
    assert not answer.swept
    assert [await note(arq_redis, job_id) for job_id in "ab"] == [None, None]


async def test_a_worker_whose_supervisor_is_silent_keeps_what_it_holds(arq_redis: ArqRedis) -> None:
    """Its lease is over, its locks are not. A job that is tried again says nothing of it."""
    await enqueue(arq_redis, *"ab")
    await claim(arq_redis, "alive", job_ids=["a"])
    await arq_redis.zadd("arq:leases", {"alive": 1})
    await arq_redis.set("arq:retry:b", 1, ex=60)
    answer = await claim(arq_redis, "w")
    assert (ids(answer), answer.swept) == (["b"], {})
    assert await arq_redis.get("arq:in-progress:a") == b"alive"


async def test_jobs_before_those_that_were_held_are_seen_again(arq_redis: ArqRedis) -> None:
    """Those of a dead worker get the places that they had, which a page of the queue has passed already."""
    await enqueue(arq_redis, *(f"held {n}" for n in range(40)))
    await vanish(arq_redis, "dead", *(f"held {n}" for n in range(20)))
    others = [f"held {n}" for n in range(20, 40)]
    answer = await claim(arq_redis, "other", limit=5, fair=False, job_ids=others)
    assert answer.swept.keys() == {"dead"}
    assert answer.begin_at == ""
    taken: list[str] = []
    while more := ids(await claim(arq_redis, "w")):
        taken += more
    assert sorted(taken) == sorted(f"held {n}" for n in range(20))
    assert {await count(arq_redis, job_id) for job_id in taken} == {(2, 1)}


async def test_a_worker_that_held_nothing_blames_nobody(arq_redis: ArqRedis) -> None:
    await membership.register(arq_redis, "w", 60_000)
    assert await membership.release(arq_redis, "w", Why.DIED, "signal 9") == ([], "", False)


async def test_what_is_known_goes_with_the_job(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, "a")
    await die(arq_redis, "a")
    await done(arq_redis, "a")
    assert not await keys(arq_redis, "arq:crashes:*")
    await membership.release(arq_redis, "done", Why.UNBEGUN)
    await nothing_held(arq_redis, ["arq:leases", "arq:members", "arq:wake:arq:queue"])


@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_suspect_that_ends_by_itself_is_none_any_more(arq_redis: ArqRedis, interrupted: bool) -> None:
    await enqueue(arq_redis, "a")
    await die(arq_redis, "a")
    (job,) = (await claim(arq_redis, "w")).jobs
    ending = Again("a", job.stamp, None, 2, interrupted)
    assert await scripts.run(arq_redis, scripts.finish(QUEUE, "w", [ending])) == []
    assert await note(arq_redis, "a") == ((2, 1, "signal 9") if interrupted else None)


async def test_after_a_lost_answer_the_worker_still_knows(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await die(arq_redis, "a")
    (told,) = (await claim(arq_redis, "w", job_ids=["a"])).jobs
    await claim(arq_redis, "w", job_ids=["b"])
    asked, _ = scripts.read_jobs(await scripts.run(arq_redis, scripts.reclaim("w", 1)))
    assert told.crashes == (2, 1, "signal 9")
    assert {job.job_id: job.crashes for job in asked} == {"a": told.crashes, "b": None}


# ---------------------------------------------------------------- who may run beside whom


async def test_first_suspects_run_with_few_others(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abcdef")
    await die(arq_redis, *"abcd")
    answer = await claim(arq_redis, "w", caution=ROOM)
    assert ids(answer) == ["a", "b", "c"]
    assert (answer.wait_ms, answer.awaited) == (0, "")  # more is due, for others
    assert ids(await claim(arq_redis, "v", caution=ROOM)) == ["d", "e", "f"]


async def test_few_are_few_with_those_that_run(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abcdef")
    await die(arq_redis, *"cd")
    assert ids(await claim(arq_redis, "w", 1, caution=ROOM)) == ["a"]
    assert ids(await claim(arq_redis, "w", caution=ROOM)) == ["b", "c"]
    assert ids(await claim(arq_redis, "w", caution=ROOM)) == [
        "e",
        "f",
    ]  # the worker itself says that it is full


async def test_second_suspects_run_alone(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abc")
    await die(arq_redis, "a")
    await die(arq_redis, "b")
    assert ids(await claim(arq_redis, "w", caution=ROOM)) == ["a"]
    assert ids(await claim(arq_redis, "v", caution=ROOM)) == ["b"]
    assert ids(await claim(arq_redis, "u", caution=ROOM)) == ["c"]


async def test_a_plain_job_is_taken_past_a_suspect(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abcd")
    await die(arq_redis, "b")
    assert ids(await claim(arq_redis, "w", 1, caution=ROOM)) == ["a"]
    answer = await claim(arq_redis, "w", caution=ROOM)
    assert ids(answer) == ["c", "d"]
    assert not await arq_redis.exists("arq:in-progress:b")
    assert 0 < answer.wait_ms <= 5000  # then it is worth while to look again
    assert answer.awaited == ""  # the process that takes the place of the dead one is empty


async def test_only_one_worker_makes_room(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"abc")
    await die(arq_redis, "c")
    await let_wait(arq_redis, "c")
    for worker_id in "wv":
        await claim(arq_redis, worker_id, 1, caution=ROOM)
    assert (await claim(arq_redis, "w", caution=LEAVE)).awaited == ""
    assert (await claim(arq_redis, "w", caution=ROOM)).awaited == "c"
    assert (await claim(arq_redis, "v", caution=ROOM)).awaited == ""
    assert (await claim(arq_redis, "w", job_ids=["c"], caution=ROOM)).awaited == "c"
    assert 0 < await arq_redis.pttl(QUARANTINE) <= 5000
    taken = await claim(arq_redis, "w", job_ids=["c"], caution=BESIDE)  # it has waited long enough
    assert (ids(taken), taken.awaited) == (["c"], "")
    assert not await arq_redis.exists(QUARANTINE)


async def test_who_waits_learns_that_somebody_else_has_it(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await die(arq_redis, "b")
    await let_wait(arq_redis, "b")
    await claim(arq_redis, "w", 1, caution=ROOM)
    assert (await claim(arq_redis, "w", caution=ROOM)).awaited == "b"
    assert ids(await claim(arq_redis, "idle", caution=ROOM)) == ["b"]
    answer = await claim(arq_redis, "w", job_ids=["b"], caution=ROOM)
    assert (ids(answer), answer.awaited) == ([], "")


async def test_others_are_woken_while_one_makes_room(arq_redis: ArqRedis) -> None:
    for worker_id in "wv":
        await scripts.run(arq_redis, scripts.present(QUEUE, worker_id, 60_000))
    await enqueue(arq_redis, *"ab")
    await die(arq_redis, "b")
    await let_wait(arq_redis, "b")
    await claim(arq_redis, "w", 1, caution=ROOM)
    await arq_redis.delete(f"arq:wake:{QUEUE}")
    await claim(arq_redis, "w", caution=LEAVE)
    assert not await arq_redis.exists(f"arq:wake:{QUEUE}")  # no two busy workers wake each other for ever
    await claim(arq_redis, "w", caution=ROOM)
    assert await arq_redis.llen(f"arq:wake:{QUEUE}") == 1


async def test_jobs_that_stood_their_trial_do_not_count(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, *"ab")
    await die(arq_redis, "b")
    await claim(arq_redis, "w", 1)
    assert ids(await claim(arq_redis, "w", caution=Caution(3, 1, "room"))) == ["b"]


async def test_an_idle_worker_whose_claim_waited_takes_any(arq_redis: ArqRedis) -> None:
    await enqueue(arq_redis, "a")
    await suspected(arq_redis, "a", 5)
    answer = await claim(arq_redis, "w", 1, waited=True, caution=scripts.NO_CAUTION)
    assert ids(answer) == ["a"]


@pytest.mark.parametrize("text", [b"", b"x", b"1", b"\xff", b"0 0 x"])
async def test_a_note_of_somebody_else_is_none(arq_redis: ArqRedis, text: bytes) -> None:
    await enqueue(arq_redis, *"ab")
    await arq_redis.set("arq:retry:b", 1, ex=60)
    await arq_redis.set("arq:crashes:b", text, ex=60)
    assert ids(await claim(arq_redis, "w", caution=ROOM)) == ["a", "b"]
    await membership.release(arq_redis, "w", Why.DIED, "signal 9")
    assert await note(arq_redis, "b") == (1, 0, "signal 9")


# ---------------------------------------------------------------- histories


class Fleet:
    """Processes that claim, finish and die at random; some jobs kill whoever runs them."""

    def __init__(self, pool: ArqRedis, chance: random.Random, guilty: Sequence[str], max_jobs: int) -> None:
        self.pool = pool
        self.chance = chance
        self.guilty = set(guilty)
        self.max_jobs = max_jobs
        self.running: dict[str, list[scripts.ClaimedJob]] = {}
        self.outcomes: dict[str, str] = {}
        self.deaths = self.born = 0
        self.blamed: Counter[str] = Counter()

    async def step(self) -> None:
        if len(self.running) < 3 and self.chance.random() < 0.5:
            self.born += 1
            self.running[f"w{self.born}"] = []
        if self.running:
            worker_id = self.chance.choice(list(self.running))
            await self.chance.choice([self.claim, self.finish, self.finish])(worker_id)

    async def claim(self, worker_id: str) -> None:
        held = self.running[worker_id]
        mode = self.chance.choice(
            ["room", "leave", "beside"] if self.chance.random() < 0.1 else ["room", "leave"]
        )
        on_trial = max((job.crashes.level for job in held if job.crashes), default=0)
        places = 1 if on_trial > 1 else few(self.max_jobs) if on_trial else self.max_jobs
        if places > len(held):
            caution = Caution(few(self.max_jobs), 0, mode)
            held += (await claim(self.pool, worker_id, places - len(held), caution=caution)).jobs
            for job in list(held):
                if job.job_try - job.interrupted > 5:
                    await self.end(worker_id, job, "given up")

    async def finish(self, worker_id: str) -> None:
        held = self.running[worker_id]
        if any(job.job_id in self.guilty for job in held) and self.chance.random() < 0.7:
            released = await membership.release(self.pool, worker_id, Why.DIED, "signal 9")
            self.blamed[released.blamed] += 1
            self.deaths += 1
            del self.running[worker_id]
            return
        good = [job for job in held if job.job_id not in self.guilty]
        if good:
            await self.end(worker_id, self.chance.choice(good), "done")

    async def end(self, worker_id: str, job: scripts.ClaimedJob, outcome: str) -> None:
        self.running[worker_id].remove(job)
        self.outcomes[job.job_id] = outcome
        call = scripts.finish(QUEUE, worker_id, [Done(job.job_id, job.stamp)])
        assert await scripts.run(self.pool, call) == []


@pytest.mark.parametrize("seed", range(25))
async def test_the_guilty_are_given_up_and_all_others_finish(arq_redis: ArqRedis, seed: int) -> None:
    chance = random.Random(seed)
    max_jobs, n_good, n_guilty = (
        chance.choice([1, 4, 10, 30]),
        chance.randrange(1, 25),
        chance.randrange(0, 7),
    )
    guilty = [f"guilty {n}" for n in range(n_guilty)]
    everybody = [f"good {n}" for n in range(n_good)] + guilty
    chance.shuffle(everybody)
    await enqueue(arq_redis, *everybody)
    fleet = Fleet(arq_redis, chance, guilty, max_jobs)
    for _ in range(20_000):
        if len(fleet.outcomes) == len(everybody):
            break
        await fleet.step()
    expected = {job_id: "given up" if job_id in fleet.guilty else "done" for job_id in everybody}
    assert fleet.outcomes == expected
    assert all(count <= 5 for job_id, count in fleet.blamed.items() if job_id in fleet.guilty)
    # five that count, and a few with others, until all suspects are alone
    assert fleet.deaths <= n_guilty * 12
    assert not await keys(arq_redis, "arq:crashes:*")
