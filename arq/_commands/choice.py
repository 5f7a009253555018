"""Which jobs a command is about: options that several commands have, and the walk through all pages."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import click

from .._admin.job_lists import OneList, Wanted, wanted_jobs
from .._admin.listing import SCAN_LIMIT
from ..admin import Admin, JobPage, JobState

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Span(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on only
    """A duration: a number of seconds, or with a unit."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value.strip())
        if found is None:
            self.fail(f"{value!r} is no duration, as 90, 90s, 15m, 2h or 7d are", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The jobs that are wanted.

    Attributes:
        state, function, id_prefix, arg, older_than: see `Admin.jobs`.
    """

    state: JobState | None
    function: str | None
    id_prefix: str
    arg: str
    older_than: float | None

    @property
    def is_any(self) -> bool:
        """Whether nothing was said beside the state of a command for one state."""
        return self == Choice(self.state if self.state is JobState.dead else None, None, "", "", None)

    def of(self, queue: str) -> Wanted:
        """These jobs of a queue."""
        return wanted_jobs(
            queue,
            state=self.state,
            function=self.function,
            id_prefix=self.id_prefix,
            arg=self.arg,
            older_than=self.older_than,
        )

    async def pages(self, admin: Admin, queue: str, limit: int = 1000) -> AsyncIterator[JobPage]:
        """All of them, on one server."""
        jobs = OneList(admin.redis, self.of(queue), "")
        while True:
            page = await jobs.next(limit, SCAN_LIMIT)
            yield page
            if not page.cursor:
                return


def with_choice(*states: JobState) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that choose jobs; the command gets a `Choice`.

    Args:
        states: those that may be asked for.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(
            *args: Any,
            function: str | None,
            id_prefix: str,
            arg: str,
            older_than: float | None,
            state: str | None = None,
            **options: Any,
        ) -> None:
            only = states[0] if len(states) == 1 else None
            chosen = Choice(JobState(state) if state else only, function, id_prefix, arg, older_than)
            command(*args, choice=chosen, **options)

        with_options: Callable[..., Any] = wrapped
        for option in reversed(_options(states)):
            with_options = option(with_options)
        return with_options

    return add


def _options(states: tuple[JobState, ...]) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    state = click.option(
        "--state", type=click.Choice([one.value for one in states]), help="Only jobs in this state."
    )
    return [
        *([state] if len(states) > 1 else []),
        click.option("-f", "--function", metavar="NAME", help="Only jobs of this function."),
        click.option("--id-prefix", default="", metavar="TEXT", help="Only jobs whose ids begin so."),
        click.option(
            "--arg", default="", metavar="TEXT", help="Only jobs with this in their arguments as shown."
        ),
        click.option(
            "--older-than",
            type=Span(),
            help="Only jobs that were enqueued, or if they are done finished, so long ago: 90, 15m, 2h, 7d.",
        ),
    ]


def with_list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that lists jobs: `limit` and `cursor`."""
    for option in (
        click.option(
            "--cursor",
            default="",
            metavar="TEXT",
            help="Go on behind an earlier list: as that one has said.",
        ),
        click.option(
            "-n",
            "--limit",
            type=click.IntRange(1),
            default=100,
            metavar="N",
            help="Jobs to list at most.  [default: 100]",
        ),
    ):
        command = option(command)
    return command
