"""The connection to Redis, and everything a producer does with it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError, WatchError

from ._connect import connected, connector
from ._enqueue import Accepted, Addressed, Enqueuer, JobCall, as_call, new_job
from ._keys import job_key
from ._payloads.payload_options import format_of
from ._payloads.unreadable_records import read_job, read_result, unread_job, unread_result
from ._redis import scripts
from ._redis.batch_sizes import ALWAYS_TAKEN, MOST_ITEMS, Pages, fitting
from ._redis.cluster import RideOut, owner_of
from ._redis.cluster_client import ClusterRedis
from ._redis.connection_pools import pool_of, prefix_of
from ._redis.key_prefix import checked
from ._redis.producer_connection import ANSWER_S, Lane
from ._redis.raw_commands import ask, members_with_scores, scan_all
from ._redis.redis_errors import is_lost
from ._redis.server_probe import log_redis_info
from ._redis.settings import RedisSettings, address, call_retry, settings_or_default
from ._reexported_names import elsewhere
from ._result_lookups import Looks
from .constants import default_queue_name, expires_extra_ms, result_key_prefix
from .jobs import DeserializationError, Deserializer, Job, JobDef, JobResult, Serializer, serialize_job
from .utils import timestamp_ms

if TYPE_CHECKING:
    from ._payloads.codecs import Codec
    from ._payloads.keyring import Keyring
    from ._payloads.payload_format import PayloadFormat

__all__ = ["ArqRedis", "JobCall", "RedisSettings", "WatchError", "create_pool", "log_redis_info"]

logger = logging.getLogger("arq.connections")

if not TYPE_CHECKING:

    def __getattr__(name):
        return elsewhere(__name__, name)


#: arq's name for the class that `ArqRedis` extends
BaseRedis = Redis


class ArqRedis(ClusterRedis):
    """A `redis.asyncio.Redis` that can enqueue jobs.

    Args:
        pool_or_conn: an existing connection pool, or a client that has one. Its options for text (`decode_responses`,
            `encoding`, response callbacks) do not touch what arq itself reads and writes.
        job_serializer: turns a job into bytes; default: pickle.
        job_deserializer: the reverse.
        default_queue_name: queue of jobs that name none.
        expires_extra_ms: ms after its due time at which a job that never started expires; None or `math.inf`: never;
            default: one day.
        key_prefix: what all keys of arq's begin with, see `RedisSettings`. It holds for what arq does by this client,
            also in `Job`, `Worker` and `Admin`, not for your own commands. Default: None, that of `pool_or_conn`, if it
            is or belongs to a client that has one.
        codec: in which jobs are written: 'pickle', 'json', 'msgpack' or an `arq.codecs.Codec`; default: None, as
            `pool_or_conn` does it, if that is a client that was told so, else pickle.
        accepts: which codecs are read; nothing else is decoded. Default: None, that of `codec`.
        signing: an `arq.codecs.Keyring`: what is written is signed, and what is read must be. Default: None, neither.
        accept_unsigned: read also what is not signed, while signing is introduced or given up. Default: False.
        encrypt: encrypt arguments and results with the same keyring. Default: False.
        kwargs: for `redis.asyncio.Redis`.

    Raises:
        TypeError: `pool_or_conn` is a client of Redis Cluster, or not of redis.asyncio.
        ValueError: `key_prefix` can't be used; options of payloads do not fit together.
        ImportError: they need a package that is not there.
    """

    def __init__(
        self,
        pool_or_conn: ConnectionPool | None = None,
        job_serializer: Serializer | None = None,
        job_deserializer: Deserializer | None = None,
        default_queue_name: str = default_queue_name,
        expires_extra_ms: float | None = expires_extra_ms,
        key_prefix: str | None = None,
        *,
        codec: str | Codec | None = None,
        accepts: Sequence[str | Codec] | None = None,
        signing: Keyring | None = None,
        accept_unsigned: bool = False,
        encrypt: bool = False,
        **kwargs: Any,
    ) -> None:
        self.job_serializer = job_serializer
        self.job_deserializer = job_deserializer
        self.payload_format: PayloadFormat | None = None
        how = format_of(
            job_serializer,
            job_deserializer,
            codec=codec,
            accepts=accepts,
            signing=signing,
            accept_unsigned=accept_unsigned,
            encrypt=encrypt,
        )
        if how is None and (job_serializer, job_deserializer) == (None, None):
            how = getattr(pool_or_conn, "payload_format", None)
        self._use(how)
        self.default_queue_name = default_queue_name
        self.expires_extra_ms = expires_extra_ms
        if pool_or_conn is not None:
            kwargs["connection_pool"] = pool_of(pool_or_conn)
        super().__init__(**kwargs)
        self._lane = Lane(self.connection_pool)
        self._take_prefix(prefix_of(pool_or_conn) if key_prefix is None else checked(key_prefix))
        self._sentinels: Sequence[Redis] = ()
        self._enqueuer = Enqueuer(self._lane, self)
        self._look_batches = Looks(self._lane)

    @property
    def key_prefix(self) -> str:
        """What all keys begin with that arq uses through this client; '': they have arq's names."""
        return self._key_prefix

    def _take_prefix(self, prefix: str) -> None:
        self._key_prefix = self._lane.prefix = prefix

    def _use(self, payload_format: PayloadFormat | None) -> None:
        """Write and read payloads so; None: as before."""
        if payload_format is not None:
            self.payload_format = payload_format
            # for code that knows of these only: what it must not read, it can't
            self.job_serializer, self.job_deserializer = payload_format.dump, payload_format.load

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
            _job_id: id of the job, if it must be unique; up to 65536 characters. Default: None, a random one.
            _queue_name: queue. Default: None, that of the pool.
            _defer_until: when to run it; a naive datetime is local time. Default: None, now.
            _defer_by: how long to wait before running it, in seconds or as a timedelta. Default: None, not at all.
            _expires: do not start it later than this from now, in seconds or as a timedelta, from 0 on; `math.inf`: no
                limit. Default: None, the pool's `expires_extra_ms` after it is due, a day.
            _job_try: number of its first try, from 1 on; for jobs that enqueue themselves again. Default: None, 1.
            kwargs: its keyword arguments.

        Returns:
            The job, or None if one with this id is queued, running, or has a result.

        Raises:
            SerializationError: the arguments can't be serialized, or are larger than Redis takes.
            RuntimeError: both `_defer_until` and `_defer_by` were given.
            TypeError: an id or a queue's name is no text.
            ValueError: the queue's name is that of another key, an id is too long or can't be encoded, a time is out of
                range.
            redis.exceptions.RedisError: Redis can't be reached or refuses.
        """
        options = (_job_id, _queue_name, _defer_until, _defer_by, _expires, _job_try)
        queue_name = self.default_queue_name if _queue_name is None else _queue_name
        job = new_job(function, args, kwargs, queue_name, options, self.job_serializer, self.payload_format)
        size = len(job.payload)
        if size > ALWAYS_TAKEN:
            await self._enqueuer.check_sizes([function], [size])
        try:
            accepted = await self._enqueuer.batches.submit((queue_name, job), size)
        except RedisError as exc:
            if size > ALWAYS_TAKEN and is_lost(exc):
                exc.add_note(f"the job has {size} bytes, which may be more than Redis takes")
            raise
        return self._enqueued(queue_name, job, accepted, bool(_job_id))

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
        calls = [as_call(job) for job in jobs]
        new_jobs = [self._addressed(call) for call in calls]
        sizes = [len(new_job.payload) for _, new_job in new_jobs]
        await self._enqueuer.check_sizes([call.function for call in calls], sizes)
        accepted: list[Accepted] = []
        while len(accepted) < len(new_jobs):
            begin = len(accepted)
            end = begin + fitting(sizes[begin : begin + MOST_ITEMS])
            accepted += await self._enqueuer.send(new_jobs[begin:end])
        return [
            self._enqueued(queue_name, new_job, taken, bool(call.options[0]))
            for call, (queue_name, new_job), taken in zip(calls, new_jobs, accepted, strict=True)
        ]

    async def _enqueue_by(self, payload_format: PayloadFormat | None, call: JobCall) -> None:
        """Enqueue a job that is written in another format than those of this client."""
        await self._enqueuer.batches.submit(self._addressed(call, payload_format))

    def _addressed(self, call: JobCall, payload_format: PayloadFormat | None = None) -> Addressed:
        queue_name = call.options[1]
        queue_name = self.default_queue_name if queue_name is None else queue_name
        job = new_job(
            call.function,
            call.args,
            call.kwargs,
            queue_name,
            call.options,
            self.job_serializer,
            payload_format or self.payload_format,
        )
        return queue_name, job

    def _enqueued(
        self, queue_name: str, new_job: scripts.NewJob, accepted: Accepted, id_was_given: bool
    ) -> Job | None:
        if isinstance(accepted, Exception):
            raise accepted
        # Nobody else has a random id: if it was there, redis-py repeated the command after a lost connection.
        if not accepted and id_was_given:
            return None
        return Job(new_job.job_id, redis=self, _queue_name=queue_name, _deserializer=self.job_deserializer)

    async def _enqueue_tick(
        self,
        function: str,
        job_id: str,
        queue_name: str,
        tick: scripts.NewTick,
        payload_format: PayloadFormat | None = None,
    ) -> bool:
        """Enqueue a run of a schedule, unless it was enqueued before."""
        written_by = payload_format or self.payload_format
        if written_by is None:
            payload = serialize_job(function, (), {}, None, timestamp_ms(), serializer=self.job_serializer)
        else:
            payload = written_by.write_job(function, (), {}, None, timestamp_ms(), job_id, queue_name)
        new_job = scripts.NewJob(job_id, payload, str(tick.due_ms), None, str(tick))
        return await self._enqueuer.batches.submit((queue_name, new_job))

    async def _look(self, wanted: tuple[str, str]) -> tuple[bytes | None, bool]:
        return await self._look_batches.submit(wanted)

    async def all_job_results(self) -> list[JobResult]:
        """All results that are in Redis, in the order in which the jobs were enqueued.

        What can't be read here is replaced as by `Job.info`. Of a result that can't be read at all only the id is
        known: it has function `<unknown>`, times of 1970, and the reason as its result.
        """
        keys = await scan_all(self, result_key_prefix + "*")
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

    async def _get_job_result(self, key: bytes) -> JobResult:
        payload = await ask(self, "GET", key)
        if payload is None:
            raise KeyError(f'job "{key.decode()}" not found')
        return self._read_result(key, payload)

    def _read_result(self, key: bytes, payload: Any) -> JobResult:
        job_id = key.decode(errors="backslashreplace").removeprefix(result_key_prefix)
        deserializer = self.job_deserializer
        if self.payload_format is not None:
            raw_id = key.removeprefix(result_key_prefix.encode())
            deserializer = self.payload_format.result_reader(raw_id, None)
        try:
            result = read_result(payload, deserializer=deserializer)
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
            _, answers = scripts.read_inspect(await scripts.run(self, scripts.inspect(queue_name, page)))
            pages.had([len(found.payload or b"") + len(found.result or b"") for found in answers])
            for job_id, found in zip(page, answers, strict=True):
                if found.payload is None or found.score is None:
                    continue  # finished or expired since the queue was read
                jobs.append(self._read_job(job_id, found.score, found.payload, queue_name))
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

    def _read_job(self, job_id: str, score: int, payload: bytes, queue_name: str | None = None) -> JobDef:
        deserializer = self.job_deserializer
        if self.payload_format is not None:
            deserializer = self.payload_format.job_reader(job_id, queue_name or self.default_queue_name)
        try:
            job = read_job(payload, deserializer=deserializer)
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
        await self._leave_cluster()
        closer = getattr(super(), "aclose", None) or super().close  # redis-py 5.0.0 has no aclose
        await closer(close_connection_pool)
        for sentinel in self._sentinels:
            await (getattr(sentinel, "aclose", None) or sentinel.close)()

    async def close(self, close_connection_pool: bool | None = None) -> None:
        """The same by its older name."""
        await self.aclose(close_connection_pool)


#: The methods as they are here: a client that has others reads its jobs one by one.
_GET_JOB_DEF, _GET_JOB_RESULT = ArqRedis._get_job_def, ArqRedis._get_job_result


async def create_pool(
    settings_: RedisSettings | None = None,
    *,
    retry: int = 0,
    job_serializer: Serializer | None = None,
    job_deserializer: Deserializer | None = None,
    default_queue_name: str = default_queue_name,
    expires_extra_ms: float | None = expires_extra_ms,
    codec: str | Codec | None = None,
    accepts: Sequence[str | Codec] | None = None,
    signing: Keyring | None = None,
    accept_unsigned: bool = False,
    encrypt: bool = False,
) -> ArqRedis:
    """Connect to Redis; if that fails, try again up to `conn_retries` times.

    Args:
        settings_: how to reach Redis. Default: None, localhost and port 6379.
        retry: how many tries were made already, of the `conn_retries` of the settings. Default: 0.
        job_serializer: turns jobs into bytes; None: pickle. Default: None.
        job_deserializer: the reverse. Default: None.
        default_queue_name: queue of jobs that name none. Default: 'arq:queue'.
        expires_extra_ms: ms after its due time at which a job that never started expires; None or `math.inf`: never.
            Default: 86400000, a day.
        codec: in which jobs are written: 'pickle', 'json', 'msgpack' or an `arq.codecs.Codec`; None: pickle.
            Default: None.
        accepts: a list of codecs that are read; nothing else is decoded. Default: None, that of `codec`.
        signing: an `arq.codecs.Keyring`: what is written is signed, and what is read must be. Default: None, neither.
        accept_unsigned: read also what is not signed, while signing is introduced or given up. Default: False.
        encrypt: encrypt arguments and results with the same keyring. Default: False.

    Returns:
        A client that has reached Redis. Close it with `aclose`.

    Raises:
        redis.exceptions.RedisError, OSError: Redis could not be reached, refused the credentials, or is a node of a
            cluster, though `cluster` is not set.
        RuntimeError: `sentinel` is set and `host` is not a list.
        TypeError: `settings_` is something else, an address for instance; or an option of payloads is.
        ValueError, ImportError: options of payloads do not fit together, or need a package that is not there.
    """
    settings = settings_or_default(settings_)
    make = functools.partial(
        unconnected,
        settings,
        job_serializer=job_serializer,
        job_deserializer=job_deserializer,
        default_queue_name=default_queue_name,
        expires_extra_ms=expires_extra_ms,
        **dict(zip(_PAYLOAD_OPTIONS, (codec, accepts, signing, accept_unsigned, encrypt), strict=True)),
    )
    return await connected(make, settings, retry)


def unconnected(
    settings: RedisSettings,
    *,
    job_serializer: Serializer | None = None,
    job_deserializer: Deserializer | None = None,
    default_queue_name: str = default_queue_name,
    expires_extra_ms: float | None = expires_extra_ms,
    **payloads: Any,
) -> ArqRedis:
    """The same client as `create_pool` makes, which connects when it is first used."""
    how = format_of(job_serializer, job_deserializer, **payloads)
    client = connector(settings, ArqRedis)(
        job_serializer=job_serializer,
        job_deserializer=job_deserializer,
        default_queue_name=default_queue_name,
        expires_extra_ms=expires_extra_ms,
    )
    return _client(settings, client, how)


#: The options of payloads.
_PAYLOAD_OPTIONS = ("codec", "accepts", "signing", "accept_unsigned", "encrypt")


def _client(settings: RedisSettings, client: ArqRedis, how: PayloadFormat | None) -> ArqRedis:
    client._use(how)
    retry = call_retry(settings) if settings.retry or not owner_of(client.connection_pool) else RideOut()
    client._lane.limit(ANSWER_S, retry)
    pool: Any = client.connection_pool  # its own: whoever gets the pool goes on with the prefix
    prefix = pool.key_prefix = prefix_of(pool) or getattr(settings, "key_prefix", "")
    client._take_prefix(prefix)
    return client
