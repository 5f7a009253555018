"""The options of a worker."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import tzinfo
from signal import Signals
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec
from uuid import uuid4

from .. import _loop_exits
from .._dead_letters import DEAD_MAX, DEAD_TTL_S
from .._function import Function
from .._keys import check_health_key, check_queue_name, health_key
from .._lock_time import lock_s, longest_job_s
from .._option_types import called, context, one_of, several, text
from .._payloads.payload_options import format_of
from .._redis.connection_pools import pool_of
from .._redis.settings import settings_or_default
from .._redis.shard_settings import Servers, Shard, chosen_shard
from .._retry_options import Backoff, BackoffFunction, ExceptionClasses, checked, retry_options
from .._types import SecondsTimedelta, StartupShutdown, WorkerCoroutine
from ..connections import ArqRedis
from ..constants import default_queue_name, expires_extra_ms
from ..cron import CronJob
from ..jobs import Deserializer, Serializer
from . import option_limits
from .function_registry import registry
from .system_timezone import SystemZone, now_in_system_zone

if TYPE_CHECKING:
    from .._payloads.codecs import Codec
    from .._payloads.keyring import Keyring
    from .._payloads.payload_format import PayloadFormat

_Arguments = ParamSpec("_Arguments")
#: What `on_outcome` is told of beside outcomes.
WAITED = "waited"


class WorkerOptions:
    """The options of a worker, see `arq.worker.Worker`, as attributes. They may be changed while it runs."""

    def __init__(  # noqa: PLR0915  (one line an option)
        self,
        functions: Sequence[Function | WorkerCoroutine | str] = (),
        *,
        queue_name: str | None = default_queue_name,
        cron_jobs: Sequence[CronJob] | None = None,
        redis_settings: Servers | Shard | None = None,
        redis_pool: ArqRedis | None = None,
        burst: bool = False,
        on_startup: StartupShutdown | None = None,
        on_shutdown: StartupShutdown | None = None,
        on_job_start: StartupShutdown | None = None,
        on_job_end: StartupShutdown | None = None,
        after_job_end: StartupShutdown | None = None,
        handle_signals: bool = True,
        job_completion_wait: SecondsTimedelta | None = 0,
        max_jobs: int = 10,
        job_timeout: SecondsTimedelta | None = 300,
        keep_result: SecondsTimedelta = 3600,
        keep_result_forever: bool = False,
        poll_delay: SecondsTimedelta = 0.5,
        queue_read_limit: int | None = None,
        max_tries: float | None = 5,
        health_check_interval: SecondsTimedelta = 3600,
        health_check_key: str | None = None,
        ctx: dict[Any, Any] | None = None,
        retry_jobs: bool = True,
        allow_abort_jobs: bool = False,
        max_burst_jobs: float | None = -1,
        job_serializer: Serializer | None = None,
        job_deserializer: Deserializer | None = None,
        expires_extra_ms: float | None = expires_extra_ms,
        timezone: tzinfo | None = None,
        log_results: bool = True,
        unreadable: Literal["fail", "retry"] = "fail",
        retry_on: ExceptionClasses | None = None,
        give_up_on: ExceptionClasses | None = None,
        retry_on_timeout: bool | None = None,
        backoff: Backoff | BackoffFunction | None = None,
        retry_for: SecondsTimedelta | None = None,
        dead_letter: bool = True,
        dead_max: int = DEAD_MAX,
        dead_ttl: SecondsTimedelta = DEAD_TTL_S,
        on_dead: StartupShutdown | None = None,
        codec: str | Codec | None = None,
        accepts: Sequence[str | Codec] | None = None,
        signing: Keyring | None = None,
        accept_unsigned: bool = False,
        encrypt: bool = False,
    ) -> None:
        self.functions = option_limits.with_good_ones(
            registry(several("functions", functions), several("cron_jobs", cron_jobs or ()))
        )
        self.cron_jobs = list(cron_jobs) if cron_jobs is not None else None
        if redis_pool is not None:
            pool_of(redis_pool)
        if queue_name is None:
            if redis_pool is None:
                raise ValueError("If queue_name is absent, redis_pool must be present.")
            queue_name = redis_pool.default_queue_name
        check_queue_name(text("queue_name", queue_name))
        self.queue_name = queue_name
        self._use_redis(redis_settings)
        self._given_pool = redis_pool
        self.burst = burst
        option_limits.count_or_none("max_burst_jobs", max_burst_jobs)
        self.max_burst_jobs = -1 if max_burst_jobs in (None, math.inf) else int(max_burst_jobs or 0)
        self.on_startup = called("on_startup", on_startup)
        self.on_shutdown = called("on_shutdown", on_shutdown)
        self.on_job_start = called("on_job_start", on_job_start)
        self.on_job_end = called("on_job_end", on_job_end)
        self.after_job_end = called("after_job_end", after_job_end)
        self.job_completion_wait: float = option_limits.wait_s(job_completion_wait)
        self.max_jobs = option_limits.number("max_jobs", max_jobs)
        self.job_timeout_s = option_limits.time_limit("job_timeout", job_timeout)
        self.keep_result_s = option_limits.seconds_or_inf("keep_result", keep_result)
        self.keep_result_forever = keep_result_forever
        self.poll_delay_s = option_limits.seconds("poll_delay", poll_delay)
        self.queue_read_limit = option_limits.count_or_none("queue_read_limit", queue_read_limit) or max(
            max_jobs * 5, 100
        )
        self.max_tries = option_limits.count_or_none("max_tries", max_tries)
        self.health_check_interval = option_limits.seconds("health_check_interval", health_check_interval)
        self.health_check_key = health_check_key or health_key(queue_name)
        check_health_key(self.health_check_key, queue_name)
        self.ctx = context(ctx)
        self.retry_jobs = retry_jobs
        self.allow_abort_jobs = bool(allow_abort_jobs)
        self.job_serializer = called("job_serializer", job_serializer)
        self.job_deserializer = called("job_deserializer", job_deserializer)
        self._use_format(codec, accepts, signing, accept_unsigned=accept_unsigned, encrypt=encrypt)
        self.expires_extra_ms = expires_extra_ms
        self.timezone, self._system_zone = timezone, SystemZone()
        self.log_results = log_results
        self.unreadable = one_of("unreadable", unreadable, ("fail", "retry"))
        self.retry_options = checked(
            retry_options(retry_on, give_up_on, retry_on_timeout, backoff, retry_for)
        )
        self.dead_letter = dead_letter
        self.dead_max = option_limits.number("dead_max", dead_max)
        self.dead_ttl_s = option_limits.lifetime("dead_ttl", dead_ttl)
        self.on_dead = called("on_dead", on_dead)
        self.in_progress_timeout_s = lock_s(self.longest_job_s)
        self._worker_id, self._named_in_pid, self.forks_when_named = "", 0, _loop_exits.forks
        self._handle_signals = handle_signals
        self._be_on_its_own()

    def _use_redis(self, given: Any) -> None:
        #: which of several servers this worker works for; None: there is one
        self.shard = chosen_shard(given)
        self.redis_settings = self.shard.settings if self.shard else settings_or_default(given)
        if self.shard and self.cron_jobs is not None:  # each schedule is one server's
            self.cron_jobs = [one for one in self.cron_jobs if self.shard.has(one.name)]

    def _use_format(
        self,
        codec: str | Codec | None,
        accepts: Sequence[str | Codec] | None,
        signing: Keyring | None,
        *,
        accept_unsigned: bool,
        encrypt: bool,
    ) -> None:
        """How payloads are written and read: as options say, else as the client does it that was given."""
        own = self.job_serializer or self.job_deserializer
        self.payload_format: PayloadFormat | None = format_of(
            self.job_serializer,
            self.job_deserializer,
            codec=codec,
            accepts=accepts,
            signing=signing,
            accept_unsigned=accept_unsigned,
            encrypt=encrypt,
        )
        if (own, codec, accepts, signing) == (None, None, None, None):
            self.payload_format = getattr(self._given_pool, "payload_format", None)
        if self.payload_format is not None:
            self.payload_format.allow_types_of(one.coroutine for one in self.functions.values())
            self.job_serializer = self.payload_format.serializer
            self.job_deserializer = self.payload_format.deserializer

    def _be_on_its_own(self) -> None:
        """What a supervisor sets, if there is one."""
        self.on_stop: Callable[[Signals], Any] | None = None
        #: called once, when Redis has answered for the first time
        self.on_ready: Callable[[], None] | None = None
        #: called at a stop, when the jobs that it cut off have ended, before they are given back
        self.before_giving_back: Callable[[], Awaitable[None]] | None = None
        #: called with function name, verdict (complete, failed, aborted, retry, cancelled) and seconds of each outcome;
        #: for a first start also with WAITED and the seconds since the job was due
        self.on_outcome: Callable[[str, str, float], None] | None = None
        #: called, from another thread, when a task holds up the event loop
        self.on_held_up: Callable[[], None] | None = None
        #: whether the log says nothing of a signal when the worker is closed without one
        self.names_no_signal = False
        #: whether a supervisor keeps this worker's lease and health keys
        self.supervised = False
        #: those workers that will go together with this one, at a reload
        self.cohort = ""

    @property
    def worker_id(self) -> str:
        """Who this worker is in Redis. No two share an id, not even a worker and its copy in a forked process.

        Under arq-supervise, the supervisor says it. It is never read from the environment, which others inherit.
        """
        if self._named_in_pid != os.getpid():
            self.worker_id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        return self._worker_id

    @worker_id.setter
    def worker_id(self, worker_id: str) -> None:
        self._worker_id, self._named_in_pid = worker_id, os.getpid()
        self.forks_when_named = _loop_exits.forks

    @property
    def timezone(self) -> tzinfo:
        """The timezone in which schedules are read; the system's as its present offset. May be set."""
        return self._own_timezone or now_in_system_zone()

    @timezone.setter
    def timezone(self, zone: tzinfo | None) -> None:
        if zone is not None and not isinstance(zone, tzinfo):
            raise TypeError(f"timezone must be a tzinfo, as zoneinfo.ZoneInfo makes them, not {zone!r}")
        self._own_timezone = zone

    @property
    def schedule_zone(self) -> tzinfo:
        """The same, with all its changes of the offset."""
        return self._own_timezone or self._system_zone

    def time_limits_s(self) -> list[float | None]:
        """The time limits of all functions; None for those that have none."""
        return [function.timeout_s or self.job_timeout_s for function in self.functions.values()]

    @property
    def longest_job_s(self) -> float:
        """The longest of them, in seconds, as locks are made for it."""
        return longest_job_s(self.time_limits_s())


def with_arguments_of(
    other: Callable[Concatenate[Any, _Arguments], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, _Arguments], None]]:
    """Let a constructor that hands its arguments on to another one show them as its own."""

    def decorate(constructor: Callable[..., None]) -> Callable[Concatenate[Any, _Arguments], None]:
        constructor.__wrapped__ = other  # type: ignore[attr-defined]  # where `inspect.signature` looks
        constructor.__annotations__ = other.__annotations__
        return constructor

    return decorate
