"""`arq rm`, `arq retry`, `arq abort`: something is done with jobs, that are named or chosen."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import click
from redis.exceptions import RedisError

from .._admin.merging import best_deed
from .._printable import printable
from ..admin import Admin, Deed, JobState, ListedJob
from .admins import Admins
from .choice import Choice, with_choice
from .exit_codes import ExitCode
from .output import json_line
from .target import Target, fail, say, with_target

#: Jobs that are acted on in one go.
_STEP = 100
#: So many are told one by one.
_FEW = 20

Act = Callable[[Admin, str, Sequence[ListedJob]], Awaitable[list[Deed]]]


@dataclass(frozen=True)
class Action:
    """Something that is done with jobs.

    Attributes:
        verb, past: what it is called.
        name: what the audit trail calls it.
        act: does it, and says what became of each.
        good: what may become of a job for the command to be content.
        is_final: nothing brings the job back, so it is asked also about a single one.
        per_s: so many jobs a second at most; None: as fast as it goes.
    """

    verb: str
    past: str
    name: str
    act: Act
    good: tuple[Deed, ...] = (Deed.done,)
    is_final: bool = False
    per_s: float | None = None


@dataclass
class Tally:
    """How far a command has come."""

    of: int
    deeds: list[tuple[str, Deed]] = field(default_factory=list)
    interrupted: str = ""
    # servers were away that may have what is not found
    is_short: bool = False

    def is_all(self, action: Action) -> bool:
        """Whether it was done with all of them."""
        return len(self.deeds) == self.of and all(deed in action.good for _, deed in self.deeds)


def with_action(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that acts on jobs."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each job."),
        click.option("--dry-run", is_flag=True, help="Only say which jobs it would be."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "all_jobs", is_flag=True, help="All jobs that the other options choose."),
        click.argument("job_ids", metavar="[ID]...", nargs=-1),
    ):
        command = option(command)
    return command


@click.command("rm")
@with_target
@with_choice(JobState.queued, JobState.deferred, JobState.running, JobState.done)
@with_action
def rm(target: Target, **options: Any) -> None:
    """Remove jobs, with all that is known of them. What runs is left alone: `arq abort` ends it.

    Name ids, or choose jobs with the options.
    """

    async def delete(admin: Admin, queue: str, jobs: Sequence[ListedJob]) -> list[Deed]:
        return await admin.delete(jobs, queue)

    act_on_jobs(target, Action("remove", "removed", "delete", delete, is_final=True), **options)


@click.command("retry")
@with_target
@with_choice(JobState.deferred, JobState.queued)
@with_action
def retry(target: Target, **options: Any) -> None:
    """Let jobs be due now: those that are deferred, or wait for another try.

    Name ids, or choose jobs with the options: that is among those that are deferred.
    """

    async def run_now(admin: Admin, queue: str, jobs: Sequence[ListedJob]) -> list[Deed]:
        return await admin.run_now(jobs, queue)

    act_on_jobs(
        target, Action("retry", "due now", "run now", run_now), default_state=JobState.deferred, **options
    )


@click.command("abort")
@with_target
@with_choice(JobState.queued, JobState.deferred, JobState.running)
@with_action
def abort(target: Target, **options: Any) -> None:
    """Abort jobs: those that nobody runs leave the queue, and whoever waits for a result hears of it. Those that run
    are asked to end, which workers with allow_abort_jobs do.

    Name ids, or choose jobs with the options.
    """

    async def end(admin: Admin, queue: str, jobs: Sequence[ListedJob]) -> list[Deed]:
        return [await admin.abort(job, queue) for job in jobs]

    act_on_jobs(target, Action("abort", "aborted", "abort", end, (Deed.done, Deed.asked)), **options)


def act_on_jobs(
    target: Target,
    action: Action,
    choice: Choice,
    job_ids: tuple[str, ...],
    all_jobs: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    default_state: JobState | None = None,
) -> None:
    """Do it with the jobs that the words of the command line name or choose. `default_state`: where they are, unless
    the words say it.
    """
    _check_words(action, choice, job_ids, all_jobs)
    if default_state is not None and choice.state is None:
        choice = replace(choice, state=default_state)
    jobs = _named(job_ids, target) if job_ids else _chosen(target, choice)
    if dry_run:
        _tell_dry(action, jobs, as_json)
        return
    if jobs and not yes and (action.is_final or len(jobs) > 1 or not job_ids):
        _ask(action, jobs)
    tally = target.run(lambda admins: _do(admins, target.queue, action, jobs))
    if job_ids and tally.is_all(action):
        target.is_short = False  # what was asked for was there
    _tell(action, tally, as_json)


def _check_words(action: Action, choice: Choice, job_ids: tuple[str, ...], all_jobs: bool) -> None:
    chooses = not choice.is_any or all_jobs
    if job_ids and chooses:
        fail("name ids, or choose jobs with options: not both", ExitCode.USAGE)
    if not job_ids and not chooses:
        fail(f"which jobs? Name ids, or choose some with options; --all to {action.verb} all", ExitCode.USAGE)


def _named(job_ids: tuple[str, ...], target: Target) -> list[ListedJob]:
    return [ListedJob(job_id, target.queue, JobState.queued) for job_id in dict.fromkeys(job_ids)]


def _chosen(target: Target, choice: Choice) -> list[ListedJob]:
    """All that fit now; of each only what is needed to act."""

    async def collect(admin: Admin) -> list[ListedJob]:
        found: dict[str, ListedJob] = {}
        async for page in choice.pages(admin, target.queue):
            for job in page.jobs:
                found[job.job_id] = ListedJob(job.job_id, job.queue, job.state, fingerprint=job.fingerprint)
        return list(found.values())

    async def of_each(admins: Admins) -> list[ListedJob]:
        await target.must_exist(admins)
        each = await admins.each(collect)
        return [replace(job, server=name) for name, jobs in each.items() for job in jobs]

    return target.run(of_each)


def _ask(action: Action, jobs: list[ListedJob]) -> None:
    what = f"{action.verb} {_number(len(jobs))}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(f"this is no terminal, and would {what}: say --yes if you mean it", ExitCode.USAGE)
    if not click.confirm(f"{what.capitalize()}?", err=True):
        fail("nothing was done", ExitCode.NOT_ALL)


def _number(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


async def _do(admins: Admins, queue: str, action: Action, jobs: list[ListedJob]) -> Tally:
    """At the servers that have the jobs; where nobody has said which these are, at all of them."""
    parts: dict[str, list[ListedJob]] = {}
    for job in jobs:
        for name in [job.server] if job.server in admins.names else admins.names:
            parts.setdefault(name, []).append(job)
    tallies: dict[str, Tally] = {}

    async def at(name: str, admin: Admin) -> None:
        part = parts[name]
        async with admin.as_one(action.name, queue, len(part)):
            tallies[name] = await _in_steps(admin, queue, action, part)

    if action.per_s is None:
        await admins.each_by_name(at, parts)
    else:  # one rate for all servers
        for name in parts:
            await admins.each_by_name(at, [name])
    return replace(_sum(jobs, tallies), is_short=bool(admins.away))


def _sum(jobs: list[ListedJob], tallies: Mapping[str, Tally]) -> Tally:
    """What became of each job: not known to one server is what another one knows."""
    deeds: dict[str, list[Deed]] = {}
    for tally in tallies.values():
        for job_id, deed in tally.deeds:
            deeds.setdefault(job_id, []).append(deed)
    interrupted = "; ".join(one.interrupted for one in tallies.values() if one.interrupted)
    order = dict.fromkeys(job.job_id for job in jobs)
    return Tally(len(jobs), [(one, best_deed(deeds[one])) for one in order if one in deeds], interrupted)


async def _in_steps(admin: Admin, queue: str, action: Action, jobs: list[ListedJob]) -> Tally:
    tally = Tally(len(jobs))
    size = _STEP if action.per_s is None else min(max(1, round(action.per_s / 10)), _STEP)
    began_s = time.monotonic()
    for first in range(0, len(jobs), size):
        part = jobs[first : first + size]
        try:
            if action.per_s is not None:
                await asyncio.sleep(began_s + first / action.per_s - time.monotonic())
            deeds = await action.act(admin, queue, part)
        except asyncio.CancelledError:  # Ctrl-C
            say(
                f"stopped after {len(tally.deeds):,} of {_number(tally.of)}: run the command again for the rest"
            )
            raise
        except (RedisError, OSError) as exc:
            if not tally.deeds:
                raise
            tally.interrupted = f"{exc.__class__.__name__}: {exc}"
            return tally
        tally.deeds += zip((job.job_id for job in part), deeds, strict=True)
    return tally


def _tell_dry(action: Action, jobs: list[ListedJob], as_json: bool) -> None:
    for job in jobs if as_json else jobs[:_FEW]:
        if as_json:
            json_line({"id": job.job_id, "outcome": "dry run"})
        else:
            click.echo(f"would {action.verb} {printable(job.job_id)}")
    if not as_json:
        say(f"would {action.verb} {_number(len(jobs))}; nothing was done")


def _tell(action: Action, tally: Tally, as_json: bool) -> None:
    words = {Deed.done: action.past, Deed.asked: "is asked to end", Deed.running: "runs, and was left alone"}
    words |= {
        Deed.unknown: "not found on the servers that could be asked"
        if tally.is_short
        else "there is no such job",
        Deed.over: "is over",
        Deed.changed: "is another job by now",
        Deed.queued: "is in the queue already",
    }
    counts = Counter(deed for _, deed in tally.deeds)
    for job_id, deed in tally.deeds:
        if as_json:
            json_line({"id": job_id, "outcome": deed.value})
        elif tally.of <= _FEW:
            click.echo(f"{printable(job_id)}: {words[deed]}", err=deed not in action.good)
    if not as_json and tally.of > _FEW:
        click.echo(", ".join(f"{count:,} {words[deed]}" for deed, count in counts.items()))
    if tally.of == 0:
        say("no such jobs")
    if tally.interrupted:
        fail(
            f"redis went away after {len(tally.deeds):,} of {_number(tally.of)} ({tally.interrupted}): "
            "run the command again for the rest",
            ExitCode.REDIS,
        )
    if any(deed not in action.good for deed in counts):
        sys.exit(ExitCode.NOT_ALL)
