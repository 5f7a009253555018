"""`arq crons`: schedules; pause, resume, run."""

from __future__ import annotations

import sys
from typing import Any

import click

from .._admin.merging import merge_crons, rank
from .._printable import printable
from ..admin import Admin, CronSchedule, Deed
from .admins import Admins
from .exit_codes import ExitCode
from .output import clock, iso, json_line, table, with_server
from .target import Target, fail, say, with_target

WORDS = ("pause", "resume", "run")
HEADINGS = ("NAME", "SCHEDULE", "ZONE", "NEXT", "LAST", "STATE")


@click.command("crons")
@with_target
@click.argument("words", metavar="[pause|resume|run NAME...]", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def crons(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    """List the schedules that workers have, as minute, hour, day, month and weekday; pause or resume some, or run some
    once now.
    """
    if words:
        _act(target, words, as_json)
        return

    async def look(admins: Admins) -> list[CronSchedule]:
        await target.must_exist(admins)
        return merge_crons(await admins.each(lambda admin: admin.crons(target.queue)))

    found = target.run(look)
    if as_json:
        for one in found:
            json_line(_fields(one))
    elif found:
        table(with_server(HEADINGS, target.are_several), [_row(one) for one in found])
    else:
        say(f"no worker of queue {target.queue!r} has shown a schedule")


def _fields(one: CronSchedule) -> dict[str, Any]:
    return {
        "name": one.name,
        "schedule": one.spec,
        "timezone": one.timezone,
        "next": iso(one.next_ms),
        "last": iso(one.last_ms),
        "paused": one.is_paused,
        "seen": iso(one.seen_ms),
        "timeout_s": one.timeout_s,
        "unique": one.unique,
        **({"server": one.server} if one.server else {}),
    }


def _row(one: CronSchedule) -> tuple[str, ...]:
    state = "paused" if one.is_paused else "on"
    following = "-" if one.is_paused else _shown(one.next_ms)
    row = one.name, one.spec or "?", one.timezone, following, _shown(one.last_ms), state
    return with_server(row, one.server)


def _shown(unix_ms: int | None) -> str:
    return "-" if unix_ms is None else clock(unix_ms // 1000 * 1000).replace(".000", "")


def _act(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    word, *names = words
    if word not in WORDS or not names:
        fail("say pause, resume or run, and then the names of schedules", ExitCode.USAGE)

    async def act(admin: Admin) -> list[tuple[Deed, str]]:
        return [await _one(admin, word, name, target.queue) for name in names]

    each = target.each(act).values()
    deeds = [min(of_one, key=lambda pair: rank(pair[0])) for of_one in zip(*each, strict=True)]
    for name, (deed, job_id) in zip(names, deeds, strict=True):
        if as_json:
            json_line({"name": name, "outcome": deed.value} | ({"id": job_id} if job_id else {}))
        else:
            click.echo(f"{printable(name)}: {_told(word, deed, job_id)}", err=deed is not Deed.done)
    if any(deed is not Deed.done for deed, _ in deeds):
        sys.exit(ExitCode.NOT_ALL)


async def _one(admin: Admin, word: str, name: str, queue: str) -> tuple[Deed, str]:
    if word == "pause":
        return await admin.pause_cron(name, queue), ""
    if word == "resume":
        return await admin.resume_cron(name, queue), ""
    job_id = await admin.run_cron(name, queue)
    return (Deed.unknown, "") if job_id is None else (Deed.done, job_id)


def _told(word: str, deed: Deed, job_id: str) -> str:
    if deed is Deed.unknown:
        return "no worker has shown such a schedule"
    if deed is Deed.over:
        return "was paused before" if word == "pause" else "was not paused"
    return {"pause": "is paused", "resume": "is resumed", "run": f"is enqueued as {printable(job_id)}"}[word]
