"""Lists of jobs that take time: each is looked for once, however many wait for it, and pages show how far it has come.

A filter by function or arguments reads payloads, and results are in no list of Redis's. Such a search goes on by
itself, with pauses, so that pages for others come as fast as ever; a page waits for it a moment only.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..admin import JobPage, ListedJob

#: Entries that one search looks at, and one step of it.
_MOST, _STEP = 100_000, 1000
#: Seconds that a page waits, that what was found is kept at least, and a search may take at most.
_WAIT_S, _LIFE_S, _LONGEST_S = 0.04, 3.0, 60.0
#: What was found is kept so many times as long as it took to find it.
_LIFE_FACTOR, _LONGEST_LIFE_S = 10, 60.0
#: Searches at the same time, and results that are kept.
_AT_A_TIME, _MOST_KEPT = 2, 20


class JobList(Protocol):
    """A list of jobs, page by page.

    Attributes:
        away: name of a server -> why none of its jobs are in it.
    """

    @property
    def away(self) -> Mapping[str, str]: ...

    async def next(self, limit: int, scan_limit: int) -> JobPage:
        """Its next jobs, see `Admin.jobs`."""


@dataclass
class Search:
    """One page of jobs that is looked for."""

    jobs_of: JobList
    limit: int
    jobs: list[ListedJob] = field(default_factory=list)
    cursor: str = ""
    looked_at: int = 0
    now_ms: int = 0
    begun_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None
    task: asyncio.Task[None] | None = None

    def found(self) -> tuple[JobPage, bool]:
        """What there is so far, and whether it is still looked for."""
        if self.task is not None and self.task.done() and not self.task.cancelled():
            self.task.result()
        is_running = self.ended_s is None
        is_cut = not is_running and bool(self.cursor) and len(self.jobs) < self.limit
        cursor = "" if is_running else self.cursor
        return JobPage(list(self.jobs), cursor, self.looked_at, is_cut, self.now_ms), is_running

    @property
    def is_old(self) -> bool:
        """Whether it is time to look anew."""
        if self.ended_s is None:
            return self.task is not None and self.task.done()  # it has failed
        life_s = min(max(_LIFE_S, _LIFE_FACTOR * (self.ended_s - self.begun_s)), _LONGEST_LIFE_S)
        return time.monotonic() - self.ended_s > life_s

    async def run(self, turns: asyncio.Semaphore) -> None:
        """Look until the page is full, nothing is left, or it is enough."""
        async with turns, asyncio.timeout(_LONGEST_S):
            while True:
                step_began_s = time.monotonic()
                page = await self.jobs_of.next(self.limit - len(self.jobs), _STEP)
                self.jobs += page.jobs
                self.looked_at += page.looked_at
                self.cursor, self.now_ms = page.cursor, page.now_ms or self.now_ms
                if not page.cursor or len(self.jobs) >= self.limit or self.looked_at >= _MOST:
                    break
                await asyncio.sleep(2 * (time.monotonic() - step_began_s))  # most of the time is for others
        self.ended_s = time.monotonic()


class Searches:
    """The searches of a dashboard."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Search] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def look(self, key: Hashable, limit: int, make: Callable[[], JobList]) -> Search:
        """What was found so far.

        Args:
            key: what is looked for: those who look for the same share it.
            limit: jobs at most.
            make: makes the list.

        Raises:
            ValueError: as of `make`.
        """
        for old in [key for key, search in self._kept.items() if search.is_old]:
            del self._kept[old]
        search = self._kept.get(key)
        if search is None:
            search = self._kept[key] = Search(make(), limit)
            search.task = asyncio.create_task(search.run(self._turns))
            search.task.add_done_callback(_note_end)
            self._make_room()
        if search.task is not None and not search.task.done():
            await asyncio.wait([search.task], timeout=_WAIT_S)
        return search

    def _make_room(self) -> None:
        while len(self._kept) > _MOST_KEPT:
            _, oldest = self._kept.popitem(last=False)
            if oldest.task is not None:
                oldest.task.cancel()

    def forget(self) -> None:
        """Look anew: something was done."""
        for search in self._kept.values():
            if search.task is not None:
                search.task.cancel()
        self._kept.clear()


def _note_end(task: asyncio.Task[None]) -> None:
    """What it has failed of is told by `Search.found`."""
    if not task.cancelled():
        task.exception()
