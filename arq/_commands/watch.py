"""`arq watch`: a queue's counts, workers and running jobs, again and again."""

from __future__ import annotations

import asyncio
import sys

import click
from redis.exceptions import RedisError

from .._printable import printable
from ..admin import Admin, Counts, Fleet
from .exit_codes import ExitCode
from .output import clock, iso, json_line, span, table
from .target import Target, say, with_target
from .workers import HEADINGS, ignoring, worker_fields, worker_rows

_CLEAR = "\x1b[H\x1b[2J"


@click.command("watch")
@with_target
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=2.0,
    metavar="SECONDS",
    help="Seconds between two looks.  [default: 2]",
)
@click.option(
    "--times", type=click.IntRange(1), metavar="N", help="Look so often, then end.  [default: until Ctrl-C]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each look.")
def watch(target: Target, every: float, times: int | None, as_json: bool) -> None:
    """Show how many jobs a queue has, and who runs what, until Ctrl-C. Redis may be away meanwhile."""

    async def look(admin: Admin) -> None:
        number = 0
        while True:
            try:
                counts, fleet = await admin.counts(target.queue), await admin.workers(target.queue)
            except (RedisError, OSError) as exc:
                if times is not None:
                    raise
                say(f"redis can't be used, next try in {every:g} s: {exc.__class__.__name__}: {exc}")
            else:
                _print_json(target.queue, counts, fleet) if as_json else _print(target.queue, counts, fleet)
            number += 1
            if times is not None and number >= times:
                return
            sys.stdout.flush()
            await asyncio.sleep(every)

    try:
        target.run(look)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _print_json(queue: str, counts: Counts, fleet: Fleet) -> None:
    json_line(
        {
            "at": iso(counts.now_ms),
            "queue": queue,
            "queued": counts.queued,
            "deferred": counts.deferred,
            "running": counts.running,
            "oldest_due": iso(counts.oldest_due_ms),
            "paused": counts.paused is not None,
            "ignore_pauses": fleet.ignore_pauses,
            "workers": [worker_fields(worker) for worker in fleet.workers],
        }
    )


def _print(queue: str, counts: Counts, fleet: Fleet) -> None:
    if sys.stdout.isatty():
        click.echo(_CLEAR, nl=False)
    waits = (
        ""
        if counts.oldest_due_ms is None
        else f", oldest due {span(counts.now_ms - counts.oldest_due_ms)} ago"
    )
    paused = ""
    if counts.paused is not None:
        paused = f"  PAUSED since {clock(counts.paused.since_ms)} {printable(counts.paused.note)}"
    click.echo(
        f"{clock(counts.now_ms)}  queue {queue}: {counts.queued} queued{waits}, {counts.deferred} deferred, "
        f"{counts.running} running{paused.rstrip()}"
    )
    if fleet.workers or fleet.has_old:
        table(HEADINGS, worker_rows(fleet))
    if warning := ignoring(fleet, queue):
        say(warning)
