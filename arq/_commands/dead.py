"""`arq dead ls`, `show`, `requeue`, `rm`: jobs that have failed for good."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from ..admin import Admin, Deed, JobState, ListedJob
from . import ls as jobs_listed
from . import show as job_shown
from .act import Action, act_on_jobs, with_action
from .choice import Choice, Span, with_choice, with_list_options
from .exit_codes import ExitCode
from .target import Target, fail, with_target

_PER = {"s": 1, "m": 60, "h": 3600}


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on only
    """So many in a time."""

    name = "N/s|m|h"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """So many a second."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/([smh]))?", value.strip())
        if found is None or float(found[1]) <= 0:
            self.fail(f"{value!r} is no rate, as 50/s, 100/m or 20/h are", param, ctx)
        return float(found[1]) / _PER[found[2] or "s"]


@click.group("dead")
def dead() -> None:
    """Jobs that have failed for good: they are kept with their payloads, so that they can be requeued.

    A queue keeps the newest 10,000 of a week, unless its workers say otherwise (dead_max, dead_ttl, dead_letter).
    """


@dead.command("ls")
@with_target
@with_choice(JobState.dead)
@with_list_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(target: Target, choice: Choice, limit: int, cursor: str, as_json: bool) -> None:
    """List jobs of the dead set, the newest first."""
    jobs_listed.print_jobs(target, choice, limit, cursor, as_json)


@dead.command("show")
@with_target
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(target: Target, job_id: str, as_json: bool) -> None:
    """Show a job of the dead set: arguments, error, traceback, errors of earlier tries."""
    found = job_shown.the_one(target.each(lambda admin: admin.dead_job(job_id, target.queue)))
    if found is None:
        fail(f"there is no job {job_id!r} in the dead set of queue {target.queue!r}", ExitCode.NOT_ALL)
    target.is_short = False  # what was asked for was there
    job_shown.print_details(found, as_json)


@dead.command("requeue")
@with_target
@with_choice(JobState.dead)
@click.option(
    "--tries", type=click.IntRange(1, 1), help="1: they get one more try; else their tries begin anew."
)
@click.option("--delay", type=Span(), default=0.0, help="How long until they are due: 90, 15m, 2h, 7d.")
@click.option("--rate", type=Rate(), help="So many at a time: 50/s, 100/m.")
@with_action
def requeue(target: Target, tries: int | None, delay: float, rate: float | None, **options: Any) -> None:
    """Put jobs of the dead set into the queue again, with their ids. Only what is dead now is meant: what dies again
    meanwhile is left alone.

    Name ids, or choose jobs with the options.
    """

    async def again(admin: Admin, queue: str, jobs: Sequence[ListedJob]) -> list[Deed]:
        return await admin.requeue(jobs, queue, tries=1 if tries else None, delay=delay)

    act_on_jobs(
        target,
        Action("requeue", "requeued", "requeue", again, per_s=rate),
        default_state=JobState.dead,
        **options,
    )


@dead.command("rm")
@with_target
@with_choice(JobState.dead)
@with_action
def rm(target: Target, **options: Any) -> None:
    """Remove jobs from the dead set, with all that is kept of them.

    Name ids, or choose jobs with the options.
    """

    async def forget(admin: Admin, queue: str, jobs: Sequence[ListedJob]) -> list[Deed]:
        return await admin.delete_dead(jobs, queue)

    act_on_jobs(
        target,
        Action("remove", "removed", "delete dead", forget, is_final=True),
        default_state=JobState.dead,
        **options,
    )
