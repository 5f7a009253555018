"""Lists of jobs of one server: what is wanted, and a page of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .._keys import check_queue_name
from ..utils import to_ms
from . import dead, listing
from .filters import Filter
from .records import JobPage, JobState

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs.

    Attributes:
        queue: of which queue.
        state: None: all that are in the queue.
        filter: what they must have besides.
    """

    queue: str
    state: JobState | None
    filter: Filter


def wanted_jobs(
    queue: str,
    *,
    state: JobState | str | None = None,
    function: str | None = None,
    id_prefix: str = "",
    arg: str = "",
    older_than: float | timedelta | None = None,
) -> Wanted:
    """Which jobs these words mean, see `arq.admin.Admin.jobs`.

    Raises:
        ValueError: there is no such state, or that can't be a queue.
    """
    check_queue_name(queue)
    older_than_ms = None if older_than is None else to_ms(older_than)
    wanted_state = None if state is None else _state(state)
    return Wanted(queue, wanted_state, Filter(function, id_prefix, arg, older_than_ms))


def _state(given: JobState | str) -> JobState:
    try:
        return JobState(given)
    except ValueError:
        raise ValueError(f"there is no state {given!r}: {', '.join(JobState)}") from None


async def page_of(
    redis: Redis, wanted: Wanted, cursor: str, limit: int, scan_limit: int
) -> tuple[JobPage, list[list[Any]]]:
    """A page, and for each of its jobs the position behind it, see `listing.write_cursor`.

    Args:
        cursor: of the page before; '': the first one.
        limit: jobs at most.
        scan_limit: entries to look at.

    Raises:
        ValueError: the cursor is none of such a list.
    """
    search = listing.Search(redis, wanted.queue, wanted.state, wanted.filter, limit, scan_limit)
    make = dead.dead_page if wanted.state is JobState.dead else listing.PAGES[wanted.state]
    return await make(search, cursor), search.positions


class OneList:
    """A list of jobs of one server, page by page.

    Args:
        redis: the server.
        wanted: which jobs.
        cursor: of the page before.
    """

    away: Mapping[str, str] = {}

    def __init__(self, redis: Redis, wanted: Wanted, cursor: str) -> None:
        self._redis = redis
        self._wanted = wanted
        self._cursor = cursor

    async def next(self, limit: int, scan_limit: int) -> JobPage:
        """Its next jobs, see `page_of`."""
        page, _ = await page_of(self._redis, self._wanted, self._cursor, limit, scan_limit)
        self._cursor = page.cursor
        return page
