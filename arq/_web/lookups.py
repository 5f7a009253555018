"""What the pages show, from Redis: each question is asked once a second at most, however many look."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .._admin.job_lists import OneList, wanted_jobs
from .._admin.queues import some_queues
from .._admin.server import server_facts
from .._keys import check_queue_name
from .._payloads.keyring import Keyring
from ..admin import (
    Admin,
    AuditNote,
    CronSchedule,
    Fleet,
    JobDetails,
    JobPage,
    JobState,
    Overview,
    PoolReport,
    QueueStats,
)
from ..connections import RedisSettings, create_pool
from ..constants import default_queue_name
from .searches import Searches

if TYPE_CHECKING:
    from redis.asyncio import Redis

Answer = TypeVar("Answer")

#: Answers that are kept, and seconds for which they are at most.
_MOST_KEPT, _KEPT_S = 300, 30.0
#: Statistics of no more than so many seconds are looked at more often.
_SHORT_S = 3600
#: Seconds that Redis may take for one page.
PATIENCE_S = 8.0
#: Keys that are looked at for queues: at first, and each further second. A thousand take Redis a millisecond.
_FIRST_KEYS, _MORE_KEYS = 100_000, 2000
#: Entries that are looked at for a page without a filter: open pages ask again and again.
LISTED = 5000
#: Queues that are known at most, and that one overview shows.
_MOST_QUEUES, MOST_SHOWN = 10_000, 200


class Answers:
    """Answers that are some moments old; those who ask for the same at the same time wait for the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, asyncio.Future[Any]]] = OrderedDict()

    async def get(self, key: Hashable, life_s: float, make: Callable[[], Awaitable[Any]]) -> Any:
        """What `make` has answered not more than `life_s` ago."""
        now_s = time.monotonic()
        begun_s, answer = self._kept.get(key, (0.0, None))
        if answer is None or (answer.done() and (now_s - begun_s > life_s or _has_failed(answer))):
            answer = asyncio.ensure_future(make())
            answer.add_done_callback(_has_failed)  # its error is looked at, also if all who asked have gone
            self._kept[key] = now_s, answer
            self._kept.move_to_end(key)
            self._make_room(now_s)
        return await asyncio.shield(answer)

    def _make_room(self, now_s: float) -> None:
        """Answers that nobody has asked for lately go, and more of them where there are too many."""
        while self._kept:
            begun_s, _ = next(iter(self._kept.values()))
            if len(self._kept) <= _MOST_KEPT and now_s - begun_s < _KEPT_S:
                return
            self._kept.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        """Do not keep this one."""
        self._kept.pop(key, None)

    def forget(self) -> None:
        """Ask anew: something was done."""
        self._kept.clear()


def _has_failed(answer: asyncio.Future[Any]) -> bool:
    return answer.cancelled() or answer.exception() is not None


@dataclass(frozen=True, slots=True)
class FoundJob:
    """What is known of a job.

    Attributes:
        found: where it is, and what became of it; None: it is in no list but the dead set.
        buried: what the dead set keeps of it; None: it is not there.
        also_on: names of further servers that have a job of this id.
    """

    found: JobDetails | None
    buried: JobDetails | None
    also_on: Sequence[str] = ()

    @property
    def details(self) -> JobDetails | None:
        """What is shown: the result of a job that has failed says less than the dead set keeps of it."""
        if self.buried is not None and (self.found is None or self.found.job.state is JobState.done):
            return self.buried
        return self.found


def is_search(state: str | None, wanted: Mapping[str, Any]) -> bool:
    """Whether such a list takes time: it goes on by itself then."""
    return state == "done" or any(wanted[name] for name in ("function", "arg", "older_than", "id_prefix"))


