"""`arq pause` and `arq resume`."""

from __future__ import annotations

import sys

import click

from .._admin.audit import this_user
from .._admin.merging import merge_fleets, sum_counts
from .._printable import printable
from ..admin import Admin, Counts, Fleet
from .exit_codes import ExitCode
from .output import json_line
from .target import Target, say, with_redis
from .workers import ignoring


@click.command("pause")
@with_redis
@click.argument("queues", metavar="QUEUE...", nargs=-1, required=True)
@click.option("--note", default="", metavar="TEXT", help="Why: workers and other operators are told.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def pause(target: Target, queues: tuple[str, ...], note: str, as_json: bool) -> None:
    """Start no more jobs of a queue. Those that run go on to their end, jobs may be enqueued, and none expires.

    Workers of python-arq, and of arq before this version, do not know of pauses.
    """

    async def stop(admin: Admin) -> list[tuple[Counts, Fleet, bool]]:
        found = []
        for queue in queues:
            is_known = await admin.exists(queue)
            await admin.pause(queue, by=this_user(), note=note)
            found.append((await admin.counts(queue), await admin.workers(queue), is_known))
        return found

    each = target.each(stop)
    for number, queue in enumerate(queues):
        counts = sum_counts([of_queues[number][0] for of_queues in each.values()])
        fleet = merge_fleets({name: of_queues[number][1] for name, of_queues in each.items()})
        is_known = any(of_queues[number][2] for of_queues in each.values())
        if as_json:
            told = {"queue": queue, "paused": True, "running": counts.running, "queued": counts.queued}
            json_line(told | {"ignore_pauses": fleet.ignore_pauses})
        else:
            click.echo(
                f"queue {printable(queue)} is paused: {counts.running} running jobs end, {counts.queued} wait"
            )
        if warning := ignoring(fleet, queue):
            say(warning)
        if not is_known:
            say(f"note: queue {queue!r} has no jobs, and no worker looks at it")


@click.command("resume")
@with_redis
@click.argument("queues", metavar="QUEUE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def resume(target: Target, queues: tuple[str, ...], as_json: bool) -> None:
    """Start jobs of a queue again."""

    async def go_on(admin: Admin) -> list[tuple[str, bool]]:
        return [(queue, await admin.resume(queue)) for queue in queues]

    each = target.each(go_on).values()
    found = [(queue, any(dict(of_queues)[queue] for of_queues in each)) for queue in queues]
    for queue, was_paused in found:
        if as_json:
            json_line({"queue": queue, "resumed": was_paused})
        elif was_paused:
            click.echo(f"queue {printable(queue)} is resumed")
        if not was_paused:
            say(f"queue {queue!r} was not paused")
    if not all(was_paused for _, was_paused in found):
        sys.exit(ExitCode.NOT_ALL)
