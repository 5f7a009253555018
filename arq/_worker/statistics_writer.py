"""Writes what has come of the jobs of a worker to Redis: all of ten seconds at once, and only if there is something."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from redis.exceptions import RedisError

from .._job_statistics import DEPTH, MINUTES_S, OLDEST_MS, TENS_S
from .._keys import PREFIX
from .._redis.script_loader import Call, load
from .commit_and_claim import Exchange
from .context import Context

logger = logging.getLogger("arq.worker")

_COUNT_JOBS = load("count_jobs")


def _count_jobs(queue_name: str, counts: Mapping[str, int]) -> Call:
    """Add them to those of this minute and of these ten minutes."""
    words = (word for pair in counts.items() for word in pair)
    lives = MINUTES_S * 1000, TENS_S * 1000
    return Call(_COUNT_JOBS, (queue_name,), (PREFIX, queue_name, *lives, DEPTH, OLDEST_MS, *words))


async def write(context: Context, exchange: Exchange | None = None) -> None:
    """Write what is not written so far. While jobs run, also if none has ended: how many wait is part of it.

    Raises:
        redis.exceptions.RedisError, OSError: Redis can't be reached or refuses; what was to be written is kept. If only
            the answer is lost, it is counted twice.
    """
    statistics = context.jobs.statistics
    counts = statistics.take()
    if not counts and not context.jobs.tasks:
        return
    try:
        await (exchange or context.exchange()).run(_count_jobs(context.options.queue_name, counts))
    except BaseException:
        statistics.put_back(counts)
        raise


async def write_last(context: Context, exchange: Exchange) -> None:
    """The same when the worker ends; what can't be written then is of no more use."""
    try:
        await write(context, exchange)
    except (RedisError, OSError) as exc:
        logger.debug("the last statistics are not written: %r", exc)
