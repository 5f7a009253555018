"""Several servers, or several prefixes of a cluster, that hold one queue together.

    async with ArqShards([RedisSettings("redis1"), RedisSettings("redis2")]) as shards:
        job = await shards.enqueue_job("send_mail", 42)

Which server a job is on follows from its id, so whoever knows the id and the servers finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from time import monotonic
from typing import Any, Literal, Self, TypeVar
from uuid import uuid4

from redis.exceptions import RedisError

from ._enqueue import JobCall, as_call
from ._option_types import one_of
from ._redis.rendezvous import SeveralServers, home
from ._redis.shard_settings import named_settings
from .connections import ArqRedis, RedisSettings, unconnected
from .constants import default_queue_name
from .jobs import Job, JobDef, JobResult

__all__ = ["ArqShards"]

Answer = TypeVar("Answer")

#: Seconds for which jobs without an id are kept away from a server that could not be reached.
_AVOIDED_S = 5.0


class ArqShards(SeveralServers):
    """A queue on several servers: each job is on one of them.

    A client of each server is made at once and connects when it is first used, so a server that is away hinders nobody
    but those who want something of it. What else the client of a server (`ArqRedis`) can do is at `clients`.

    Args:
        settings: one for each server. Servers are told apart by where they are (host, port, database, prefix), and it
            does not matter in which order they stand; in a dict by the names that are its keys, so that they may move
            to other addresses. The same for all producers and workers.
        on_shard_down: what becomes of a job for which no id is given while the server of the id that it would get can't
            be reached: 'fail': the error is raised; 'next': it gets an id of another server. If the answer of the first
            one was lost, the job may run twice. Default: 'fail'.
        default_queue_name: queue of jobs that name none. Default: 'arq:queue'.
        options: further ones of `create_pool`, for all servers.

    Attributes:
        names: of the servers.
        clients: name -> `ArqRedis`.

    Raises:
        TypeError, ValueError: the settings are none, or two are the same.
    """

    def __init__(
        self,
        settings: Sequence[RedisSettings] | Mapping[str, RedisSettings],
        *,
        on_shard_down: Literal["fail", "next"] = "fail",
        default_queue_name: str = default_queue_name,
        **options: Any,
    ) -> None:
        self.shard_settings = named_settings(settings)
        self.names = tuple(self.shard_settings)
        self.on_shard_down = one_of("on_shard_down", on_shard_down, ("fail", "next"))
        self.default_queue_name = default_queue_name
        self.clients: dict[str, ArqRedis] = {
            name: unconnected(one, default_queue_name=default_queue_name, **options)
            for name, one in self.shard_settings.items()
        }
        self._avoided_until_s = dict.fromkeys(self.names, 0.0)

    def name_of(self, job_id: str) -> str:
        """Name of the server that has, or would have, the job with this id."""
        return self.names[home(self.names, job_id)]

    def client_of(self, job_id: str) -> ArqRedis:
        """The client of that server."""
        return self.clients[self.name_of(job_id)]

    def job(self, job_id: str, *, queue_name: str | None = None) -> Job:
        """A reference to a job, as `Job(job_id, shards)`."""
        return Job(job_id, self.client_of(job_id), _queue_name=queue_name or self.default_queue_name)

    async def enqueue_job(
        self, function: str, *args: Any, _job_id: str | None = None, **kwargs: Any
    ) -> Job | None:
        """Enqueue a job on the server of its id; arguments, answer and errors as those of `ArqRedis.enqueue_job`.

        Raises:
            redis.exceptions.RedisError: the server can't be reached or refuses; with `on_shard_down='next'` none of the
                servers takes a job without an id.
        """
        if _job_id is not None:
            return await self.client_of(_job_id).enqueue_job(function, *args, _job_id=_job_id, **kwargs)

        async def enqueue(client: ArqRedis, job_id: str) -> Job | None:
            job = await client.enqueue_job(function, *args, _job_id=job_id, **kwargs)
            # Nobody else has this id: if it was there, the command was repeated after a lost connection.
            return job or self.job(job_id, queue_name=kwargs.get("_queue_name"))

        return await self._with_new_id(enqueue)

    async def enqueue_jobs(self, jobs: Iterable[JobCall | tuple[Any, ...] | str]) -> list[Job | None]:
        """Enqueue many jobs, those of each server together; as `ArqRedis.enqueue_jobs`.

        Raises:
            redis.exceptions.RedisError: a server can't be reached or refuses; the jobs of the others are enqueued.
        """
        calls = [as_call(job) for job in jobs]
        by_name: dict[str, list[int]] = {name: [] for name in self.names}
        is_new = [call.options[0] is None for call in calls]
        for number, call in enumerate(calls):
            name = self._name_for_new() if is_new[number] else self.name_of(str(call.options[0]))
            if is_new[number]:
                call.options = (self._new_id(name), *call.options[1:])
            by_name[name].append(number)
        found: dict[int, Job | None] = {}

        async def enqueue(name: str) -> None:
            numbers = by_name[name]
            if numbers:
                enqueued = await self.clients[name].enqueue_jobs([calls[n] for n in numbers])
                found.update(zip(numbers, enqueued, strict=True))

        await self._of_each(enqueue)
        return [
            found[n] or (self.job(str(call.options[0]), queue_name=call.options[1]) if is_new[n] else None)
            for n, call in enumerate(calls)
        ]

    async def queued_jobs(self, *, queue_name: str | None = None) -> list[JobDef]:
        """The jobs of the queue on all servers, see `ArqRedis.queued_jobs`.

        Raises:
            redis.exceptions.RedisError: one of the servers can't be reached or refuses.
        """
        found = await self._of_each(lambda name: self.clients[name].queued_jobs(queue_name=queue_name))
        return sorted((job for jobs in found for job in jobs), key=attrgetter("score"))

    async def all_job_results(self) -> list[JobResult]:
        """The results on all servers, see `ArqRedis.all_job_results`.

        Raises:
            redis.exceptions.RedisError: one of the servers can't be reached or refuses.
        """
        found = await self._of_each(lambda name: self.clients[name].all_job_results())
        return sorted((result for results in found for result in results), key=attrgetter("enqueue_time"))

    async def aclose(self) -> None:
        """Close all clients."""
        for client in self.clients.values():
            await client.aclose(close_connection_pool=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<arq.shards.ArqShards {', '.join(self.names)}>"

    # --- jobs without an id -----------------------------------------------------------------------------------------

    async def _with_new_id(self, enqueue: Callable[[ArqRedis, str], Awaitable[Answer]]) -> Answer:
        """Do it with a new id; if its server is away, perhaps with one of another server."""
        failed: set[str] = set()
        while True:
            name = self._name_for_new(failed)
            try:
                return await enqueue(self.clients[name], self._new_id(name))
            except (RedisError, OSError):
                failed.add(name)
                self._avoided_until_s[name] = monotonic() + _AVOIDED_S
                if self.on_shard_down == "fail" or len(failed) == len(self.names):
                    raise

    def _name_for_new(self, failed: Iterable[str] = ()) -> str:
        """Where the next job without an id goes: by chance, but not where it has failed, nor others lately."""
        names = [name for name in self.names if name not in failed]
        if self.on_shard_down == "next":
            now_s = monotonic()
            names = [name for name in names if self._avoided_until_s[name] < now_s] or names
        return names[uuid4().int % len(names)]

    def _new_id(self, name: str) -> str:
        """A random id of this server: one in so many as there are servers is."""
        while True:
            job_id = uuid4().hex
            if self.name_of(job_id) == name:
                return job_id

    async def _of_each(self, ask: Callable[[str], Awaitable[Answer]]) -> list[Answer]:
        """Ask all servers at the same time; an error of one is raised when all have answered."""
        answers = await asyncio.gather(*map(ask, self.names), return_exceptions=True)
        for name, answer in zip(self.names, answers, strict=True):
            if isinstance(answer, BaseException):
                answer.add_note(f"shard {name}")
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]
