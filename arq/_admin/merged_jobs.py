"""Lists of jobs of several servers as one list, in order of time.

Each server is asked for its share of a page, and again where that was not enough, so a page over several servers reads
few jobs more than it shows. The cursor has a place for each server: behind its last job that was shown.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .fan_out import of_each
from .job_lists import Wanted, page_of
from .listing import write_cursor
from .records import JobPage, JobState, ListedJob

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: So many more jobs than its share are asked of a server: ids are spread by chance.
_MORE = 5
_KIND = "several"

Answer = TypeVar("Answer")


class Asker(Protocol):
    """Asks one server something; what it raises when the server is away, `fan_out.of_each` knows."""

    async def __call__(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """The answer to the question, which gets a client."""


@dataclass
class _Source:
    """The list of one server from a place on.

    Attributes:
        cursor: where what is not shown begins; None: nothing is left.
        jobs: that were read and are not shown, with the positions behind them.
        following: where what was not read begins; None: there is nothing.
        is_cut: the server was not asked for more than it has looked at.
    """

    cursor: str | None
    jobs: deque[tuple[ListedJob, list[Any]]] = field(default_factory=deque)
    following: str | None = ""
    is_cut: bool = False
    shown: int = 0

    @property
    def is_hungry(self) -> bool:
        """Whether nobody knows which job is the next one."""
        return not self.jobs and self.following is not None

    def had(self, name: str, page: JobPage, positions: list[list[Any]]) -> None:
        """What the server has answered."""
        jobs = [replace(job, server=name) for job in page.jobs]
        self.jobs.extend(zip(jobs, positions, strict=True))
        self.following = page.cursor or None
        self.is_cut = page.is_cut
        if not self.jobs:
            self.cursor = self.following

    def take(self) -> ListedJob:
        """Its next job."""
        job, position = self.jobs.popleft()
        self.shown += 1
        self.cursor = write_cursor(position) if self.jobs else self.following
        return job


class MergedJobs:
    """A list over several servers; what was read and not given out is kept for the next page.

    Args:
        askers: name of each server -> what asks it.
        wanted: which jobs.
        cursor: of a page before.

    Attributes:
        away: name of a server -> why it has no jobs here.

    Raises:
        ValueError: the cursor is none of a list over several servers.
    """

    def __init__(self, askers: Mapping[str, Asker], wanted: Wanted, cursor: str) -> None:
        self._askers = askers
        self._wanted = wanted
        places = _read(cursor)
        self._sources = {name: _Source(places.get(name, "")) for name in askers}
        for source in self._sources.values():
            source.following = source.cursor
        self.away: dict[str, str] = {}

    async def next(self, limit: int, scan_limit: int) -> JobPage:
        """The next page.

        Args:
            limit: jobs at most.
            scan_limit: entries to look at, on all servers together.
        """
        jobs: list[ListedJob] = []
        share = min(limit, math.ceil(limit / len(self._sources)) + _MORE)
        looked_at = now_ms = 0
        for source in self._sources.values():
            source.is_cut = False
        while len(jobs) < limit:
            hungry = {name: source for name, source in self._present().items() if source.is_hungry}
            if any(source.is_cut for source in hungry.values()) or (hungry and looked_at >= scan_limit):
                break
            if hungry:
                pages = await self._ask(hungry, share, max(1, (scan_limit - looked_at) // len(hungry)))
                looked_at += sum(page.looked_at for page in pages)
                now_ms = max([now_ms, *(page.now_ms for page in pages)])
                continue
            first = self._first()
            if first is None:
                break
            jobs.append(first.take())
        cursor = self._cursor()
        return JobPage(jobs, cursor, looked_at, bool(cursor) and len(jobs) < limit, now_ms)

    async def _ask(self, hungry: Mapping[str, _Source], limit: int, scan_limit: int) -> list[JobPage]:
        """The pages of those servers that are not away."""

        async def ask(name: str) -> JobPage:
            source = hungry[name]
            page, positions = await self._askers[name](
                lambda redis: page_of(redis, self._wanted, source.following or "", limit, scan_limit)
            )
            source.had(name, page, positions)
            return page

        answers = await of_each({name: functools.partial(ask, name) for name in hungry})
        self.away |= answers.away
        return list(answers.found.values())

    def _present(self) -> dict[str, _Source]:
        return {name: one for name, one in self._sources.items() if name not in self.away or one.jobs}

    def _first(self) -> _Source | None:
        """The one whose next job comes first."""
        ready = [source for source in self._sources.values() if source.jobs]
        return min(ready, key=self._place, default=None)

    def _place(self, source: _Source) -> float:
        job = source.jobs[0][0]
        if self._wanted.state is JobState.done:  # in no order: as many of each
            return source.shown
        if self._wanted.state is JobState.dead:
            return -(job.finished_ms or 0)
        return (job.since_ms if self._wanted.state is JobState.running else job.due_ms) or 0

    def _cursor(self) -> str:
        """Where the next page begins; '' if there is none on those servers that are not away."""
        if not any(source.cursor is not None for source in self._present().values()):
            return ""
        places = {name: source.cursor for name, source in self._sources.items()}
        return base64.urlsafe_b64encode(json.dumps([_KIND, places]).encode()).decode().rstrip("=")


def _read(cursor: str) -> dict[str, str | None]:
    """The place on each server."""
    if not cursor:
        return {}
    try:
        kind, places = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if kind != _KIND or not all(one is None or isinstance(one, str) for one in places.values()):
            raise ValueError
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise ValueError(f"the cursor {cursor!r} is none of this list") from None
    found: dict[str, str | None] = places
    return found
