"""Jobs as rows of a table and as JSON. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..admin import JobState, ListedJob
from .output import iso, span, with_server

QUEUE_HEADINGS = ("ID", "STATE", "FUNCTION", "AGE", "DUE", "TRIES", "ARGUMENTS")
RUNNING_HEADINGS = ("ID", "FUNCTION", "FOR", "TRIES", "WORKER", "ARGUMENTS")
DEAD_HEADINGS = ("ID", "FUNCTION", "DIED", "TRIES", "ERROR", "ARGUMENTS")
DONE_HEADINGS = ("ID", "STATE", "FUNCTION", "ENDED", "TOOK", "TRIES", "RESULT")


def job_fields(job: ListedJob) -> dict[str, Any]:
    """A job as JSON has it."""
    fields: dict[str, Any] = {
        "id": job.job_id,
        "queue": job.queue,
        "state": job.state.value,
        "function": job.function,
        "args": job.args,
        "kwargs": job.kwargs,
        "enqueued": iso(job.enqueued_ms),
        "tries": job.tries,
        "bytes": job.bytes,
    }
    if job.state is JobState.dead:
        fields |= {"error": job.error, "started": iso(job.started_ms), "died": iso(job.finished_ms)}
        fields |= {"worker": job.worker}
    elif job.state is JobState.done:
        fields |= {"success": job.success, "result": job.result, "error": job.error}
        fields |= {"started": iso(job.started_ms), "finished": iso(job.finished_ms)}
    else:
        fields |= {"due": iso(job.due_ms), "interrupted": job.interrupted}
    if job.state is JobState.running:
        fields |= {"worker": job.worker, "since": iso(job.since_ms)}
    if job.problem:
        fields["problem"] = job.problem
    if job.server:
        fields["server"] = job.server
    return fields


def headings(state: JobState | None, *, several: bool = False) -> Sequence[str]:
    """The headings for a list of jobs in a state. `several`: with the servers of the jobs."""
    found = {
        JobState.running: RUNNING_HEADINGS,
        JobState.done: DONE_HEADINGS,
        JobState.dead: DEAD_HEADINGS,
    }.get(state, QUEUE_HEADINGS)  # type: ignore[arg-type]
    return with_server(found, several)


def row(job: ListedJob, state: JobState | None, now_ms: int) -> tuple[str, ...]:
    """A job as a row under `headings`."""
    return with_server(_row(job, state, now_ms), job.server)


def _row(job: ListedJob, state: JobState | None, now_ms: int) -> tuple[str, ...]:
    function = job.function or "?"
    arguments = job.arguments if not job.problem else f"({job.problem})"
    if state is JobState.running:
        return job.job_id, function, _ago(job.since_ms, now_ms), str(job.tries), _worker(job), arguments
    if state is JobState.dead:
        return job.job_id, function, _ago(job.finished_ms, now_ms), str(job.tries), job.error, arguments
    if state is JobState.done:
        took = None if job.started_ms is None or job.finished_ms is None else job.finished_ms - job.started_ms
        ended = "done" if job.success else "failed" if job.success is False else "?"
        outcome = job.error or job.result or (f"({job.problem})" if job.problem else "")
        return job.job_id, ended, function, _ago(job.finished_ms, now_ms), span(took), str(job.tries), outcome
    due = "now" if job.state is not JobState.deferred else f"in {span((job.due_ms or now_ms) - now_ms)}"
    if job.state is JobState.running:
        due = f"for {_ago(job.since_ms, now_ms)}"
    age = _ago(job.enqueued_ms, now_ms)
    return job.job_id, job.state.value, function, age, due, str(job.tries), arguments


def _worker(job: ListedJob) -> str:
    return "(python-arq)" if job.worker == "1" else job.worker


def _ago(at_ms: int | None, now_ms: int) -> str:
    return "?" if at_ms is None else span(max(0, now_ms - at_ms))
