"""`arq workers`: who works on what; quiet, resume, stop."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

from .._admin.merging import best_deed, merge_fleets
from .._printable import printable
from ..admin import Admin, Deed, Fleet, LiveWorker, RunningJob
from .exit_codes import ExitCode
from .output import iso, json_line, span, table, with_server
from .target import Target, fail, say, with_target

WORDS = ("quiet", "resume", "stop")
HEADINGS = ("WORKER", "HOST", "PID/SLOT", "STATE", "JOBS", "RUNS")
_DONE = {"quiet": "takes no more jobs", "resume": "takes jobs again", "stop": "stops"}


@click.command("workers")
@with_target
@click.argument("words", metavar="[quiet|resume|stop ID...]", nargs=-1)
@click.option("--no-wait", is_flag=True, help="Do not wait until a worker has heard, which takes up to 20 s.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def workers(target: Target, words: tuple[str, ...], no_wait: bool, as_json: bool) -> None:
    """List workers and what they run since when; tell one to take no more jobs (quiet), to take jobs again (resume), or
    to stop as on SIGTERM: a supervisor starts another one in its place.
    """
    if words:
        _tell(target, words, no_wait, as_json)
        return
    fleet = merge_fleets(target.each(lambda admin: admin.workers(target.queue)))
    if as_json:
        for worker in fleet.workers:
            json_line(worker_fields(worker))
        if fleet.has_old:
            json_line(
                {"id": None, "kind": "python-arq", "obeys_pauses": False, "jobs": _jobs(fleet.old_jobs)}
            )
        return
    if fleet.workers or fleet.has_old:
        table(with_server(HEADINGS, target.are_several), worker_rows(fleet, several=target.are_several))
    else:
        say("no workers")
    if warning := ignoring(fleet, target.queue):
        say(warning)


def ignoring(fleet: Fleet, queue: str) -> str:
    """That workers ignore a pause of the queue; '' if none does."""
    number = fleet.ignore_pauses
    if not number:
        return ""
    who = f"at least {number} worker{'' if number == 1 else 's'}" if fleet.has_old else f"{number} workers"
    return f"note: {who} that ignore pauses look at queue {queue!r}: of python-arq, or of an earlier version"


def worker_fields(worker: LiveWorker) -> dict[str, Any]:
    """A worker as JSON has it."""
    return {
        "id": worker.worker_id,
        "kind": "arq",
        "host": worker.host,
        "pid": worker.pid,
        "pool": worker.pool,
        "slot": worker.slot,
        "late": worker.is_late,
        "looks_at_queue": worker.looks,
        "obeys_pauses": worker.obeys,
        "jobs": _jobs(worker.jobs),
        **({"server": worker.server} if worker.server else {}),
    }


def _jobs(jobs: list[RunningJob]) -> list[dict[str, Any]]:
    return [
        {"id": job.job_id, "queue": job.queue, "function": job.function, "since": iso(job.since_ms)}
        for job in jobs
    ]


def worker_rows(fleet: Fleet, *, several: bool = False) -> list[tuple[str, ...]]:
    """Workers under `HEADINGS`, with servers if there are several."""
    rows: list[tuple[str, ...]] = [
        with_server(
            (
                worker.worker_id,
                worker.host or "?",
                str(worker.pid) if worker.slot is None else f"{worker.pool}/{worker.slot}",
                _state(worker),
                str(len(worker.jobs)),
                _runs(worker.jobs, fleet.now_ms),
            ),
            worker.server,
        )
        for worker in fleet.workers
    ]
    if fleet.has_old:
        runs = _runs(fleet.old_jobs, fleet.now_ms)
        old = ("(python-arq)", "?", "?", "ignores pauses", str(len(fleet.old_jobs)), runs)
        rows.append(with_server(old, "?" if several else ""))
    return rows


def _state(worker: LiveWorker) -> str:
    if worker.is_late:
        return "late"
    if not worker.looks:
        return "elsewhere" if not worker.jobs else "busy"
    if worker.obeys is False:
        return "ignores pauses"
    return "busy" if worker.jobs else "idle"


def _runs(jobs: list[RunningJob], now_ms: int) -> str:
    oldest_first = sorted(jobs, key=lambda job: job.since_ms or 0)
    return ", ".join(
        f"{job.job_id}:{job.function or '?'}"
        + ("" if job.since_ms is None else f" {span(now_ms - job.since_ms)}")
        for job in oldest_first
    )


def _tell(target: Target, words: tuple[str, ...], no_wait: bool, as_json: bool) -> None:
    word, *ids = words
    if word not in WORDS or not ids:
        fail("say quiet, resume or stop, and then the ids of workers", ExitCode.USAGE)

    async def tell(admin: Admin) -> list[Deed]:
        wait = {"wait": 0.0} if no_wait else {}
        return [await admin.tell(one, cast(Any, word), **wait) for one in ids]

    deeds = [best_deed(of_one) for of_one in zip(*target.each(tell).values(), strict=True)]
    for worker_id, deed in zip(ids, deeds, strict=True):
        if as_json:
            json_line({"id": worker_id, "outcome": deed.value})
            continue
        told = {
            Deed.done: _DONE[word],
            Deed.asked: "has not heard so far: it is blocked, or of an earlier version",
            Deed.unknown: "there is no such worker",
        }
        if no_wait and deed is Deed.asked:
            told[deed] = "is told; it hears within 20 s"
        click.echo(f"{printable(worker_id)}: {told[deed]}", err=deed is not Deed.done)
    good = (Deed.done, Deed.asked) if no_wait else (Deed.done,)
    if any(deed not in good for deed in deeds):
        sys.exit(ExitCode.NOT_ALL)