class Lookups:
    """A Redis, and the queues in it.

    Args:
        redis: settings, an address, or a client.
        queues: which queues there are beside those that are found; the first one is shown where none is named.
        signing: the keys of the application, see `Admin.connect`; of a client that was given, its own are used.
    """

    def __init__(
        self, redis: RedisSettings | str | Redis, queues: Sequence[str], signing: Keyring | None = None
    ) -> None:
        self._redis = RedisSettings.from_dsn(redis) if isinstance(redis, str) else redis
        for queue in queues:
            check_queue_name(queue)
        self._named = list(dict.fromkeys(queues or [default_queue_name]))
        self._signing = signing
        self._found: set[str] = set()
        self._cursor, self._is_first_look = 0, True
        self._admin: Admin | None = None
        self._connecting: asyncio.Lock | None = None
        self.answers = Answers()
        self._searches = Searches()
        #: Nothing of it: what there is to say of servers that are away is said of several.
        self.away: dict[str, str] = {}

    @property
    def first_queue(self) -> str:
        """The one that is shown where none is named."""
        return self._named[0]

    async def admin(self) -> Admin:
        """Connected at the first request: an application that is mounted is told neither of its start nor of its end.

        Raises:
            redis.exceptions.RedisError, OSError: Redis can't be reached.
        """
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._admin is None:
                if isinstance(self._redis, RedisSettings):
                    self._admin = Admin(await create_pool(self._redis, signing=self._signing))
                else:
                    self._admin = Admin(self._redis)
        return self._admin

    async def close(self) -> None:
        """Close the connection, if it is of our own making."""
        self._searches.forget()
        admin, self._admin = self._admin, None
        if admin is not None and isinstance(self._redis, RedisSettings):
            await admin.redis.aclose(close_connection_pool=True)

    async def queues(self) -> list[str]:
        """Names of queues: those that were named, and those that are found."""
        return await self._once("queues", 1.0, self._look_for_queues)

    async def _look_for_queues(self) -> list[str]:
        admin = await self.admin()
        most = _FIRST_KEYS if self._is_first_look else _MORE_KEYS
        self._cursor, names = await some_queues(admin.redis, self._cursor, most)
        self._is_first_look = False
        if len(self._found) < _MOST_QUEUES:
            self._found |= names
        return [*self._named, *sorted(self._found - set(self._named))]

    async def overview(self) -> Overview:
        """All queues and workers at a glance."""
        return await self._once("overview", 1.0, self._look)

    async def overviews(self) -> dict[str, Overview]:
        """The same of each of several servers: of none, here."""
        return {}

    async def _look(self) -> Overview:
        admin = await self.admin()
        return await admin.overview((await self.queues())[:MOST_SHOWN])

    async def jobs(
        self, queue: str, limit: int, cursor: str, *, state: str | None, **wanted: Any
    ) -> tuple[JobPage, bool]:
        """A page of jobs, see `Admin.jobs`; and whether it is still being looked for.

        Raises:
            ValueError: as of `Admin.jobs`.
        """
        found = wanted_jobs(queue, state=state, **wanted)
        redis = (await self.admin()).redis
        if is_search(state, wanted):
            search = await self._searches.look(
                (limit, cursor, found), limit, lambda: OneList(redis, found, cursor)
            )
            return search.found()
        async with asyncio.timeout(PATIENCE_S):
            return await OneList(redis, found, cursor).next(limit, LISTED), False

    async def job(self, job_id: str, queue: str, *, whole: bool, only_dead: bool) -> FoundJob:
        """All that is known of a job.

        Args:
            whole: with long texts.
            only_dead: look for it in the dead set only.

        Raises:
            ValueError: that can be no id.
        """
        admin = await self.admin()
        found = None if only_dead else await admin.job(job_id, queue, whole=whole)
        return FoundJob(found, await admin.dead_job(job_id, queue, whole=whole))

    async def notes(self, limit: int, before: str, _on: str = "") -> list[AuditNote]:
        """What operators have done, see `Admin.audit`.

        Raises:
            ValueError: as of that.
        """
        return await (await self.admin()).audit(limit=limit, before=before)

    def forget(self) -> None:
        """Ask anew: something was done."""
        self.answers.forget()
        self._searches.forget()

    async def stats(self, queue: str, since_s: int, function: str | None = None) -> QueueStats:
        """What workers have counted. They write every 10 s."""
        admin, life_s = await self.admin(), 3.0 if since_s <= _SHORT_S else 10.0
        key = ("stats", queue, since_s, function)
        return await self._once(key, life_s, lambda: admin.stats(queue, since=since_s, function=function))

    async def fleet(self) -> tuple[Fleet, list[PoolReport]]:
        """The workers of all queues, and what supervisors say."""
        admin = await self.admin()

        async def look() -> tuple[Fleet, list[PoolReport]]:
            queues = (await self.queues())[:MOST_SHOWN]
            return await admin.workers(queues), await admin.pools()

        return await self._once("fleet", 2.0, look)

    async def _once(self, key: Hashable, life_s: float, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """What was asked not more than `life_s` ago, or is asked now."""

        async def look() -> Answer:
            async with asyncio.timeout(PATIENCE_S):
                return await make()

        found: Answer = await self.answers.get(key, life_s, look)
        return found

    async def pools(self) -> list[PoolReport]:
        """What supervisors say."""
        admin = await self.admin()
        return await self._once("pools", 2.0, admin.pools)

    async def crons(self, queue: str) -> list[CronSchedule]:
        """The schedules of a queue."""
        admin = await self.admin()
        return await self._once(("crons", queue), 1.0, lambda: admin.crons(queue))

    async def server(self) -> dict[str, dict[str, str]]:
        """What the server says of itself, under its name, which is '' here; empty if its user may not ask."""
        admin = await self.admin()
        return {"": await self._once("server", 5.0, lambda: server_facts(admin.redis))}
