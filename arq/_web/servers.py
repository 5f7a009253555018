"""The servers of a dashboard: one, or several that hold the same queues; and what the pages show of several at once."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from starlette.exceptions import HTTPException

from .._admin import merging
from .._admin.fan_out import AWAY, AllAwayError, AwayError, away_line, of_each, why_away
from .._admin.job_lists import wanted_jobs
from .._admin.merged_jobs import MergedJobs
from .._payloads.keyring import Keyring
from .._redis.raw_commands import ask
from .._redis.shard_settings import is_several, named_settings
from ..admin import AuditNote, CronSchedule, Fleet, JobDetails, JobPage, Overview, PoolReport, QueueStats
from ..connections import RedisSettings
from ..shards import ArqShards
from .lookups import LISTED, Answers, FoundJob, Lookups, is_search
from .searches import Searches

Answer = TypeVar("Answer")

#: Seconds that a page waits for one of several servers, and for one that was away a moment ago.
_PATIENCE_S, _SHORT_S = 4.0, 0.1
#: Seconds that a deed may take on one of them.
_LONGEST_DEED_S = 30.0
#: Seconds between two looks whether a server is back.
_AGAIN_S = 1.0


class Server:
    """One of several servers. One that is away is waited for by one page: others are told at once, until it is back.

    Args:
        name: its name.
        lookups: what is asked of it.
    """

    def __init__(self, name: str, lookups: Lookups) -> None:
        self.name = name
        self.lookups = lookups
        self._problem = ""
        self._looked_s = 0.0
        self._look: asyncio.Task[None] | None = None

    async def ask(self, question: Callable[[Lookups], Awaitable[Answer]]) -> Answer:
        """Ask it.

        Raises:
            Exception: it is away, see `fan_out.AWAY`.
        """
        return await self.act(question, _PATIENCE_S)

    async def act(
        self, deed: Callable[[Lookups], Awaitable[Answer]], patience_s: float = _LONGEST_DEED_S
    ) -> Answer:
        """Do something there, which may take long, if the server is not known to be away.

        Raises:
            Exception: as of `ask`.
        """
        if self._problem and not await self._is_back():
            raise AwayError(self._problem)
        try:
            async with asyncio.timeout(patience_s):
                return await deed(self.lookups)
        except ResponseError:  # it has only refused this
            raise
        except AWAY as exc:
            self._problem = why_away(exc)
            raise AwayError(self._problem) from exc

    async def _is_back(self) -> bool:
        """Look whether it answers, now and then; a page waits for a moment only."""
        if self._look is None or (self._look.done() and time.monotonic() - self._looked_s > _AGAIN_S):
            self._looked_s = time.monotonic()
            self._look = asyncio.create_task(self._try())
        await asyncio.wait([self._look], timeout=_SHORT_S)
        return not self._problem

    async def _try(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await ask((await self.lookups.admin()).redis, "PING")
        except AWAY as exc:
            self._problem = why_away(exc)
        else:
            self._problem = ""

    async def close(self) -> None:
        """Close the connection."""
        if self._look is not None:
            self._look.cancel()
        await self.lookups.close()


def servers_of(given: Any, queues: Sequence[str], signing: Keyring | None) -> Servers:
    """The servers of a dashboard, not connected so far.

    Args:
        given: see `arq.web.dashboard`.
        queues, signing: see `Lookups`.

    Raises:
        TypeError, ValueError: there are none, or two are the same; the address of one is wrong.
    """
    if isinstance(given, ArqShards):
        each: Mapping[str, Any] = given.clients
    elif isinstance(given, Mapping) and any(isinstance(one, Redis) for one in given.values()):
        each = given
    elif is_several(given):
        each = {
            name: replace(one, conn_retries=0)  # pages do not wait for one that is away
            for name, one in named_settings(_with_addresses_read(given)).items()
        }
    else:
        return Servers({"": Lookups(given, queues, signing)})
    return Servers({name: Lookups(one, queues, signing) for name, one in each.items()})


def _with_addresses_read(given: Any) -> Any:
    def read(one: Any) -> Any:
        return RedisSettings.from_dsn(one) if isinstance(one, str) else one

    if isinstance(given, Mapping):
        return given if "host" in given else {name: read(one) for name, one in given.items()}
    return [read(one) for one in given] if isinstance(given, list | tuple) else given


class Servers:
    """The servers of a dashboard.

    Args:
        each: by name; one server has the name ''.
    """

    def __init__(self, each: Mapping[str, Lookups]) -> None:
        self.each = {name: Server(name, lookups) for name, lookups in each.items()}
        self.answers = Answers()
        self.searches = Searches()

    @property
    def names(self) -> list[str]:
        """Those of several servers; one has none."""
        return list(self.each) if len(self.each) > 1 else []

    def chosen(self, name: str) -> dict[str, Server]:
        """The server of this name, or all for ''.

        Raises:
            HTTPException: there is none.
        """
        if not name or not self.names:
            return self.each
        if name not in self.each:
            raise HTTPException(404, f"there is no server {name!r}: {', '.join(self.each)}")
        return {name: self.each[name]}

    def looking(self, name: str = "") -> Lookups | MergedLookups:
        """What answers questions about the server of this name, or about all."""
        if not self.names:
            return next(iter(self.each.values())).lookups
        return MergedLookups(self.chosen(name), self.searches)

    def forget(self) -> None:
        """Ask anew: something was done."""
        self.answers.forget()
        self.searches.forget()
        for server in self.each.values():
            server.lookups.forget()

    async def close(self) -> None:
        """Close all connections."""
        self.searches.forget()
        for server in self.each.values():
            await server.close()


class MergedLookups:
    """What `Lookups` answers of one server, of several: for one page.

    Attributes:
        away: name of a server -> why there is nothing of it.
    """

    def __init__(self, servers: Mapping[str, Server], searches: Searches) -> None:
        self._servers = servers
        self._searches = searches
        self.away: dict[str, str] = {}

    @property
    def first_queue(self) -> str:
        """The one that is shown where none is named."""
        return next(iter(self._servers.values())).lookups.first_queue

    async def _of_each(self, question: Callable[[Lookups], Awaitable[Answer]]) -> dict[str, Answer]:
        asks = {name: functools.partial(one.ask, question) for name, one in self._servers.items()}
        answers = await of_each(asks)
        return self._unless_all(answers.found, answers.away)

    def _unless_all(self, found: Answer, away: Mapping[str, str]) -> Answer:
        self.away |= away
        if len(away) == len(self._servers):
            raise AllAwayError("; ".join(away_line(name, why) for name, why in away.items()))
        return found

    async def queues(self) -> list[str]:
        """Names of queues."""
        found = await self._of_each(Lookups.queues)
        return list(dict.fromkeys(name for names in found.values() for name in names))

    async def overviews(self) -> dict[str, Overview]:
        """Each server at a glance."""
        return await self._of_each(Lookups.overview)

    async def overview(self) -> Overview:
        """All queues and workers at a glance."""
        return merging.sum_overviews(await self.overviews())

    async def jobs(
        self, queue: str, limit: int, cursor: str, *, state: str | None, **wanted: Any
    ) -> tuple[JobPage, bool]:
        """A page of jobs of all servers, and whether it is still being looked for.

        Raises:
            ValueError: as of `Admin.jobs`.
        """
        found = wanted_jobs(queue, state=state, **wanted)

        def make() -> MergedJobs:
            return MergedJobs({name: _Asker(one) for name, one in self._servers.items()}, found, cursor)

        if is_search(state, wanted):
            key = (*self._servers, limit, cursor, found)
            search = await self._searches.look(key, limit, make)
            return self._unless_all(search.found(), search.jobs_of.away)
        jobs = make()
        page = await jobs.next(limit, LISTED * len(self._servers))
        return self._unless_all((page, False), jobs.away)

    async def job(self, job_id: str, queue: str, *, whole: bool, only_dead: bool) -> FoundJob:
        """All that is known of a job, wherever it is."""
        found = await self._of_each(
            lambda lookups: lookups.job(job_id, queue, whole=whole, only_dead=only_dead)
        )
        name = merging.best_server({name: one.details for name, one in found.items()})
        if not name:
            return FoundJob(None, None)
        others = [other for other, one in found.items() if other != name and one.details is not None]
        return FoundJob(_on(name, found[name].found), _on(name, found[name].buried), others)

    async def stats(self, queue: str, since_s: int, function: str | None = None) -> QueueStats:
        """What workers have counted."""
        found = await self._of_each(lambda lookups: lookups.stats(queue, since_s, function))
        return merging.sum_stats(list(found.values()))

    async def fleet(self) -> tuple[Fleet, list[PoolReport]]:
        """The workers of all queues, and what supervisors say."""
        found = await self._of_each(Lookups.fleet)
        fleet = merging.merge_fleets({name: one for name, (one, _) in found.items()})
        return fleet, merging.merge_pools(pools for _, pools in found.values())

    async def pools(self) -> list[PoolReport]:
        """What supervisors say."""
        return merging.merge_pools((await self._of_each(Lookups.pools)).values())

    async def crons(self, queue: str) -> list[CronSchedule]:
        """The schedules of a queue."""
        return merging.merge_crons(await self._of_each(lambda lookups: lookups.crons(queue)))

    async def notes(self, limit: int, before: str, on: str = "") -> list[AuditNote]:
        """What operators have done, the newest first.

        Args:
            before: only what was done before the note of this id.
            on: the server of that note.
        """
        names = list(self._servers)
        place = names.index(on) if on in names else len(names)

        async def look(name: str, lookups: Lookups) -> list[AuditNote]:
            # of notes with the same id those of servers behind that one come after it
            return await lookups.notes(limit, _following(before) if names.index(name) > place else before)

        asks = {
            name: functools.partial(one.ask, functools.partial(look, name))
            for name, one in self._servers.items()
        }
        answers = await of_each(asks)
        return merging.merge_notes(self._unless_all(answers.found, answers.away), limit)

    async def server(self) -> dict[str, dict[str, str]]:
        """What each server says of itself."""
        found = await self._of_each(Lookups.server)
        return {name: facts[""] for name, facts in found.items()}


class _Asker:
    """Asks a server with a client."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        async def with_redis(lookups: Lookups) -> Answer:
            return await question((await lookups.admin()).redis)

        return await self._server.ask(with_redis)


def _on(name: str, details: JobDetails | None) -> JobDetails | None:
    return None if details is None else replace(details, job=replace(details.job, server=name))


def _following(note_id: str) -> str:
    """The id right behind this one; what is no id stays what it is."""
    time_ms, dash, number = note_id.partition("-")
    return f"{time_ms}-{int(number) + 1}" if dash and number.isdigit() else note_id
