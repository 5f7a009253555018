"""`arq ls`: jobs by state."""

from __future__ import annotations

import click

from .._admin.listing import SCAN_LIMIT
from ..admin import HIGHEST_LIMIT, Admin, Counts, JobState, ListedJob
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
    jobs, following, looked_at, now_ms = target.run(lambda admin: _look(admin, target, choice, limit, cursor))
    if as_json:
        for job in jobs:
            json_line(job_fields(job))
    elif jobs:
        table(headings(choice.state), (row(job, choice.state, now_ms) for job in jobs))
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
    admin: Admin, target: Target, choice: Choice, limit: int, cursor: str
) -> tuple[list[ListedJob], str, int, int]:
    """Jobs, where to go on, how many entries were looked at, and Redis's clock."""
    await target.must_exist(admin)
    jobs: list[ListedJob] = []
    looked_at = 0
    while True:
        wanted = min(limit - len(jobs), HIGHEST_LIMIT)
        page = await choice.page(admin, target.queue, cursor, wanted, SCAN_LIMIT - looked_at)
        jobs += page.jobs
        looked_at += page.looked_at
        cursor = page.cursor
        if not cursor or len(jobs) >= limit or looked_at >= SCAN_LIMIT:
            return jobs, cursor, looked_at, page.now_ms


def _print_counts(target: Target, as_json: bool) -> None:
    async def count(admin: Admin) -> Counts:
        await target.must_exist(admin)
        return await admin.counts(target.queue, with_done=True)

    found = target.run(count)
    if as_json:
        json_line(
            {
                "queue": target.queue,
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
        )
        return
    done = f"{'at least ' if found.done_is_least else ''}{found.done}"
    rows = [("queued", str(found.queued)), ("deferred", str(found.deferred))]
    rows += [("running", str(found.running)), ("done", done), ("dead", str(found.dead))]
    if found.evicted:
        rows.append(("left dead set", f"{found.evicted}, it was full"))
    if found.oldest_due_ms is not None:
        rows.append(("oldest due", f"{span(found.now_ms - found.oldest_due_ms)} ago"))
    if found.paused is not None:
        note = f": {found.paused.note}" if found.paused.note else ""
        rows.append(("paused", f"since {clock(found.paused.since_ms)} by {found.paused.by or '?'}{note}"))
    table(("STATE", "JOBS"), rows)
