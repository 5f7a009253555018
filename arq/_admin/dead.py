"""The dead set of a queue: jobs that have failed for good, as lists have them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .._dead_letters import DeadLetter, NoEntryError, read_dead_letter
from .._keys import dead_set_key
from .._payloads.signed_envelope import JOB, is_entry_signed
from .._redis.raw_commands import ask
from .._redis.script_runner import run
from .._redis.scripts import score_ms
from . import admin_scripts
from .admin_scripts import LookedDead, raw, text
from .filters import LARGEST, Filter, called
from .listing import Search, read_cursor
from .off_loop import OffLoop
from .records import Event, JobDetails, JobPage, JobState, ListedJob
from .shown import FULL, SHORT, Bounds
from .trust import as_seen, distrust, keyring_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Jobs that are asked for at a time where payloads must be there whole.
_MOST_WHOLE = 16
#: Of one job more is read than of those in a list, in bytes.
_LARGEST_OF_ONE = 8 * 1024 * 1024


async def dead_page(search: Search, cursor: str) -> JobPage:
    """Dead jobs, the newest first."""
    position, dead = read_cursor(cursor, "dead"), dead_set_key(search.queue)
    start = 0 if position is None else await _rank_after(search.redis, dead, position)
    while True:
        step = _MOST_WHOLE if search.wanted.arg else search.step(are_chosen=search.wanted == Filter())
        ids: list[bytes] = await ask(search.redis, "ZREVRANGE", dead, start, start + step - 1)
        search.looked_at += len(ids)
        most_bytes = LARGEST if search.wanted.arg else search.asked_bytes
        call = admin_scripts.look_dead(search.queue, ids, most_bytes)
        search.now_ms, found = admin_scripts.read_look_dead(await run(search.redis, call))
        for n, (job_id, looked) in enumerate(zip(ids, found, strict=True)):
            read = functools.partial(_wanted, search, text(job_id), looked)
            job = await search.off_loop.read(len(looked.payload or b""), read)
            if job is None:
                continue
            search.add(job, ["dead", job.finished_ms, text(job_id), 0])
            if search.is_full:
                is_end = n == len(ids) - 1 and len(ids) < step
                return search.page(None if is_end else search.positions[-1])
        start += len(ids)
        if len(ids) < step:
            return search.page(None)
        if search.is_over:
            return search.page(["dead", 0, text(ids[-1]), start])


def _wanted(search: Search, job_id: str, looked: LookedDead) -> ListedJob | None:
    """The job, if it is one that is wanted."""
    if not looked.died:
        return None
    job, _ = dead_job(search.redis, job_id, search.queue, looked, most_bytes=search.read_bytes)
    return job if _is_wanted(search, job, looked) else None


async def _rank_after(redis: Redis, dead: str, position: list[Any]) -> int:
    """Rank of the first entry behind a position: that entry may have gone since."""
    _, died_ms, job_id, rank = position
    found = await ask(redis, "ZREVRANK", dead, raw(job_id))
    if found is not None:
        return int(found) + 1
    return int(await ask(redis, "ZCOUNT", dead, died_ms, "+inf")) if died_ms else int(rank)


def _is_wanted(search: Search, job: ListedJob, looked: LookedDead) -> bool:
    wanted = search.wanted
    if not job.job_id.startswith(wanted.id_prefix):
        return False
    if wanted.function is not None and job.function != wanted.function:
        return False
    if wanted.older_than_ms is not None and search.now_ms - (job.finished_ms or 0) < wanted.older_than_ms:
        return False
    return (
        not wanted.arg
        or wanted.arg in dead_job(search.redis, job.job_id, job.queue, looked, FULL)[0].arguments
    )


def dead_job(
    redis: Redis,
    job_id: str,
    queue: str,
    looked: LookedDead,
    bounds: Bounds = SHORT,
    most_bytes: int | None = None,
) -> tuple[ListedJob, DeadLetter | None]:
    """A dead job, and what is known of its failure. `most_bytes`: as for `filters.queued_job`."""
    looked = as_seen(redis, looked)
    untrusted = distrust(redis, JOB, job_id, queue, looked.payload)
    fields, problem = called(looked, bounds, untrusted, most_bytes)
    letter, keyring = None, keyring_of(redis)
    try:
        entry = looked.entry or b""
        if keyring is not None and not is_entry_signed(keyring, job_id, queue, looked.payload or b"", entry):
            raise NoEntryError("what is kept of its failure is not signed by one of the keys")
        # errors of earlier tries are not signed: they are for operators who trust Redis
        letter = read_dead_letter(entry, looked.errors if keyring is None else [])
    except NoEntryError as exc:
        problem = problem or str(exc)
    died_ms = score_ms(looked.died) if looked.died else None
    if letter is not None:
        fields = {"function": letter.function, "enqueued_ms": letter.enqueue_ms or None} | fields
        fields |= {"error": letter.error, "tries": letter.tries, "worker": letter.worker}
        fields |= {"started_ms": letter.start_ms or None}
    return ListedJob(
        job_id,
        queue,
        JobState.dead,
        problem=problem,
        success=False,
        finished_ms=died_ms,
        bytes=looked.size,
        fingerprint=f"dead {text(looked.died)}",
        **fields,
    ), letter


async def dead_details(redis: Redis, job_id: str, queue: str, bounds: Bounds = FULL) -> JobDetails | None:
    """All that is kept of a dead job; None: it is not in the dead set."""
    call = admin_scripts.look_dead(queue, [raw(job_id)], _LARGEST_OF_ONE)
    now_ms, (looked,) = admin_scripts.read_look_dead(await run(redis, call))
    if not looked.died:
        return None
    read = functools.partial(dead_job, redis, job_id, queue, looked, bounds)
    job, letter = await OffLoop().read(looked.size, read)
    events = [Event(job.enqueued_ms, "enqueued")] if job.enqueued_ms else []
    if letter is not None:
        events += [Event(None, "failed", error) for error in letter.earlier]
        events.append(Event(letter.start_ms or None, "started", f"try {letter.tries}, by {letter.worker}"))
    events.append(Event(job.finished_ms, "failed", job.error))
    return JobDetails(job, events, "" if letter is None else letter.traceback, "", None, now_ms)
