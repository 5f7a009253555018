"""A job that this worker can't read, and another one may: how often and how long it is left to others."""

from __future__ import annotations

import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .._keys import job_key, unreadable_key
from ..utils import to_ms
from .attempt import Outcome, Verdict

logger = logging.getLogger("arq.worker")

#: Pauses in s: the first one, each is twice as long as the one before, the longest one. A try costs a claim.
_FIRST_S, _LONGEST_S = 1.0, 60.0
#: A rolling upgrade should be through after this, in s.
_GIVE_UP_AFTER_S = 6 * 3600.0


def pause_s(times: int, left_ms: int) -> float | None:
    """How long to leave a job to other workers; None: it must be failed now.

    Args:
        times: how often workers could not read it, this one included.
        left_ms: ms until its payload expires; negative: never.
    """
    doublings = min(max(times, 1) - 1, 10)
    pause = min(_LONGEST_S, _FIRST_S * 2.0**doublings)
    if (times - 1) * _LONGEST_S >= _GIVE_UP_AFTER_S:
        return None
    if 0 <= left_ms < 2000 * pause:  # it would expire without a word of why it never ran
        return None
    return pause


async def leave_to_others(redis: Redis, failed: Outcome) -> Outcome:
    """Put a job that can't be read here back for another worker, as long as that may help; else it has failed."""
    attempt = failed.attempt
    if attempt.job.aborted:
        return failed
    times, left_ms = await count(redis, attempt.job.job_id)
    wait_s = pause_s(times, left_ms)
    if wait_s is None:
        failed.value.add_note(f"workers could not read it {times} times")
        return failed
    put_back = Outcome(attempt, Verdict.RETRY, failed.value, defer_ms=to_ms(wait_s), uncounted=True)
    put_back.started, put_back.finish_ms = False, failed.finish_ms
    return put_back


async def count(redis: Redis, job_id: str) -> tuple[int, int]:
    """Count that a worker could not read a job.

    Returns:
        how often that was so, and ms until the job's payload expires (negative: never).
    """
    key = unreadable_key(job_id)
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, round(10 * _LONGEST_S))
            pipe.pttl(job_key(job_id))
            times, _, left_ms = await pipe.execute()
    except (RedisError, OSError) as exc:
        logger.warning("redis trouble, job %s is left to others: %s: %s", job_id, type(exc).__name__, exc)
        return 1, -1
    return int(times), int(left_ms)


async def still_queued(redis: Redis, queue_name: str, job_ids: set[str]) -> set[str]:
    """Which of these jobs are in a queue."""
    if not job_ids:
        return set()
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.zscore(queue_name, job_id)
        scores = await pipe.execute()
    return {job_id for job_id, score in zip(job_ids, scores, strict=True) if score is not None}
