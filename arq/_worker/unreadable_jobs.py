"""A job that this worker can't read, and another one may: how often and how long it is left to others."""

from __future__ import annotations

import logging
from zlib import crc32

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .._keys import job_key, unreadable_key
from .._printable import printable
from .._redis.connection_pools import prefix_of
from ..utils import to_ms
from .attempt import Leave, Outcome, Verdict

logger = logging.getLogger("arq.worker")

#: A job that nobody could read is due again after a part of the time that it has waited, in s at least and at most.
_SHARE, _SHORTEST_S, _LONGEST_S = 0.5, 1.0, 60.0
#: At first it stays due. Twice: a claim that waits for a token does not know yet what its worker has met meanwhile.
_TIMES_AT_ONCE = 2
#: For so long after it is due only workers take it that have not yet met what is missing, in s: plain arq workers look
#: at the queue every half a second, ours at once.
_HEAD_START_S = 5.0
#: A rolling upgrade should be through after this, in s.
_GIVE_UP_AFTER_S = 6 * 3600.0
#: For so long Redis remembers since when a job waits, in s.
_REMEMBERED_S = 2 * _GIVE_UP_AFTER_S
#: So many things that were missing does a worker remember.
_MOST_NAMES = 50


def pauses_s(times: int, waited_s: float, left_s: float) -> tuple[float, float] | None:
    """When a job is due again, and how much later this worker may take it, both in s from now.

    Args:
        times: how often workers could not read it, this one included.
        waited_s: seconds since the first time.
        left_s: seconds until its payload expires; negative: never.

    Returns:
        None if it must be failed now: it has waited long enough, or would expire without a word of why it never ran.
    """
    due_s = 0.0 if times <= _TIMES_AT_ONCE else min(_LONGEST_S, max(_SHORTEST_S, waited_s * _SHARE))
    if waited_s >= _GIVE_UP_AFTER_S or 0 <= left_s < 2 * (due_s + _SHORTEST_S):
        return None
    longest_s = due_s + _HEAD_START_S
    return due_s, longest_s if left_s < 0 else min(longest_s, left_s / 2)


class Unread:
    """What a worker remembers of jobs that it could not read.

    Attributes:
        names: names for what was missing. What a worker has put back under one of them is left to others by all that
            have the same name.
        jobs: ids of those jobs in burst mode, which does not wait for them.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.jobs: set[str] = set()

    async def leave_to_others(self, redis: Redis, failed: Outcome) -> Outcome:
        """Put a job that can't be read here back for another worker, as long as that may help; else it has failed."""
        attempt = failed.attempt
        if attempt.job.aborted:
            return failed
        times, waited_s, left_s = await _count(redis, attempt.job.job_id, attempt.enqueue_ms)
        pauses = pauses_s(times, waited_s, left_s)
        if pauses is None:
            failed.value.add_note(f"workers could not read it {times} times in {waited_s:.0f} s")
            return failed
        name = f"unread:{crc32(str(failed.value).encode(errors='replace')):08x}"
        if name not in self.names:
            self.names = [*self.names, name][-_MOST_NAMES:]
        leave = Leave(name, to_ms(pauses[0]), to_ms(pauses[1]), times)
        put_back = Outcome(attempt, Verdict.RETRY, failed.value, started=False, leave=leave)
        put_back.finish_ms = failed.finish_ms
        return put_back

    async def forget_others(self, redis: Redis, queue_name: str) -> None:
        """Forget those jobs that are not in the queue any more."""
        if self.jobs:
            queue_key = prefix_of(redis) + queue_name
            async with redis.pipeline(transaction=False) as pipe:
                for job_id in self.jobs:
                    pipe.zscore(queue_key, job_id)
                scores = await pipe.execute()
            found = zip(self.jobs, scores, strict=True)
            self.jobs = {job_id for job_id, score in found if score is not None}


async def _count(redis: Redis, job_id: str, enqueue_ms: int) -> tuple[int, float, float]:
    """Count that a worker could not read a job; when that is not known, it counts as the first time.

    Returns:
        how often that was so, seconds since the first time, and until the job's payload expires (negative: never).
    """
    prefix, remembered_ms = prefix_of(redis), to_ms(_REMEMBERED_S)
    key = prefix + unreadable_key(job_id, enqueue_ms)
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set(key, 0, nx=True, px=remembered_ms)
            pipe.incr(key)
            pipe.pttl(key)
            pipe.pttl(prefix + job_key(job_id))
            _, times, key_left_ms, left_ms = await pipe.execute()
    except (RedisError, OSError) as exc:
        problem = printable(f"{type(exc).__name__}: {exc}")
        logger.warning("redis trouble, job %s is left to other workers: %s", printable(job_id), problem)
        return 1, 0.0, -1.0
    return int(times), max(0, remembered_ms - key_left_ms) / 1000, left_ms / 1000
