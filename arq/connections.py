"""The connection to Redis, and everything a producer does with it."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import AuthenticationError, RedisError, WatchError

from . import _scripts
from ._ask import ask, members_with_scores
from ._batch import Batcher, send_apart
from ._blocking import PatientRedis
from ._keys import check_job_id, check_queue_name, job_key
from ._lane import ANSWER_S, Lane
from ._looks import Looks
from ._names import elsewhere
from ._pools import pool_of
from ._probe import log_redis_info, probe
from ._redis_settings import (
    RedisSettings,
    address,
    call_retry,
    client_options,
    has_unchecked_name,
    sentinel_options,
    settings_or_default,
)
from ._refusals import is_lost
from ._salvage import read_job, read_result, unread_job, unread_result
from ._servers import is_refusal
from ._sizes import ALWAYS_TAKEN, MOST_ITEMS, Pages, SizeLimit, fitting, too_large
from ._text import printable
from ._types import SecondsTimedelta
from .constants import default_queue_name, expires_extra_ms, result_key_prefix
from .jobs import (
    DeserializationError,
    Deserializer,
    Job,
    JobDef,
    JobResult,
    SerializationError,
    Serializer,
    serialize_job,
)
from .utils import LONGEST_MS, LONGEST_S, args_to_string, timestamp_ms, to_ms, to_seconds, to_unix_ms

__all__ = ["ArqRedis", "JobCall", "RedisSettings", "WatchError", "create_pool", "log_redis_info"]

logger = logging.getLogger("arq.connections")

if not TYPE_CHECKING:

    def __getattr__(name):
        return elsewhere(__name__, name)


#: Whether a job was enqueued, or why that is not known.
_Accepted = bool | Exception
#: `_job_id`, `_queue_name`, `_defer_until`, `_defer_by`, `_expires`, `_job_try`
_Options = tuple[
    str | None, str | None, datetime | None, SecondsTimedelta | None, SecondsTimedelta | None, int | None
]

#: A job on its way into a queue.
_Addressed = tuple[str, _scripts.NewJob]


class JobCall:
    """A job for `ArqRedis.enqueue_jobs`; the arguments are those of `ArqRedis.enqueue_job`."""

    __slots__ = "args", "function", "kwargs", "options"

    def __init__(
        self,
        function: str,
        *args: Any,
        _job_id: str | None = None,
        _queue_name: str | None = None,
        _defer_until: datetime | None = None,
        _defer_by: None | int | float | timedelta = None,
        _expires: None | int | float | timedelta = None,
        _job_try: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.options = (_job_id, _queue_name, _defer_until, _defer_by, _expires, _job_try)

    def __repr__(self) -> str:
        return f"<JobCall {printable(self.function)}({args_to_string(self.args, self.kwargs)})>"


def due_at(defer_until: datetime | None, defer_by: SecondsTimedelta | None) -> str:
    """When a job is due, as `enqueue.lua` takes it: '' now, '+MS' from now, or unix ms.

    Raises:
        RuntimeError: both were given.
    """
    if defer_until and defer_by:
        raise RuntimeError("use either 'defer_until' or 'defer_by' or neither, not both")
    if defer_until:
        return str(to_unix_ms(defer_until))
    return f"{to_ms(defer_by):+d}" if defer_by else ""


#: arq's name for the class that `ArqRedis` extends
BaseRedis = Redis


class ArqRedis(PatientRedis):
    """A `redis.asyncio.Redis` that can enqueue jobs.

    Args:
        pool_or_conn: an existing connection pool, or a client that has one. Its options for text (`decode_responses`,
            `encoding`, response callbacks) do not touch what arq itself reads and writes.
        job_serializer: turns a job into bytes; default: pickle.
        job_deserializer: the reverse.
        default_queue_name: queue of jobs that name none.
        expires_extra_ms: ms after its due time at which a job that never started expires; None or `math.inf`: never;
            default: one day.
        kwargs: for `redis.asyncio.Redis`.

    Raises:
        TypeError: `pool_or_conn` is a client of Redis Cluster, or not of redis.asyncio.
    """

    def __init__(
        self,
        pool_or_conn: ConnectionPool | None = None,
        job_serializer: Serializer | None = None,
        job_deserializer: Deserializer | None = None,
        default_queue_name: str = default_queue_name,
        expires_extra_ms: float | None = expires_extra_ms,
        **kwargs: Any,
    ) -> None:
        self.job_serializer = job_serializer
        self.job_deserializer = job_deserializer
        self.default_queue_name = default_queue_name
        self.expires_extra_ms = expires_extra_ms
        if pool_or_conn is not None:
            kwargs["connection_pool"] = pool_of(pool_or_conn)
        super().__init__(**kwargs)
        self._lane = Lane(self.connection_pool)
        self._sentinels: Sequence[Redis] = ()
        self._size_limit = SizeLimit()
        self._enqueue_batches: Batcher[_Addressed, bool] = Batcher(self._send_jobs)
        self._look_batches = Looks(self._lane)

    async def enqueue_job(
        self,
        function: str,
        *args: Any,
        _job_id: str | None = None,
        _queue_name: str | None = None,
        _defer_until: datetime | None = None,
        _defer_by: None | int | float | timedelta = None,
        _expires: None | int | float | timedelta = None,
        _job_try: int | None = None,
        **kwargs: Any,
    ) -> Job | None:
        """Enqueue a job: one round trip, shared with all calls that are made at the same time.

        Args:
            function: name of the function.
            args: its positional arguments.
            _job_id: id of the job, if it must be unique; default: a random one.
            _queue_name: queue; default: that of the pool.
            _defer_until: when to run it; a naive datetime is local time.
            _defer_by: how long to wait before running it, in seconds or as a timedelta.
            _expires: do not start it later than this from now, in seconds or as a timedelta; `math.inf`: no limit;
                default: a day after it is due.
            _job_try: number of its first try; for jobs that enqueue themselves again.
            kwargs: its keyword arguments.

        Returns:
            The job, or None if one with this id is queued, running, or has a result.

        Raises:
            SerializationError: the arguments can't be serialized, or are larger than Redis takes.
            RuntimeError: both `_defer_until` and `_defer_by` were given.
            ValueError: the queue's name is that of another key, an id is too long or can't be encoded, a time is out of
                range.
            redis.exceptions.RedisError: Redis can't be reached or refuses.
        """
        options = (_job_id, _queue_name, _defer_until, _defer_by, _expires, _job_try)
        queue_name, new_job = self._new_job(function, args, kwargs, options)
        size = len(new_job.payload)
        if size > ALWAYS_TAKEN:
            await self._check_sizes([function], [size])
        try:
            accepted = await self._enqueue_batches.submit((queue_name, new_job), size)
        except RedisError as exc:
            if size > ALWAYS_TAKEN and is_lost(exc):
                exc.add_note(f"the job has {size} bytes, which may be more than Redis takes")
            raise
        return self._enqueued(queue_name, new_job, accepted, bool(_job_id))

    async def enqueue_jobs(self, jobs: Iterable[JobCall | tuple[Any, ...] | str]) -> list[Job | None]:
        """Enqueue many jobs, up to 500 and 4 MB in a round trip.

        Args:
            jobs: each a `JobCall`, a tuple `(function, *args)`, or just the name of a function.

        Returns:
            For each job what `enqueue_job` would have returned, in order.

        Raises:
            TypeError, ValueError: one of them is neither, or wrong; then nothing is enqueued.
            SerializationError: one of them can't be serialized, or is too large; then nothing is enqueued.
            redis.exceptions.RedisError: Redis can't be reached or refuses; some of the jobs may be enqueued. If Redis
                refuses just one of them, all others are.
        """
        calls = [_as_call(job) for job in jobs]
        new_jobs = [self._new_job(c.function, c.args, c.kwargs, c.options) for c in calls]
        sizes = [len(new_job.payload) for _, new_job in new_jobs]
        await self._check_sizes([call.function for call in calls], sizes)
        accepted: list[_Accepted] = []
        while len(accepted) < len(new_jobs):
            begin = len(accepted)
            end = begin + fitting(sizes[begin : begin + MOST_ITEMS])
            accepted += await self._send_jobs(new_jobs[begin:end])
        return [
            self._enqueued(queue_name, new_job, taken, bool(call.options[0]))
            for call, (queue_name, new_job), taken in zip(calls, new_jobs, accepted, strict=True)
        ]

    def _new_job(
        self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: _Options
    ) -> tuple[str, _scripts.NewJob]:
        job_id, queue_name, defer_until, defer_by, expires, job_try = options
        queue_name = self.default_queue_name if queue_name is None else queue_name
        _check(
            job_id, queue_name, defer_by, expires
        )  # here, because in a batch it would fail the jobs of others, too
        payload = serialize_job(
            function, args, kwargs, job_try, timestamp_ms(), serializer=self.job_serializer
        )
        expires_ms = LONGEST_MS if expires == math.inf else to_ms(expires) or None
        new_job = _scripts.NewJob(
            job_id or uuid4().hex, payload, due_at(defer_until, defer_by), expires_ms, ""
        )
        return queue_name, new_job

    async def _check_sizes(self, functions: list[str], sizes: list[int]) -> None:
        """Refuse jobs that Redis would not take: it would hang up, whoever else is in the middle of something."""
        if max(sizes, default=0) <= ALWAYS_TAKEN:
            return
        limit = await self._size_limit.ask(self._lane.commands)
        for function, size in zip(functions, sizes, strict=True):
            if size > limit:
                raise SerializationError(f'unable to serialize job "{function}": {too_large(size, limit)}')

    def _enqueued(
        self, queue_name: str, new_job: _scripts.NewJob, accepted: _Accepted, id_was_given: bool
    ) -> Job | None:
        if isinstance(accepted, Exception):
            raise accepted
        # Nobody else has a random id: if it was there, redis-py repeated the command after a lost connection.
        if not accepted and id_was_given:
            return None
        return Job(new_job.job_id, redis=self, _queue_name=queue_name, _deserializer=self.job_deserializer)

    async def _enqueue_tick(
        self, function: str, job_id: str, queue_name: str, tick: _scripts.NewTick
    ) -> bool:
        """Enqueue a run of a schedule, unless it was enqueued before."""
        payload = serialize_job(function, (), {}, None, timestamp_ms(), serializer=self.job_serializer)
        new_job = _scripts.NewJob(job_id, payload, str(tick.due_ms), None, str(tick))
        return await self._enqueue_batches.submit((queue_name, new_job))

    async def _send_jobs(self, batch: list[_Addressed]) -> list[_Accepted]:
        """Send one script call for each queue; answers in the order of the batch."""
        queues: dict[str, list[int]] = {}
        for index, (queue_name, _) in enumerate(batch):
            queues.setdefault(queue_name, []).append(index)
        accepted: list[_Accepted] = [False] * len(batch)
        for queue_name, indexes in queues.items():
            answers = await self._send_to(queue_name, [batch[i][1] for i in indexes])
            for index, answer in zip(indexes, answers, strict=True):
                accepted[index] = answer
        return accepted

    async def _send_to(self, queue_name: str, jobs: list[_scripts.NewJob]) -> list[_Accepted]:
        """Send the jobs of one queue. What goes wrong is for their callers, not for those of other queues.

        And what goes wrong because of one of them is for the caller of that one.
        """
        call = _scripts.enqueue(queue_name, jobs, self.expires_extra_ms)
        try:
            return [answer == 1 for answer in await self._lane.run(call)]
        except RedisError as exc:
            send = functools.partial(self._send_to, queue_name)
            return await send_apart(send, jobs, exc, self._lane.is_there)

    async def _look(self, wanted: tuple[str, str]) -> tuple[bytes | None, bool]:
        return await self._look_batches.submit(wanted)

    async def all_job_results(self) -> list[JobResult]:
        """All results that are in Redis, in the order in which the jobs were enqueued.

        What can't be read here is replaced as by `Job.info`. Of a result that can't be read at all only the id is
        known: it has function `<unknown>`, times of 1970, and the reason as its result.
        """
        keys = await self._result_keys()
        results: list[JobResult] = []
        if type(self)._get_job_result is not _GET_JOB_RESULT:
            results = [await self._get_job_result(key) for key in keys]
            return sorted(results, key=attrgetter("enqueue_time"))
        pages = Pages(sorted(keys))
        for page in pages:
            payloads = await ask(self, "MGET", *page)
            pages.had([len(payload or b"") for payload in payloads])
            for key, payload in zip(page, payloads, strict=True):
                if payload is not None:  # it may have expired since the scan
                    results.append(self._read_result(key, payload))
        return sorted(results, key=attrgetter("enqueue_time"))

    async def _result_keys(self) -> set[bytes]:
        keys: set[bytes] = set()
        cursor = b"0"
        while True:
            cursor, found = await ask(self, "SCAN", cursor, "MATCH", result_key_prefix + "*", "COUNT", 1000)
            keys.update(found)
            if cursor == b"0":
                return keys

    async def _get_job_result(self, key: bytes) -> JobResult:
        payload = await ask(self, "GET", key)
        if payload is None:
            raise KeyError(f'job "{key.decode()}" not found')
        return self._read_result(key, payload)

    def _read_result(self, key: bytes, payload: Any) -> JobResult:
        job_id = key.decode(errors="backslashreplace").removeprefix(result_key_prefix)
        try:
            result = read_result(payload, deserializer=self.job_deserializer)
        except DeserializationError as exc:
            return unread_result(job_id, exc)
        result.job_id = job_id
        return result

    async def queued_jobs(self, *, queue_name: str | None = None) -> list[JobDef]:
        """The jobs of a queue, also deferred and running ones, in the order in which they are or were due.

        Args:
            queue_name: the queue; default: that of the pool.

        An argument that can't be read here is an `arq.jobs.Unreadable`. Of a job that can't be read at all only id and
        score are known: it has function `<unknown>` and an enqueue time in 1970.
        """
        queue_name = queue_name if queue_name is not None else self.default_queue_name
        if type(self)._get_job_def is not _GET_JOB_DEF:
            due = await members_with_scores(self, queue_name)
            return [await self._get_job_def(job_id, int(score)) for job_id, score in due]
        members: list[bytes] = await ask(self, "ZRANGE", queue_name, 0, -1)
        job_ids = [member.decode(errors="replace") for member in members]
        jobs: list[JobDef] = []
        pages = Pages(job_ids)
        for page in pages:
            _, answers = _scripts.read_inspect(await _scripts.run(self, _scripts.inspect(queue_name, page)))
            pages.had([len(found.payload or b"") + len(found.result or b"") for found in answers])
            for job_id, found in zip(page, answers, strict=True):
                if found.payload is None or found.score is None:
                    continue  # finished or expired since the queue was read
                jobs.append(self._read_job(job_id, found.score, found.payload))
        return sorted(jobs, key=attrgetter("score"))

    async def _get_job_def(self, job_id: bytes, score: int) -> JobDef:
        """A queued job. For subclasses that override it: `queued_jobs` reads many at a time otherwise.

        Raises:
            RuntimeError: there is no such job.
        """
        payload = await ask(self, "GET", job_key(job_id.decode()))
        if payload is None:
            raise RuntimeError(f'job "{job_key(job_id.decode())}" not found')
        return self._read_job(job_id.decode(), score, payload)

    def _read_job(self, job_id: str, score: int, payload: bytes) -> JobDef:
        try:
            job = read_job(payload, deserializer=self.job_deserializer)
        except DeserializationError:
            return unread_job(job_id, score)
        job.job_id, job.score = job_id, score
        return job

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run any command. It may use the connection that `enqueue_job` has kept for a moment."""
        await self._lane.close()
        return await super().execute_command(*args, **options)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {address(self.connection_pool)}>"

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the client, and its pool if it made the pool itself or `close_connection_pool` is True."""
        await self._lane.close()
        closer = getattr(super(), "aclose", None) or super().close  # redis-py 5.0.0 has no aclose
        await closer(close_connection_pool)
        for sentinel in self._sentinels:
            await (getattr(sentinel, "aclose", None) or sentinel.close)()

    async def close(self, close_connection_pool: bool | None = None) -> None:
        """The same by its older name."""
        await self.aclose(close_connection_pool)


#: The methods as they are here: a client that has others reads its jobs one by one.
_GET_JOB_DEF, _GET_JOB_RESULT = ArqRedis._get_job_def, ArqRedis._get_job_result


def _check(job_id: Any, queue_name: Any, defer_by: Any, expires: Any) -> None:
    if job_id is not None and not isinstance(job_id, str):
        raise TypeError(f"_job_id must be a str, not {job_id!r}")
    if not isinstance(queue_name, str):
        raise TypeError(f"_queue_name must be a str, not {queue_name!r}")
    check_queue_name(queue_name)
    if job_id is not None:
        check_job_id(job_id)
    if expires not in (None, math.inf) and not 0 <= to_seconds(expires) <= LONGEST_S:
        raise ValueError(
            f"_expires must be from 0 to {LONGEST_S:.0f} seconds, or math.inf for no limit, not {expires!r}"
        )
    if defer_by and not -LONGEST_S <= to_seconds(defer_by) <= LONGEST_S:
        raise ValueError(f"_defer_by must be within {LONGEST_S:.0f} seconds, not {defer_by!r}")


def _as_call(job: Any) -> JobCall:
    if isinstance(job, JobCall):
        return job
    if isinstance(job, str):
        return JobCall(job)
    if isinstance(job, Sequence) and job and isinstance(job[0], str):
        return JobCall(*job)
    raise TypeError(f"a job must be a JobCall, a tuple (function, *args) or a function's name, not {job!r}")


_told_of: set[str] = set()


def _tell_of_unchecked_name(settings: RedisSettings) -> None:
    """Once for each server: TLS that takes any certificate of a known authority keeps out few who are in between."""
    server = str(settings.host)
    if has_unchecked_name(settings) and server not in _told_of:
        _told_of.add(server)
        logger.warning(
            "TLS to %s: the certificate is checked, but not that it is for this name: set ssl_check_hostname=True",
            server,
        )


async def create_pool(
    settings_: RedisSettings | None = None,
    *,
    retry: int = 0,
    job_serializer: Serializer | None = None,
    job_deserializer: Deserializer | None = None,
    default_queue_name: str = default_queue_name,
    expires_extra_ms: float | None = expires_extra_ms,
) -> ArqRedis:
    """Connect to Redis; if that fails, try again up to `conn_retries` times.

    Args:
        settings_: how to reach Redis; default: localhost, port 6379.
        retry: how many tries were made already.
        job_serializer, job_deserializer, default_queue_name, expires_extra_ms: see `ArqRedis`.

    Raises:
        redis.exceptions.RedisError, OSError: Redis could not be reached, refused the credentials, or is a node of a
            Redis Cluster, which is not supported.
        RuntimeError: `sentinel` is set and `host` is not a list.
    """
    settings = settings_or_default(settings_)
    connect = _connector(settings)
    while True:
        pool = _make_client(
            settings,
            connect,
            job_serializer=job_serializer,
            job_deserializer=job_deserializer,
            default_queue_name=default_queue_name,
            expires_extra_ms=expires_extra_ms,
        )
        try:
            await probe(pool.connection_pool)
            _tell_of_unchecked_name(settings)
        except (TimeoutError, OSError, RedisError) as exc:
            await pool.close(close_connection_pool=True)
            if retry >= settings.conn_retries or isinstance(exc, AuthenticationError) or is_refusal(exc):
                raise
            logger.warning(
                "redis connection error %s:%s %s %s, %s retries remaining...",
                settings.host,
                settings.port,
                exc.__class__.__name__,
                exc,
                settings.conn_retries - retry,
            )
            await asyncio.sleep(settings.conn_retry_delay)
            retry += 1
        else:
            if retry > 0:
                logger.info("redis connection successful")
            return pool


def _make_client(settings: RedisSettings, connect: Callable[..., ArqRedis], **arq_options: Any) -> ArqRedis:
    client = connect(**arq_options)
    client._lane.limit(ANSWER_S, call_retry(settings))
    return client


def _connector(settings: RedisSettings) -> Callable[..., ArqRedis]:
    """What makes a client for these settings."""
    if not settings.sentinel:
        return functools.partial(
            ArqRedis,
            host=settings.host,
            port=settings.port,
            unix_socket_path=settings.unix_socket_path,
            **client_options(settings),
        )
    if isinstance(settings.host, str):
        message = "host provided as a string but sentinel is true: give a list of (host, port)"
        raise RuntimeError(message)  # noqa: TRY004  (arq's type)

    return functools.partial(_connect_by_sentinel, settings)


def _connect_by_sentinel(settings: RedisSettings, **arq_options: Any) -> ArqRedis:
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        settings.host, sentinel_kwargs=sentinel_options(settings), **client_options(settings)
    )
    client = cast(ArqRedis, sentinel.master_for(settings.sentinel_master, redis_class=ArqRedis))
    for name, value in arq_options.items():  # redis-py would hand them on to its connections
        setattr(client, name, value)
    client._sentinels = sentinel.sentinels
    return client
