"""Jobs by state, one job, and those that have failed for good."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

from .._admin.fan_out import away_line
from ..admin import JobPage, JobState
from .actions import JOB_ACTIONS
from .advice import advice
from .chosen import as_word
from .lookups import FoundJob
from .view import Look, Page

#: Jobs of a page.
_SIZES = (25, 50, 100, 250)
#: Jobs of a page that is written in a moment.
_FEW = 25
_TABS = (*JobState,)


async def jobs(look: Look) -> Page:
    """Jobs of a queue by state; the filter stands in the address."""
    state = look.asked("state")
    return await _listed(look, state, "jobs", "Jobs")


async def dead(look: Look) -> Page:
    """The dead set of a queue."""
    return await _listed(look, "dead", "dead", "Dead jobs")


async def _listed(look: Look, state: str, template: str, title: str) -> Page:
    queue, size = look.queue, int(look.number("limit", 50, 1, 250))
    wanted = wanted_of(look)
    overview = await look.lookups.overview()
    counts = next((one for one in overview.queues if one.queue == queue), None)
    try:
        page, is_searching = await look.lookups.jobs(
            queue, size, look.asked("cursor"), state=state or None, **wanted
        )
    except ValueError as exc:
        raise HTTPException(400, str(exc)) from exc
    shown = [look.mask.job(one) for one in page.jobs]
    facts = {
        "jobs": [(masked, as_word(plain)) for masked, plain in zip(shown, page.jobs, strict=True)],
        "actions": [one for one in JOB_ACTIONS if look.access.may(one.right) and one.fits(state)],
        "found": page,
        "is_searching": is_searching,
        "queue": queue,
        "state": state,
        "queues": [one.queue for one in overview.queues],
        "counts": counts,
        "wanted": wanted,
        "size": size,
        "sizes": _SIZES,
        "states": [one.value for one in JobState],
        "empty": _empty(look, state, wanted, page),
    }
    json = {
        "queue": queue,
        "state": state or None,
        "jobs": shown,
        "cursor": page.cursor,
        "is_cut": page.is_cut,
        "is_searching": is_searching,
        "looked_at": page.looked_at,
        "now_ms": page.now_ms,
    }
    now_ms, is_long = page.now_ms or overview.now_ms, len(page.jobs) > _FEW
    return Page(template, title, facts, json, now_ms=now_ms, is_long=is_long)


def wanted_of(look: Look) -> dict[str, Any]:
    """The filter, as `Admin.jobs` takes it."""
    arg = look.asked("arg")
    if arg and look.mask.changes:
        raise HTTPException(403, "arguments are hidden here: nobody may search in them")
    older = look.asked("older_than")
    return {
        "function": look.asked("function") or None,
        "id_prefix": look.asked("id_prefix"),
        "arg": arg,
        "older_than": look.number("older_than", 0, 0, 1e9) if older else None,
    }


def _empty(look: Look, state: str, wanted: dict[str, Any], page: JobPage) -> str:
    """What to do next where there is nothing."""
    if any(wanted.values()):
        return "No job fits this filter. Take a part of it away, or look among jobs in another state."
    if look.asked("cursor"):
        return "There are no more jobs."
    return {
        "": "The queue is empty: all jobs were taken. Enqueue one with `await pool.enqueue_job('function')`.",
        "queued": "No job waits: workers keep up.",
        "deferred": "No job waits for a time. `_defer_by` and `_defer_until` of enqueue_job make such jobs.",
        "running": "Nothing runs. If jobs wait, look at Workers: is there one for this queue?",
        "done": "No results are kept. `keep_result` of the worker says for how long they are.",
        "dead": "No job has failed for good. Those that do are kept here for a week, to be requeued.",
    }.get(state, "Nothing here.")


async def job(look: Look) -> Page:
    """One job: what became of it, and what can be done about it."""
    queue, job_id, whole = look.queue, look.job_id, bool(look.asked("all"))
    try:
        known = await look.lookups.job(job_id, queue, whole=whole, only_dead=look.asked("state") == "dead")
    except ValueError as exc:
        raise HTTPException(400, str(exc)) from exc
    details, buried = known.details, known.buried
    if details is None:
        raise _unknown(look, queue, job_id)
    shown = look.mask.details(details)
    facts = {
        "job": shown.job,
        "details": shown,
        "queue": queue,
        "is_dead": buried is not None,
        "buried": None if buried is None else look.mask.details(buried),
        "advice": [*advice(shown, is_dead=buried is not None), *_twice(known)],
        "whole": whole,
        "is_cut": "…" in shown.job.arguments + shown.job.result,
        "word": as_word(details.job),
        "actions": [one for one in JOB_ACTIONS if look.access.may(one.right) and one.fits(details.job.state)],
    }
    json = {"details": shown, "dead": facts["buried"], "advice": facts["advice"]}
    return Page("job", f"Job {job_id}", facts, json, now_ms=details.now_ms)


def _unknown(look: Look, queue: str, job_id: str) -> HTTPException:
    """Nothing is known of a job: on none of the servers, or on none that can be asked."""
    told = f"nothing is known of job {job_id!r} in queue {queue!r}"
    if look.lookups.away:
        away = "; ".join(away_line(name, why) for name, why in look.lookups.away.items())
        return HTTPException(503, f"{told} where it could be looked for, but {away}")
    return HTTPException(404, f"{told}: was it removed, or has its result expired?")


def _twice(known: FoundJob) -> list[str]:
    """That the id stands on further servers: one was added, or taken away."""
    return [f"Server {name} has a job of this id, too." for name in known.also_on]
