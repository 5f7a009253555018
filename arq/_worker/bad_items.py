"""After a failure: was it Redis, or one ending or payload? The bad one is found, and the others go through."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from operator import itemgetter
from typing import TypeVar

from redis.exceptions import RedisError

from .._endings import Done, Ending, read_finish
from .._keys import job_key
from .._redis.batch_sizes import fitting
from .._redis.redis_errors import blames_item, is_lost
from .._redis.scripts import Call, ClaimedJob
from .._redis.worker_connection import Link
from . import job_log
from .unwritten_endings import Batch, Outbox, replaced, sizes

#: Nobody hangs up because of so few bytes: neither Redis nor a proxy in front of it.
_HARMLESS_BYTES = 64 * 1024
#: How often the connection must be lost over one item alone while Redis answers otherwise, and the pause in between.
_LEAST_LOST, _PAUSE_S = 3, 0.1

Finish = Callable[[list[Ending]], Call]
Found = TypeVar("Found")


async def write(link: Link, outbox: Outbox, finish: Finish) -> None:
    """Write the next batch, if need be one by one.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: Redis is in trouble, or refuses everybody. Nothing is lost.
    """
    await _answers(link)
    batch = outbox.take()
    try:
        (answer,) = await link.call([finish(batch.endings)])
    except Exception as exc:
        outbox.put_back(batch)
        if not (blames_item(exc) or is_lost(exc)):
            raise
    except BaseException:
        outbox.put_back(batch)
        raise
    else:
        outbox.settle(batch, read_finish(answer, len(batch.endings)))
        outbox.is_suspect = False
        return
    await write_apart(link, outbox, finish)


async def write_apart(link: Link, outbox: Outbox, finish: Finish) -> None:
    """Write the next batch one by one, the small ones first. What Redis refuses is replaced.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: see `write`.
    """
    await link.drop()
    batch = outbox.take()
    by_size = sorted(zip(sizes(batch.endings), batch.endings, strict=True), key=itemgetter(0))
    left = [ending for _, ending in by_size]
    try:
        while left:
            late = await _write_one(link, left[0], finish)
            ending = left.pop(0)
            outbox.settle(Batch([ending], None), late or [])
            if late is None:
                outbox.given_up.add((ending.job_id, ending.stamp))
        outbox.is_suspect = False
    finally:
        if left:
            outbox.put_back(Batch(left, batch.written))
        else:
            outbox.settle(Batch([], batch.written), [])


async def _write_one(link: Link, ending: Ending, finish: Finish) -> list[int] | None:
    """Write one ending, or what stands for it; see `read_finish`. None if Redis takes nothing of it."""
    why = ""
    while True:
        (size,) = sizes([ending])
        found = await _alone(link, functools.partial(link.call, [finish([ending])]), size)
        if not isinstance(found, Exception):
            if why and isinstance(ending, Done):
                job_log.result_replaced(ending.job_id, why, is_kept=bool(ending.result))
            return read_finish(found[0], 1)
        if not isinstance(ending, Done) or not ending.result:
            job_log.ending_refused(ending.job_id, _text(found))
            return None
        why = f"Redis refused {size} bytes: {_text(found)}"
        ending = replaced(ending, why, _HARMLESS_BYTES)


def _text(exc: Exception) -> str:
    return f"{exc.__class__.__name__}: {exc}"


async def fetch(link: Link, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
    """The same jobs with the payloads that were left out. What can't be had is noted in the job.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: Redis is in trouble, or refuses everybody.
    """
    found = [job for job in jobs if not job.left_out]
    left = [job for job in jobs if job.left_out]
    while left:
        count = fitting([job.left_out for job in left])
        found += await _fetch_page(link, left[:count])
        left = left[count:]
    return found


async def _fetch_page(link: Link, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
    try:
        payloads = await link.commands([("GET", job_key(job.job_id)) for job in jobs])
    except (RedisError, OSError):
        payloads = [await _fetch_one(link, job) for job in jobs]
    return [_with_payload(job, payload) for job, payload in zip(jobs, payloads, strict=True)]


async def _fetch_one(link: Link, job: ClaimedJob) -> bytes | Exception | None:
    get = functools.partial(link.commands, [("GET", job_key(job.job_id))])
    found = await _alone(link, get, job.left_out)
    if isinstance(found, Exception):
        return found
    payload: bytes | Exception | None = found[0]
    return payload


def _with_payload(job: ClaimedJob, payload: bytes | Exception | None) -> ClaimedJob:
    if not isinstance(payload, Exception):
        return job._replace(payload=payload or None, left_out=0)
    why = f"unable to read job: Redis does not give its payload of {job.left_out} bytes: {_text(payload)}"
    return job._replace(left_out=0, unreadable=why)


async def _alone(link: Link, ask: Callable[[], Awaitable[Found]], size: int) -> Found | Exception:
    """What Redis says about one item, or how it has refused it.

    Args:
        size: bytes of the item.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: it is not the item's fault, or may not be.
    """
    lost = 0
    while True:
        try:
            return await ask()
        except Exception as exc:
            if blames_item(exc):
                return exc
            lost += 1
            if not is_lost(exc) or size <= _HARMLESS_BYTES:
                raise
            await _answers(link)
            if lost == _LEAST_LOST:
                return exc
            await asyncio.sleep(_PAUSE_S * lost)


async def _answers(link: Link) -> None:
    """Raise the error if Redis does not answer."""
    await link.drop()
    (answer,) = await link.commands([("PING",)])
    if isinstance(answer, Exception):
        raise answer
