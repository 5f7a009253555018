"""What the tests of the queue share: running workers, single steps of a job's journey, a count of round trips."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import redis

from arq._redis import membership, scripts
from arq._redis.scripts import Caution, ClaimAnswer, ClaimedJob, ClaimRequest, Refusal
from arq.connections import ArqRedis
from arq.jobs import Job, JobResult, serialize_job
from arq.utils import timestamp_ms
from arq.worker import Worker
from tests.arq.redis import inside
from tests.support.eventually import PATIENCE_S, wait_until_async

QUEUE = "arq:queue"
#: Where workers say that they are alive.
REGISTERS = {"arq:leases", "arq:members", "arq:lapses"}
#: What is left of jobs that are over, and is nobody's business.
OF_NO_JOB = (
    "arq:result:",
    "arq:dead:",
    "arq:queue:dead",
    "arq:errors:",
    "arq:wake:arq:queue",
    "arq:cron:",
    "arq:stats:",
)
#: Seconds for a connection where that is not the subject: the machine may stand still for some.
CONNECT_S = 20
#: Claims of single steps take suspects as any other job.
CARELESS = Caution(10_000, 0, "beside")


@contextlib.asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    """Run workers beside the test; one that ends by itself with an error fails the test."""
    tasks = [asyncio.create_task(worker.main()) for worker in workers]
    try:
        yield
    finally:
        ended_early = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in workers:
            await worker.close()
        # said also when the test has failed: that may be why
        failed = [task for task in tasks if not task.cancelled() and task.exception() is not None]
        assert not failed, [task.exception() for task in failed]
        assert not any(task.cancelled() for task in ended_early), "a worker has cancelled itself"


@contextlib.asynccontextmanager
async def until_stopped(worker: Worker) -> AsyncIterator[None]:
    """Run a worker beside the test, which stops it; wait for its end, and say so if that was an error."""
    main = asyncio.create_task(worker.async_run())
    try:
        yield
    except BaseException:
        main.cancel()
        raise
    finally:
        ended, _ = await asyncio.wait([main], timeout=PATIENCE_S)
        await worker.close()
        assert ended, "a worker that was stopped goes on"
        assert main.cancelled() or main.exception() is None, repr(main.exception())


async def idle(*workers: Worker) -> None:
    """Wait until all workers have nothing to do and wait for tokens."""

    async def waiting() -> bool:
        blocked = 0
        if any(not inside.listens(worker) for worker in workers):
            return False
        for client in await workers[0].pool.client_list():
            blocked += client["cmd"] == "blpop" and "b" in client["flags"]
        return blocked >= len(workers)

    await wait_until_async(waiting, what="workers wait for tokens")


async def armed(*workers: Worker) -> None:
    """Wait until all workers are idle and a claim waits with each for a token."""

    async def waiting() -> bool:
        return all(inside.has_waiting_claim(worker) for worker in workers)

    await wait_until_async(waiting, what="claims wait")
    await idle(*workers)


async def quiet(*workers: Worker) -> None:
    """Let workers take no more jobs, and wait until no claim of theirs is on its way any more."""
    for worker in workers:
        worker.allow_pick_jobs = False

    def settled() -> bool:
        return not any(
            inside.exchange(worker).claim_lost
            or not inside.listens(worker)
            or inside.has_waiting_claim(worker)
            for worker in workers
        )

    await wait_until_async(settled, what="workers are quiet")


async def claim(
    pool: ArqRedis, worker_id: str, limit: int = 10, *, queue_name: str = QUEUE, **options: Any
) -> ClaimAnswer:
    """Claim due jobs as a worker of that id does."""
    await membership.register(pool, worker_id, 60_000)
    chosen: dict[str, Any] = {"lock_ms": 60_000, "fair": False, "caution": CARELESS}
    call = scripts.claim(queue_name, worker_id, ClaimRequest(limit, **chosen | options))
    answer = scripts.read_claim(await scripts.run(pool, call))
    assert not isinstance(answer, Refusal), answer
    return answer


def ids(answer: ClaimAnswer) -> list[str]:
    return [job.job_id for job in answer.jobs]


async def old_enqueue(
    pool: ArqRedis,
    job_id: str,
    function: str = "f",
    *args: Any,
    score: float | None = None,
    queue: str = QUEUE,
) -> None:
    """Put a job into the queue as a producer of another version does: without a token."""
    now_ms = timestamp_ms()
    await pool.set(f"arq:job:{job_id}", serialize_job(function, args, {}, None, now_ms), ex=86_400)
    # it rounds up, so that by Redis's clock, which rounds down, the job may not be due for another moment
    await pool.zadd(queue, {job_id: now_ms - 1 if score is None else score})


async def hold_as_upstream(pool: ArqRedis, *job_ids: str) -> None:
    """Lock jobs as a worker of the original does."""
    for job_id in job_ids:
        await pool.set(f"arq:in-progress:{job_id}", b"1", px=60_000)


async def hold_as_old(
    pool: ArqRedis,
    worker_id: str,
    *job_ids: str,
    queue: str = QUEUE,
    lock_ms: int = 60_000,
    stamp_us: int = 0,
) -> None:
    """Claim jobs as workers of 0.29.0 do: starts are counted at once, and each job has a note of its own."""
    lapse_ms, stamp_us = timestamp_ms() + lock_ms, stamp_us or timestamp_ms() * 1000
    for job_id in job_ids:
        score = await pool.zscore(queue, job_id)
        assert score is not None
        await pool.set(f"arq:in-progress:{job_id}", worker_id, px=lock_ms)
        await pool.set(f"arq:retry:{job_id}", int(await pool.get(f"arq:retry:{job_id}") or 0) + 1, ex=88_400)
        await pool.zadd(queue, {job_id: lapse_ms})
        note = f"{score:.0f} {lapse_ms} {stamp_us} {queue}"
        await pool.hset(f"arq:claims:{worker_id}", job_id, note)
    await pool.expire(f"arq:claims:{worker_id}", 600)


async def ask_as_upstream(pool: ArqRedis, job_id: str) -> None:
    """Ask for a job to be aborted as a producer of the original does: a deferred job becomes due for it."""
    score = await pool.zscore(QUEUE, job_id)
    if score is not None and score > timestamp_ms():
        await pool.zadd(QUEUE, {job_id: 1})
    await pool.zadd("arq:abort", {job_id: timestamp_ms()})


async def keys(pool: ArqRedis, pattern: str = "*") -> set[str]:
    """All keys but the registers of workers."""
    found: list[Any] = await pool.keys(pattern)
    return {key.decode() for key in found} - REGISTERS


async def nothing_held(pool: ArqRedis, allowed: Sequence[str] = ()) -> None:
    """No lock, no claim, no worker, no job in the queue."""
    left = await keys(pool) | {key for key in REGISTERS if await pool.exists(key)}
    left -= set(allowed)
    held = {key for key in left if not key.startswith(OF_NO_JOB)}
    assert held == set(), held


async def members(pool: ArqRedis, key: str) -> list[str]:
    """The members of a sorted set, in its order."""
    found: list[Any] = await pool.zrange(key, 0, -1)
    return [member.decode() for member in found]


class RoundTrips:
    """Counts how often the server had to read: one read is one round trip of a client."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._before = self._reads()

    def _reads(self) -> int:
        return int(self._client.info("stats")["total_reads_processed"])

    def so_far(self) -> int:
        """Round trips of all others since the start."""
        now = self._reads()
        before, self._before = self._before, now
        return now - before - 1  # our own question


@contextlib.contextmanager
def commands(client: redis.Redis) -> Iterator[dict[str, int]]:
    """Counts the commands of clients, by name; filled in at the end."""
    client.config_resetstat()
    found: dict[str, int] = {}
    yield found
    for name, stats in client.info("commandstats").items():
        found[name.removeprefix("cmdstat_")] = stats["calls"]


def job(answer: ClaimAnswer, index: int = 0) -> ClaimedJob:
    return answer.jobs[index]


# ---------------------------------------------------------------- jobs to run

Ctx = dict[Any, Any]


async def quick(ctx: Ctx, value: Any = "quick") -> Any:
    return value


async def for_ever(ctx: Ctx) -> None:
    await asyncio.Event().wait()


async def broken(ctx: Ctx) -> None:
    raise ValueError("boom")


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


async def info(job: Job) -> JobResult:
    found = await job.result_info()
    assert found is not None
    return found
