"""One job, with what became of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from .._crash_records import read_crashes
from .._keys import crashes_key, errors_key, job_key, result_key
from .._payloads.signed_envelope import JOB, RESULT
from .._redis.raw_commands import ask
from .._redis.script_runner import run
from .._redis.scripts import score_ms
from ..constants import abort_jobs_ss
from . import admin_scripts
from .admin_scripts import raw, text
from .filters import done_job, queued_job, state_of
from .off_loop import OffLoop
from .records import Event, JobDetails, JobState, ListedJob
from .restricted import notes_of
from .shown import FULL, Bounds
from .trust import as_seen, distrust

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Of one job more is read than of those in a list, in bytes.
_LARGEST = 8 * 1024 * 1024


async def details(redis: Redis, job_id: str, queue: str, bounds: Bounds = FULL) -> JobDetails | None:
    """All that is known of a job; None if nothing is."""
    name = raw(job_id)
    now_ms, (found,) = admin_scripts.read_look(await run(redis, admin_scripts.look(queue, [name], _LARGEST)))
    state = state_of(found, now_ms)
    if state is None:
        return None
    if state is JobState.done:
        ((payload, size),) = admin_scripts.read_bytes(
            await run(redis, admin_scripts.results([name], _LARGEST))
        )
        problem = distrust(redis, RESULT, job_id, None, payload)
        done = functools.partial(done_job, job_id, payload, size, bounds, problem)
        job, data = await OffLoop().read(size, done)
        expires_ms = await ask(redis, "PTTL", raw(result_key("")) + name)
    else:
        problem, found = distrust(redis, JOB, job_id, queue, found.payload), as_seen(redis, found)
        queued = functools.partial(queued_job, job_id, queue, found, now_ms, bounds, problem)
        job, data = await OffLoop().read(found.size, queued)
        expires_ms = await ask(redis, "PTTL", raw(job_key("")) + name)
    (crashes,) = await ask(redis, "MGET", raw(crashes_key("")) + name)
    asked = await ask(redis, "ZSCORE", abort_jobs_ss, name)
    expires_at = now_ms + expires_ms if expires_ms > 0 else None
    return JobDetails(
        job,
        timeline(job, expires_at, [] if state is JobState.done else await _earlier(redis, name)),
        "\n".join(notes_of(data.get("r"))) if data else "",
        _crashes(crashes),
        None if asked is None else score_ms(asked),
        now_ms,
    )


async def has_payload(redis: Redis, job_id: str) -> bool:
    """Whether there is a payload under an id."""
    return bool(await ask(redis, "EXISTS", raw(job_key("")) + raw(job_id)))


def _crashes(note: bytes | None) -> str:
    found = read_crashes(note) if note else None
    if found is None:
        return ""
    return f"suspected {found.level}, blamed {found.blamed} times of the death of its worker; last cause: {found.cause}"


async def _earlier(redis: Redis, name: bytes) -> list[str]:
    """Why tries before this one have failed: the last ones, of jobs that are tried by a policy."""
    try:
        return [text(error) for error in await ask(redis, "LRANGE", raw(errors_key("")) + name, 0, -1)]
    except ResponseError:  # the key is something else
        return []


def timeline(job: ListedJob, expires_at_ms: int | None, earlier: Sequence[str] = ()) -> list[Event]:
    """What became of a job, and will; in order of time.

    Args:
        earlier: errors of the tries before this one, the last ones; nobody knows when they were.
    """
    tries = f"try {job.tries}"
    begin = [Event(job.enqueued_ms, "enqueued")] if job.enqueued_ms is not None else []
    begin += [Event(None, "failed", error) for error in earlier]
    return begin + _end(job, expires_at_ms, tries)


def _end(job: ListedJob, expires_at_ms: int | None, tries: str) -> list[Event]:
    events: list[Event] = []
    if job.state is JobState.done:
        what = "finished" if job.success else "failed"
        events += [
            Event(job.started_ms, "started", tries),
            Event(job.finished_ms, what, job.error or job.result),
        ]
        if expires_at_ms is not None:
            events.append(Event(expires_at_ms, "result expires"))
        return events
    if job.due_ms is not None:
        events.append(Event(job.due_ms, "due"))
    if job.state is JobState.running:
        worker = "a worker of python-arq" if job.worker == "1" else job.worker
        events.append(Event(job.since_ms, "running", f"{tries} on {worker}"))
    if expires_at_ms is not None:
        events.append(Event(expires_at_ms, "expires", "if it was not started by then"))
    return sorted(events, key=_time)


def _time(event: Event) -> Any:
    return event.at_ms is None, event.at_ms or 0
