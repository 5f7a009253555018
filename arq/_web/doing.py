"""Deeds on the server, or on the servers, that have what they are about; and what became of them."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from .._admin.fan_out import AllAwayError, away_line, of_each
from .._admin.merging import best_deed
from .._admin.running import now_ms
from ..admin import Admin, Deed, ListedJob
from .actions import Action
from .chosen import Filtered
from .lookups import Lookups
from .servers import Server

Answer = TypeVar("Answer")

#: Seconds for which jobs of a filter are acted on in one go, jobs of one step, and those that are told one by one.
_LONGEST_S, _STEP, FEW = 20.0, 100, 20


@dataclass
class Outcome:
    """What became of it.

    Attributes:
        deeds: of the first ones.
        counts: of all.
        is_cut: there are more: time was up.
        away: name of a server -> why nothing was done there.
        left: jobs, queues, ... that were left as they are for that.
    """

    deeds: list[tuple[str, Deed, str]] = field(default_factory=list)
    counts: Counter[Deed] = field(default_factory=Counter)
    is_cut: bool = False
    away: dict[str, str] = field(default_factory=dict)
    left: int = 0

    def add(self, names: Sequence[str], deeds: Sequence[Deed], detail: str = "") -> None:
        """Some more."""
        room = max(0, FEW - len(self.deeds))
        self.deeds += [(name, deed, detail) for name, deed in zip(names[:room], deeds, strict=False)]
        self.counts.update(deeds)

    @property
    def lines(self) -> list[str]:
        """What is to be said of servers that are away."""
        return [away_line(name, why) for name, why in self.away.items()]


class Doing:
    """Acts on servers.

    Args:
        servers: by name; one server has the name ''.
        by: who acts.
        action: what is done.
        queue: of which queue.
    """

    def __init__(self, servers: Mapping[str, Server], by: str, action: Action, queue: str) -> None:
        self._servers = servers
        self._by = by
        self._action = action
        self._queue = queue
        self.outcome = Outcome()

    async def do_jobs(self, jobs: Sequence[ListedJob]) -> None:
        """With jobs that are named: each on its server; where nobody knows which that is, on the one that has it."""
        by_server: dict[str, list[ListedJob]] = {}
        for job in jobs:
            by_server.setdefault(job.server, []).append(job)
        for name, part in by_server.items():
            names = [name] if name in self._servers else list(self._servers)
            answers = await self._at(names, self._with_jobs(part))
            if answers:
                deeds = [best_deed(column) for column in zip(*answers.values(), strict=True)]
                self._add_known([job.job_id for job in part], deeds)
            else:
                self.outcome.left += len(part)

    def _add_known(self, names: Sequence[str], deeds: Sequence[Deed]) -> None:
        """What is not found while a server is away may be there."""
        is_known = [not (self.outcome.away and deed is Deed.unknown) for deed in deeds]
        self.outcome.add(
            [name for name, known in zip(names, is_known, strict=True) if known],
            [deed for deed, known in zip(deeds, is_known, strict=True) if known],
        )
        self.outcome.left += is_known.count(False)

    def _with_jobs(self, jobs: list[ListedJob]) -> Callable[[Admin], Awaitable[list[Deed]]]:
        async def act(admin: Admin) -> list[Deed]:
            async with admin.as_one(self._action.trail, self._queue, len(jobs)):
                return await _do_jobs(admin, self._action, jobs, self._queue)

        return act

    async def do_named(self, names: Sequence[str], note: str) -> None:
        """With queues, schedules or workers that are named, on all servers."""
        for one in names:
            answers = await self._at(list(self._servers), self._with_one(one, note))
            if not answers:
                self.outcome.left += 1
                continue
            best = best_deed(deed for deed, _ in answers.values())
            details = [detail for deed, detail in answers.values() if deed is best and detail]
            self.outcome.add([one], [best], ", ".join(details))

    def _with_one(self, name: str, note: str) -> Callable[[Admin], Awaitable[tuple[Deed, str]]]:
        return lambda admin: _do_named(admin, self._action, name, self._queue, note)

    async def do_filtered(self, chosen: Filtered, planned: int) -> None:
        """With all that a filter fits, on each server.

        Args:
            planned: how many the question has told.
        """
        until_s = time.monotonic() + _LONGEST_S
        for name in self._servers:

            async def act(admin: Admin) -> None:
                async with admin.as_one(self._action.trail, chosen.queue, planned, "all that a filter fits"):
                    async for part in _parts(admin, self._action, chosen):
                        deeds = await _do_jobs(admin, self._action, part, chosen.queue)
                        self.outcome.add([job.job_id for job in part], deeds)
                        if time.monotonic() > until_s:
                            self.outcome.is_cut = True
                            return

            await self._at([name], act)
            if self.outcome.is_cut:
                return

    async def _at(self, names: Sequence[str], act: Callable[[Admin], Awaitable[Answer]]) -> dict[str, Answer]:
        """What these servers answer. What one server raises is raised if it is the only one."""

        async def on(lookups: Lookups) -> Answer:
            admin = Admin((await lookups.admin()).redis, by=self._by)
            return await act(admin if len(names) == 1 else admin._as_one_of_several())

        if len(self._servers) == 1:
            return {name: await on(one.lookups) for name, one in self._servers.items()}
        answers = await of_each({name: functools.partial(self._servers[name].act, on) for name in names})
        self.outcome.away |= answers.away
        return answers.found


def require_some(outcome: Outcome) -> None:
    """Refuse to call it done if nothing was, because servers are away.

    Raises:
        AllAwayError: so it is.
    """
    if outcome.away and not outcome.counts:
        raise AllAwayError("; ".join(outcome.lines))


async def counted_jobs(
    servers: Mapping[str, Server], chosen: Filtered, action: Action
) -> tuple[int, bool, dict[str, str]]:
    """How many jobs a filter fits, whether there may be more, and which servers are away."""

    async def count(lookups: Lookups) -> tuple[int, bool]:
        return await chosen.count(await lookups.admin(), action)

    found, away = await _of_each(servers, count)
    return sum(number for number, _ in found), any(least for _, least in found), away


async def first_clock(servers: Mapping[str, Server]) -> tuple[int, dict[str, str]]:
    """The clock of servers, unix ms, that of the one that is behind most; and which are away."""

    async def look(lookups: Lookups) -> int:
        return await now_ms((await lookups.admin()).redis)

    found, away = await _of_each(servers, look)
    return min(found), away


async def _of_each(
    servers: Mapping[str, Server], look: Callable[[Lookups], Awaitable[Answer]]
) -> tuple[list[Answer], dict[str, str]]:
    """What servers answer, at least one of them, and which are away."""
    if len(servers) == 1:
        (only,) = servers.values()
        return [await look(only.lookups)], {}
    answers = await of_each({name: functools.partial(one.act, look) for name, one in servers.items()})
    if not answers.found:
        raise AllAwayError("; ".join(away_line(name, why) for name, why in answers.away.items()))
    return list(answers.found.values()), answers.away


async def _parts(admin: Admin, action: Action, chosen: Filtered) -> AsyncIterator[list[ListedJob]]:
    """The jobs of a filter with which that can be done, some at a time."""
    async for found in chosen.pages(admin):
        jobs = [job for job in found if action.fits(job.state)]
        for first in range(0, len(jobs), _STEP):
            yield jobs[first : first + _STEP]


async def _do_jobs(admin: Admin, action: Action, jobs: list[ListedJob], queue: str) -> list[Deed]:
    if action.name == "abort":
        return [await admin.abort(job, queue) for job in jobs]
    if action.name in ("requeue", "requeue_once"):
        return await admin.requeue(jobs, queue, tries=1 if action.name == "requeue_once" else None)
    act = {"run_now": admin.run_now, "delete": admin.delete, "delete_dead": admin.delete_dead}[action.name]
    return await act(jobs, queue)


async def _do_named(admin: Admin, action: Action, name: str, queue: str, note: str) -> tuple[Deed, str]:
    """With a queue, a schedule or a worker; and more about it."""
    if action.of == "worker":
        word = cast("Literal['quiet', 'resume', 'stop']", action.name.removeprefix("worker_"))
        return await admin.tell(name, word, wait=0), ""
    if action.name == "pause":
        await admin.pause(name, note=note)
        return Deed.done, ""
    if action.name == "resume":
        return (Deed.done if await admin.resume(name) else Deed.over), ""
    if action.name == "cron_run":
        job_id = await admin.run_cron(name, queue)
        return (Deed.unknown, "") if job_id is None else (Deed.done, f"as {job_id}")
    act: Any = {"cron_pause": admin.pause_cron, "cron_resume": admin.resume_cron}[action.name]
    return await act(name, queue), ""
