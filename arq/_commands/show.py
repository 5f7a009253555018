"""`arq show`: one job with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import click

from .._admin.merging import best_server
from .._printable import printable, printable_lines
from ..admin import JobDetails
from .admins import Admins
from .exit_codes import ExitCode
from .jobs_shown import job_fields
from .output import clock, iso, json_line, span
from .target import Target, fail, with_target


@click.command("show")
@with_target
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(target: Target, job_id: str, as_json: bool) -> None:
    """Show a job: arguments, times, tries, who runs it, how it ended."""

    async def look(admins: Admins) -> tuple[JobDetails | None, bool]:
        await target.must_exist(admins)
        found = the_one(await admins.each(lambda admin: admin.job(job_id, target.queue)))
        if found is not None:
            return found, False
        return None, any((await admins.each(lambda admin: admin.has_payload(job_id))).values())

    found, is_elsewhere = target.run(look)
    if found is None:
        hint = "; its payload is there, so it may be in another queue: say --queue" if is_elsewhere else ""
        fail(f"there is no job {job_id!r} in queue {target.queue!r}{hint}", ExitCode.NOT_ALL)
    target.is_short = False  # what was asked for was there
    print_details(found, as_json)


def the_one(found: Mapping[str, JobDetails | None]) -> JobDetails | None:
    """Of what servers know of a job that which counts, with the name of its server."""
    name = best_server(found)
    details = found.get(name)
    return None if details is None else replace(details, job=replace(details.job, server=name))


def print_details(found: JobDetails, as_json: bool) -> None:
    """Print one job."""
    if as_json:
        json_line(_fields(found))
    else:
        _print(found)


def _fields(found: JobDetails) -> dict[str, object]:
    return {
        **job_fields(found.job),
        "timeline": [
            {"at": iso(event.at_ms), "what": event.what, "detail": event.detail} for event in found.timeline
        ],
        "traceback": found.traceback,
        "crashes": found.crashes,
        "abort_asked": iso(found.abort_asked_ms),
    }


def _print(found: JobDetails) -> None:
    job = found.job
    rows = [
        ("id", job.job_id),
        ("state", job.state.value if job.success is not False else f"{job.state.value}, failed"),
        ("queue", job.queue or "?"),
        ("server", job.server),
        ("call", f"{job.function}({job.arguments})" if job.function is not None else "?"),
        ("problem", job.problem),
        ("size", f"{job.bytes} bytes"),
        ("tries", str(job.tries) + (f", {job.interrupted} interrupted" if job.interrupted else "")),
        ("crashes", found.crashes),
        (
            "abort",
            f"asked for {span(found.now_ms - found.abort_asked_ms)} ago" if found.abort_asked_ms else "",
        ),
        ("result", job.result),
        ("error", job.error),
    ]
    for name, value in rows:
        if value:
            click.echo(f"{name:<9} {printable(value)}")
    click.echo("")
    for event in found.timeline:
        ahead = (event.at_ms or found.now_ms) - found.now_ms
        when = f"in {span(ahead)}" if ahead > 0 else f"{span(-ahead)} ago"
        line = f"{clock(event.at_ms)}  {when:>12}  {event.what}  {event.detail}"
        click.echo(printable(line.rstrip()))
    if found.traceback:
        click.echo(f"\n{printable_lines(found.traceback)}")
