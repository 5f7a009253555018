"""What can be done with jobs. Each step is one script: whoever is killed in between has done none by half."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._payloads.serialization import serialize_result
from .._redis import scripts
from .._redis.script_runner import run
from .._redis.scripts import Ask
from ..constants import default_queue_name, keep_cronjob_progress
from . import admin_scripts
from .admin_scripts import raw
from .filters import is_payload
from .records import Deed
from .restricted import UnreadableError, ms_at, read, text_at
from .trust import format_beside

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Jobs that one script acts on.
STEP = 100
#: Seconds for which the result of an aborted job is kept, as by `Job.abort`.
_KEEP_S = 3600
_CRON = "cron:"


#: An id, and the fingerprint that the job must have, or ''.
Chosen = tuple[str, str]


async def delete(redis: Redis, queue: str, jobs: Sequence[Chosen]) -> list[Deed]:
    """Remove jobs that nobody runs."""
    return _deeds(await run(redis, admin_scripts.delete(queue, _raw(jobs))))


async def run_now(redis: Redis, queue: str, jobs: Sequence[Chosen]) -> list[Deed]:
    """Let jobs that wait for a time, or for another try, be due now."""
    return _deeds(await run(redis, admin_scripts.run_now(queue, _raw(jobs))))


async def requeue(
    redis: Redis, queue: str, jobs: Sequence[Chosen], defer_ms: int = 0, *, one_more: bool = False
) -> list[Deed]:
    """Put dead jobs into their queue again."""
    return _deeds(await run(redis, admin_scripts.requeue(queue, _raw(jobs), defer_ms, one_more=one_more)))


async def forget_dead(redis: Redis, queue: str, jobs: Sequence[Chosen]) -> list[Deed]:
    """Remove dead jobs."""
    return _deeds(await run(redis, admin_scripts.forget_dead(queue, _raw(jobs))))


def _raw(jobs: Sequence[Chosen]) -> list[tuple[bytes, str]]:
    return [(raw(job_id), mark) for job_id, mark in jobs]


def _deeds(answer: list[bytes]) -> list[Deed]:
    return [Deed(word.decode()) for word in answer]


async def abort(redis: Redis, queue: str, job_id: str, mark: str = "") -> Deed:
    """Abort a job: one that nobody runs leaves the queue, and those who wait for its result hear of it."""
    look = scripts.abort(queue, raw(job_id), Ask.ITS_WORKER)  # type: ignore[arg-type]
    found = scripts.read_abort(await run(redis, look))
    while found.state == "queued":
        if mark and not is_payload(mark, found.payload):
            return Deed.changed
        result, keep_s = _aborted_result(redis, job_id, queue, found)
        call = scripts.take_out(look, found.payload, result, keep_s * 1000)
        found = scripts.read_abort(await run(redis, call))
    if found.state == "aborted":
        return Deed.done
    if found.state == "running":
        return Deed.asked
    ((_, size),) = admin_scripts.read_bytes(await run(redis, admin_scripts.results([raw(job_id)], 0)))
    return Deed.over if size else Deed.unknown


def _aborted_result(redis: Redis, job_id: str, queue: str, found: scripts.AbortAnswer) -> tuple[bytes, int]:
    """The result of a job that was aborted, without its arguments, which are not read; and seconds to keep it."""
    payload = found.payload or b""
    how = format_beside(redis, job_id, queue, payload)
    if (
        how is None
    ):  # a serializer of the application's, or keys that are not here: nobody could read what we write
        return b"", 0
    try:
        data: dict[str, Any] = read(payload)
    except UnreadableError:
        if how.serializer is not None:  # not ours, it only looked so
            return b"", 0
        data = {}
    function = text_at(data, "f") or "<unknown>"
    keep_s = _KEEP_S
    if function.startswith(_CRON):
        keep_s = int(keep_cronjob_progress) if job_id.startswith(f"{function}:") else 0
    if not keep_s:
        return b"", 0
    tries, enqueue_ms = max(ms_at(data, "t") or 0, found.starts + 1), ms_at(data, "et") or 0
    result = serialize_result(
        function,
        (),
        {},
        tries,
        enqueue_ms,
        False,
        CancelledError(),
        found.now_ms,
        found.now_ms,
        f"{job_id}:{function}",
        queue or default_queue_name,
        job_id,
        serializer=how.serializer,
        deserializer=how.deserializer,
    )
    shown = {"t": tries, "f": function, "et": enqueue_ms, "s": False, "st": found.now_ms, "ft": found.now_ms}
    result = how.seal_result(result, job_id, queue or default_queue_name, lambda: shown)
    return (result, keep_s) if result else (b"", 0)
