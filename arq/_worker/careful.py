"""After a write has failed: was it Redis, or one of the endings? The bad one is found, and the others are written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import itemgetter

from .._link import Link
from .._refusals import blames_item, is_lost
from .._scripts import Call, Ending
from . import report
from .outbox import Batch, Outbox, replaced, sizes

#: Nobody hangs up because of so few bytes: neither Redis nor a proxy in front of it.
_HARMLESS_BYTES = 64 * 1024
#: How often the connection must be lost over one ending alone while Redis answers otherwise, and the pause in between.
_LEAST_LOST, _PAUSE_S = 3, 0.1

Finish = Callable[[list[Ending]], Call]


async def write(link: Link, outbox: Outbox, finish: Finish) -> None:
    """Write the next batch, if need be one by one.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: Redis is in trouble, or refuses everybody. Nothing is lost.
    """
    await _answers(link)
    batch = outbox.take()
    try:
        (answers,) = await link.call([finish(batch.endings)])
    except Exception as exc:
        outbox.put_back(batch)
        if not (blames_item(exc) or is_lost(exc)):
            raise
    except BaseException:
        outbox.put_back(batch)
        raise
    else:
        outbox.settle(batch, answers)
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
    left = [
        ending
        for _, ending in sorted(zip(sizes(batch.endings), batch.endings, strict=True), key=itemgetter(0))
    ]
    try:
        while left:
            answer = await _write_one(link, left[0], finish)
            outbox.settle(Batch([left.pop(0)], None), [answer])
        outbox.is_suspect = False
    finally:
        if left:
            outbox.put_back(Batch(left, batch.written))
        else:
            outbox.settle(Batch([], batch.written), [])


async def _write_one(link: Link, ending: Ending, finish: Finish) -> int:
    """Write one ending, or what stands for it; 1 if that was in time."""
    lost = 0
    while True:
        try:
            ((answer,),) = await link.call([finish([ending])])
        except Exception as exc:  # noqa: BLE001  (what is not the ending's fault is raised again)
            if not blames_item(exc):
                lost += 1
                await _blame(link, ending, exc)
                if lost < _LEAST_LOST:
                    await asyncio.sleep(_PAUSE_S * lost)
                    continue
            if ending.ending != "done" or not ending.a:
                report.ending_refused(ending.job_id, exc)
                return 1
            lost = 0
            report.result_replaced(ending.job_id, f"Redis refused it: {exc!r}")
            ending = replaced(ending, f"Redis refused it: {exc!r}", _HARMLESS_BYTES)
        else:
            return int(answer)


async def _blame(link: Link, ending: Ending, exc: Exception) -> None:
    """Raise `exc` or another error unless it may be the ending's fault, and not Redis's."""
    if not is_lost(exc) or sizes([ending])[0] <= _HARMLESS_BYTES:
        raise exc
    await _answers(link)


async def _answers(link: Link) -> None:
    """Raise the error if Redis does not answer."""
    await link.drop()
    (answer,) = await link.commands([("PING",)])
    if isinstance(answer, Exception):
        raise answer
