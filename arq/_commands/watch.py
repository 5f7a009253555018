"""`arq watch`: a queue's counts, workers and running jobs, again and again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from redis.exceptions import RedisError

from .._admin.fan_out import AllAwayError
from .._admin.merging import merge_fleets, sum_counts
from .._printable import printable
from ..admin import Admin, Counts, Fleet
from .admins import Admins
from .exit_codes import ExitCode
from .output import clock, iso, json_line, span, table, with_server
from .target import Target, say, with_target
from .workers import HEADINGS, ignoring, worker_fields, worker_rows

_CLEAR = "\x1b[H\x1b[2J"
SERVER_HEADINGS = ("SERVER", "QUEUED", "DEFERRED", "RUNNING", "OLDEST DUE", "STATE")


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
    """Show how many jobs a queue has, and who runs what, until Ctrl-C. Redis, or some of several servers, may be away
    meanwhile.
    """

    async def look(admins: Admins) -> None:
        number = 0
        while True:
            await _look(admins, target.queue, every, is_patient=times is None, as_json=as_json)
            number += 1
            if times is not None and number >= times:
                return
            sys.stdout.flush()
            await asyncio.sleep(every)

    try:
        target.run(look)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


async def _look(admins: Admins, queue: str, every: float, *, is_patient: bool, as_json: bool) -> None:
    """Look once. `is_patient`: that Redis is away is no reason to end."""
    try:
        seen = await admins.each(lambda admin: _seen(admin, queue))
    except (RedisError, OSError) as exc:
        if not is_patient:
            raise
        if not isinstance(exc, AllAwayError):  # that was said
            say(f"redis can't be used, next try in {every:g} s: {exc.__class__.__name__}: {exc}")
        return
    shown = Shown(queue, seen, admins.away, are_several=admins.are_several)
    _print_json(shown) if as_json else _print(shown)


class Seen(NamedTuple):
    """What a server has of a queue."""

    counts: Counts
    fleet: Fleet


async def _seen(admin: Admin, queue: str) -> Seen:
    return Seen(await admin.counts(queue), await admin.workers(queue))


class Shown:
    """One look.

    Args:
        queue: at which queue.
        seen: name of each server -> what it has.
        away: name of a server -> why nothing is known of it.
        are_several: whether there are several servers.
    """

    def __init__(
        self, queue: str, seen: Mapping[str, Seen], away: Mapping[str, str], *, are_several: bool
    ) -> None:
        self.queue = queue
        self.seen = seen
        self.away = away
        self.are_several = are_several
        self.counts = sum_counts([one.counts for one in seen.values()])
        self.fleet = (
            merge_fleets({name: one.fleet for name, one in seen.items()})
            if are_several
            else next(iter(seen.values())).fleet
        )


def _print_json(shown: Shown) -> None:
    of_each = {name: _counted(one.counts) for name, one in shown.seen.items()}
    of_each |= {name: {"away": why} for name, why in shown.away.items()}
    json_line(
        {
            "at": iso(shown.counts.now_ms),
            "queue": shown.queue,
            **_counted(shown.counts),
            "ignore_pauses": shown.fleet.ignore_pauses,
            "workers": [worker_fields(worker) for worker in shown.fleet.workers],
            **({"servers": of_each} if shown.are_several else {}),
        }
    )


def _counted(counts: Counts) -> dict[str, Any]:
    return {
        "queued": counts.queued,
        "deferred": counts.deferred,
        "running": counts.running,
        "oldest_due": iso(counts.oldest_due_ms),
        "paused": counts.paused is not None,
    }


def _print(shown: Shown) -> None:
    if sys.stdout.isatty():
        click.echo(_CLEAR, nl=False)
    counts, fleet = shown.counts, shown.fleet
    oldest = _oldest(counts)
    waits = f", oldest due {oldest}" if oldest else ""
    paused = ""
    if counts.paused is not None:
        paused = f"  PAUSED since {clock(counts.paused.since_ms)} {printable(counts.paused.note)}"
    click.echo(
        f"{clock(counts.now_ms)}  queue {shown.queue}: {counts.queued} queued{waits}, {counts.deferred} deferred, "
        f"{counts.running} running{paused.rstrip()}"
    )
    if shown.are_several:
        table(SERVER_HEADINGS, _server_rows(shown))
    if fleet.workers or fleet.has_old:
        table(with_server(HEADINGS, shown.are_several), worker_rows(fleet, several=shown.are_several))
    if warning := ignoring(fleet, shown.queue):
        say(warning)


def _server_rows(shown: Shown) -> list[tuple[str, ...]]:
    rows = [(name, "-", "-", "-", "-", f"away: {why}") for name, why in shown.away.items()]
    return rows + [
        (
            name,
            *map(str, (counts.queued, counts.deferred, counts.running)),
            _oldest(counts) or "-",
            "up" if counts.paused is None else "paused",
        )
        for name, (counts, _) in shown.seen.items()
    ]


def _oldest(counts: Counts) -> str:
    """Since when a job is due; '' if none is."""
    return "" if counts.oldest_due_ms is None else f"{span(counts.now_ms - counts.oldest_due_ms)} ago"
