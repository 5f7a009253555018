"""`arq ls`: jobs by state."""

from __future__ import annotations

from typing import Any

import click

from .._admin.listing import SCAN_LIMIT
from .._admin.merging import sum_counts
from ..admin import HIGHEST_LIMIT, Counts, JobState, ListedJob
from .admins import Admins
from .choice import Choice, with_choice, with_list_options
from .jobs_shown import headings, job_fields, row
from .output import clock, iso, json_line, span, table
from .target import Target, say, with_target


@click.command("ls")
@with_target
@with_choice(*JobState)
@with_list_options
@click.option("--counts", is_flag=True, help="Only count the jobs of the queue by state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(target: Target, choice: Choice, limit: int, cursor: str, counts: bool, as_json: bool) -> None:
    """List jobs: those in the queue by due time, or with `--state done` those that are over.

    At most 100,000 entries are looked at; a line on stderr says where to go on.
    """
    if counts:
        _print_counts(target, as_json)
        return
    print_jobs(target, choice, limit, cursor, as_json)


def print_jobs(target: Target, choice: Choice, limit: int, cursor: str, as_json: bool) -> None:
    """Print a list."""
    jobs, following, looked_at, now_ms = target.run(
        lambda admins: _look(admins, target, choice, limit, cursor)
    )
    if as_json:
        for job in jobs:
            json_line(job_fields(job))
    elif jobs:
        table(
            headings(choice.state, several=target.are_several),
            (row(job, choice.state, now_ms) for job in jobs),
        )
    else:
        what = "dead set of queue" if choice.state is JobState.dead else "queue"
        say(
            f"{what} {target.queue!r} is empty"
            if choice.is_any
            else f"no such jobs in {what} {target.queue!r}"
        )
    if following:
        searched = f"looked at {looked_at} entries; " if len(jobs) < limit else ""
        say(f"{searched}more: --cursor {following}")


async def _look(
    admins: Admins, target: Target, choice: Choice, limit: int, cursor: str
) -> tuple[list[ListedJob], str, int, int]:
    """Jobs, where to go on, how many entries were looked at, and Redis's clock."""
    await target.must_exist(admins)
    found = await admins.jobs(choice.of(target.queue), cursor)
    jobs: list[ListedJob] = []
    looked_at = now_ms = 0
    while True:
        wanted = min(limit - len(jobs), HIGHEST_LIMIT)
        page = await found.next(wanted, SCAN_LIMIT - looked_at)
        admins.note(found.away)
        jobs += page.jobs
        looked_at += page.looked_at
        now_ms = page.now_ms or now_ms
        if not page.cursor or len(jobs) >= limit or looked_at >= SCAN_LIMIT:
            return jobs, page.cursor, looked_at, now_ms


def _print_counts(target: Target, as_json: bool) -> None:
    async def count(admins: Admins) -> dict[str, Counts]:
        await target.must_exist(admins)
        return await admins.each(lambda admin: admin.counts(target.queue, with_done=True))

    each = target.run(count)
    found = sum_counts(list(each.values()))
    if as_json:
        servers = {name: _fields(one) for name, one in each.items()} if target.are_several else {}
        json_line({"queue": target.queue, **_fields(found)} | ({"servers": servers} if servers else {}))
        return
    columns = {"JOBS": found} | (each if target.are_several else {})
    cells = [_cells(one) for one in columns.values()]
    names = [name for name in cells[0] if any(column[name] for column in cells)]
    table(("STATE", *columns), [(name, *(column[name] or "-" for column in cells)) for name in names])


def _fields(found: Counts) -> dict[str, Any]:
    return {
        "queued": found.queued,
        "deferred": found.deferred,
        "running": found.running,
        "done": found.done,
        "done_is_least": found.done_is_least,
        "dead": found.dead,
        "evicted": found.evicted,
        "oldest_due": iso(found.oldest_due_ms),
        "paused": found.paused is not None,
        "paused_since": iso(found.paused.since_ms) if found.paused else None,
        "paused_by": found.paused.by if found.paused else None,
        "note": found.paused.note if found.paused else None,
    }


def _cells(found: Counts) -> dict[str, str]:
    """What there is to say of a state, '' where there is nothing."""
    oldest_ms, pause = found.oldest_due_ms, found.paused
    note = f": {pause.note}" if pause and pause.note else ""
    return {
        "queued": str(found.queued),
        "deferred": str(found.deferred),
        "running": str(found.running),
        "done": f"{'at least ' if found.done_is_least else ''}{found.done}",
        "dead": str(found.dead),
        "left dead set": f"{found.evicted}, it was full" if found.evicted else "",
        "oldest due": "" if oldest_ms is None else f"{span(found.now_ms - oldest_ms)} ago",
        "paused": f"since {clock(pause.since_ms)} by {pause.by or '?'}{note}" if pause else "",
    }
