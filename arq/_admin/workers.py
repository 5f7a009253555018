"""Who works, on what, and what they are told."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple

from .._keys import LEASES_KEY, control_key, health_key, job_key, lookers_key
from .._redis.raw_commands import ask, members_with_scores
from .admin_scripts import Held, text
from .filters import Filter
from .listing import Search
from .records import Deed, Fleet, LiveWorker, RunningJob
from .restricted import UnreadableError, read, text_at
from .running import held_by, held_by_old, now_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: A worker hears a word when it says that it looks at its queue: every so many seconds, and some.
HEARD_WITHIN_S = 25.0
_WORD_S, _PAUSE_S = 120, 0.25
#: `pool:host:slot:nonce` under a supervisor, else `host:pid:nonce`.
_SUPERVISED = re.compile(r"(.*):([^:]*):([0-9]{1,9}):([^:]*)", re.DOTALL)
_ALONE = re.compile(r"([^:]*):([0-9]+):([0-9a-f]{8})")


class Identity(NamedTuple):
    """What the id of a worker says."""

    host: str
    pid: int | None = None
    pool: str = ""
    slot: int | None = None


def identity(worker_id: str) -> Identity:
    """What the id of a worker says."""
    if found := _ALONE.fullmatch(worker_id):
        return Identity(found[1], int(found[2]))
    if found := _SUPERVISED.fullmatch(worker_id):
        return Identity(found[2], None, found[1], int(found[3]))
    return Identity("")


async def fleet(redis: Redis, queue: str) -> Fleet:
    """All workers; of those of python-arq what they leave behind."""
    now = await now_ms(redis)
    leases = {text(one): until for one, until in await members_with_scores(redis, LEASES_KEY)}
    lookers = {text(one): until for one, until in await members_with_scores(redis, lookers_key(queue))}
    looking = {one: until for one, until in lookers.items() if until > now}
    ids = sorted({*leases, *looking})
    held, old = await held_by(redis, ids), await held_by_old(redis, queue)
    functions = await _functions(redis, queue, [one.job_id for one in held + old])
    workers = [
        LiveWorker(
            worker_id,
            *identity(worker_id),
            is_late=leases.get(worker_id, now) < now,
            looks=worker_id in looking,
            obeys=looking[worker_id] % 1 == 0.5 if worker_id in looking else None,
            jobs=[_running(one, functions) for one in held if one.worker == worker_id],
        )
        for worker_id in ids
    ]
    has_line = await ask(redis, "EXISTS", health_key(queue))
    return Fleet(
        workers, [_running(one, functions) for one in old], bool(old or (has_line and not looking)), now
    )


def _running(one: Held, functions: dict[bytes, str | None]) -> RunningJob:
    return RunningJob(text(one.job_id), one.queue, functions.get(one.job_id), one.since_ms)


async def _functions(redis: Redis, queue: str, ids: list[bytes]) -> dict[bytes, str | None]:
    """Names of the functions of jobs."""
    payloads = await Search(redis, queue, None, Filter(), 1).values(job_key(""), ids)
    found: dict[bytes, str | None] = {}
    for job_id, (payload, _) in zip(ids, payloads, strict=True):
        try:
            found[job_id] = text_at(read(payload), "f") if payload else None
        except UnreadableError:
            found[job_id] = None
    return found


async def tell(redis: Redis, worker_id: str, word: str, wait_s: float) -> Deed:
    """Leave a word for a worker, and wait until it has taken it.

    Returns:
        `done`: it has. `asked`: not so far. `unknown`: there is no such worker.
    """
    if await ask(redis, "ZSCORE", LEASES_KEY, worker_id) is None:
        return Deed.unknown
    await ask(redis, "SET", control_key(worker_id), word, "EX", _WORD_S)
    clock = asyncio.get_running_loop().time
    until_s = clock() + wait_s
    while await ask(redis, "EXISTS", control_key(worker_id)):
        if clock() >= until_s:
            return Deed.asked
        await asyncio.sleep(_PAUSE_S)
    return Deed.done
