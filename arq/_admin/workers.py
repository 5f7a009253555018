"""Who works, on what, and what they are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .._keys import LEASES_KEY, control_key, health_key, job_key, lookers_key
from .._payloads.signed_envelope import JOB
from .._redis.raw_commands import ask, members_with_scores
from .admin_scripts import Held, text
from .filters import Filter
from .listing import Search
from .records import Deed, Fleet, LiveWorker, RunningJob
from .restricted import UnreadableError, read, text_at
from .running import held_by, held_by_old, now_ms
from .trust import distrust

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: A worker hears a word when it says that it looks at its queue: every so many seconds, and some.
HEARD_WITHIN_S = 25.0
_WORD_S, _PAUSE_S = 120, 0.25
#: Running jobs whose functions are looked up.
_MOST_READ = 10_000
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


async def fleet(redis: Redis, queues: Sequence[str]) -> Fleet:
    """All workers; of those of python-arq what they leave behind in these queues."""
    now = await now_ms(redis)
    leases = {text(one): until for one, until in await members_with_scores(redis, LEASES_KEY)}
    looking: dict[str, dict[str, float]] = {}
    old: list[Held] = []
    has_old = False
    for queue in queues:
        found = {text(one): until for one, until in await members_with_scores(redis, lookers_key(queue))}
        for worker_id, until in found.items():
            if until > now:
                looking.setdefault(worker_id, {})[queue] = until
        old_here = await held_by_old(redis, queue)
        has_line = not any(queue in its for its in looking.values()) and await ask(
            redis, "EXISTS", health_key(queue)
        )
        has_old = has_old or bool(old_here or has_line)
        old += old_here
    ids = sorted({*leases, *looking})
    held = await held_by(redis, ids)
    functions = await _functions(redis, [one.job_id for one in held + old][:_MOST_READ])
    jobs: dict[str, list[RunningJob]] = {}
    for one in held:
        jobs.setdefault(one.worker, []).append(_running(one, functions))
    workers = [
        LiveWorker(
            worker_id,
            *identity(worker_id),
            is_late=leases.get(worker_id, now) < now,
            looks=worker_id in looking,
            obeys=_obeys(looking.get(worker_id, {})),
            jobs=jobs.get(worker_id, []),
            queues=sorted(looking.get(worker_id, {})),
        )
        for worker_id in ids
    ]
    return Fleet(workers, [_running(one, functions) for one in old], has_old, now)


def _obeys(looking: dict[str, float]) -> bool | None:
    """Whether a worker knows of pauses; it says so with each look."""
    return all(until % 1 == 0.5 for until in looking.values()) if looking else None


def _running(one: Held, functions: dict[bytes, str | None]) -> RunningJob:
    return RunningJob(text(one.job_id), one.queue, functions.get(one.job_id), one.since_ms)


async def _functions(redis: Redis, ids: list[bytes]) -> dict[bytes, str | None]:
    """Names of the functions of jobs."""
    payloads = await Search(redis, "", None, Filter(), 1).values(job_key(""), ids)
    found: dict[bytes, str | None] = {}
    for job_id, (payload, _) in zip(ids, payloads, strict=True):
        try:
            trusted = payload if not distrust(redis, JOB, text(job_id), None, payload) else None
            found[job_id] = text_at(read(trusted), "f") if trusted else None
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
