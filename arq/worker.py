"""The worker: takes jobs from a queue and runs them. A job's journey is `_poll_iteration`, `run_job`, `_record`."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from ._ask import ask
from ._errors import FailedJobs, JobExecutionFailed, Retry, RetryJob
from ._exits import run_to_end
from ._function import Function, func
from ._keys import health_key
from ._names import elsewhere
from ._option_types import text, to_await
from ._refusals import blames_item, passes
from ._salvage import is_unread
from ._servers import is_refusal
from ._worker.settings import read_options
from ._worker.stopping import Stopping
from ._worker.threads import tell_who_goes_on
from ._worker.trouble import Backoff
from ._worker.waiting import Waiting
from .connections import ArqRedis, RedisSettings, create_pool, log_redis_info
from .constants import default_queue_name, keep_cronjob_progress
from .jobs import JobResult
from .typing import WorkerSettingsType
from .utils import import_string

__all__ = [
    "FailedJobs",
    "Function",
    "JobExecutionFailed",
    "Retry",
    "RetryJob",
    "Worker",
    "async_check_health",
    "check_health",
    "create_worker",
    "func",
    "get_kwargs",
    "import_string",
    "run_worker",
]

logger = logging.getLogger("arq.worker")

if not TYPE_CHECKING:

    def __getattr__(name):
        return elsewhere(__name__, name)


#: A note on exceptions that say that Redis could not be reached when the worker started, or lets it do nothing.
CONNECTING = "while connecting to redis"


class Worker(Waiting, Stopping):
    """Runs jobs. The arguments are those of `WorkerOptions`, see there.

    Here is the main loop; `JobRunner` has what a job goes through, `Duties` what goes by the clock, `Waiting` the
    time in between, `Stopping` the end.
    """

    def run(self) -> None:
        """Run the worker until it is stopped (or, in burst mode, done), then close it.

        Raises:
            RuntimeError: an event loop runs in this thread, as in a notebook; there `async_run` is the way.
        """
        _refuse_in_a_loop()
        loop = self.loop
        self.main_task = loop.create_task(self.main())
        try:
            run_to_end(loop, self.main_task)
        except asyncio.CancelledError:
            pass  # a signal: that is how a worker ends
        finally:
            try:
                run_to_end(loop, loop.create_task(self._close(keep_handlers=True)))
            finally:
                self._end_loop(loop)

    def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the loop; a late signal must not kill a process that has stopped well."""
        tell_who_goes_on()
        loop.run_until_complete(loop.shutdown_asyncgens())
        self._signals.end_with(loop, ends_process=self._ends_process)
        self._loop = None

    async def async_run(self) -> None:
        """Run the worker in the current loop. Does not close it: call `close` afterwards.

        Raises:
            asyncio.CancelledError: it was stopped.
        """
        self.main_task = asyncio.create_task(self.main())
        await self.main_task

    async def run_check(self, retry_jobs: bool | None = None, max_burst_jobs: int | None = None) -> int:
        """Run the worker and say whether all went well. For tests.

        Args:
            retry_jobs, max_burst_jobs: change these options first, unless None.

        Returns:
            number of completed jobs.

        Raises:
            FailedJobs: jobs failed.
        """
        if retry_jobs is not None:
            self.retry_jobs = retry_jobs
        if max_burst_jobs is not None:
            self.max_burst_jobs = max_burst_jobs
        await self.async_run()
        if not self.jobs_failed:
            return self.jobs_complete
        results: list[JobResult] = await self.pool.all_job_results()
        failed = [r for r in results if not r.success]
        failed.sort(key=is_unread)  # the message names the first one
        raise FailedJobs(self.jobs_failed, failed)

    async def main(self) -> None:
        """The worker itself: start, work, and in burst mode finish. `close` is up to the caller.

        Raises:
            redis.exceptions.RedisError, OSError: Redis could not be reached at the start. Later on that is waited out.
            Exception: what `on_startup` raised.
        """
        with self._main:
            self._loop = asyncio.get_running_loop()
            if self._handle_signals and self.no_signals_in_pid != os.getpid():
                self._take_signals()
            await self._open()
            if self._pool is None:  # `on_startup` has closed the worker
                return
            if not self.burst:
                self._listener = self._make_listener()
            self._in_main = True
            try:
                await self._work()
            finally:
                self._in_main = False
                self._beat_patience.stop()
                self._standstills.stop()
                self._flush_beside()
                await self._stop_listening()

    async def _open(self) -> None:
        if self._pool is None:
            self._pool = await self._connect() if self._given_pool is None else self._given_pool
        self._forget_dead_loop()
        self._all_is_due()
        self._activity = asyncio.Event()  # the loop may be another one than the last time
        self._more = True
        logger.info("Starting worker for %d functions: %s", len(self.functions), ", ".join(self.functions))
        await log_redis_info(self.pool, logger.info)
        self.ctx["redis"] = self.pool
        if self.on_startup:
            await to_await("on_startup", self.on_startup(self.ctx))

    async def _connect(self) -> ArqRedis:
        try:
            return await create_pool(
                self.redis_settings,
                job_deserializer=self.job_deserializer,
                job_serializer=self.job_serializer,
                default_queue_name=self.queue_name,
                expires_extra_ms=self.expires_extra_ms,
            )
        except (RedisError, OSError) as exc:
            exc.add_note(CONNECTING)
            raise

    async def _work(self) -> None:
        backoff, poll = Backoff(), self._poller()
        task = asyncio.current_task()
        assert task is not None
        while True:
            # Python 3.11's wait_for, with which redis-py sends, loses a cancellation that comes just when it is done.
            if task.cancelling():
                raise asyncio.CancelledError
            try:
                await poll()
                self._say_ready()
                if self.burst and await self._burst_is_done():
                    return
            except (RedisError, OSError) as exc:
                await self._put_up_with(exc, backoff)
            else:
                if backoff.tries:
                    logger.info("redis is back")
                    backoff.tries = 0
                    self._keep_at_s = 0.0  # its data may be gone: say anew that we are alive
                await self._pause()

    async def _put_up_with(self, exc: Exception, backoff: Backoff) -> None:
        """Wait for Redis, or until what stands there can be worked with. In burst mode the latter is an error."""
        # A supervisor starts those again that could not start: it knows how many, and says why nothing happens.
        if passes(exc) and self.on_ready is None:
            await self._ride_out(exc, backoff)
        elif not self.burst and blames_item(exc) and (self._answered_ms or "WRONGTYPE" in str(exc)):
            self._complaints.failed(self._queue_text(), exc)
            self._say_ready()  # it has answered
            with suppress(RedisError, OSError):
                await self._get_pump().exchange()
            await asyncio.sleep(self._complaints.backoff.next_s())
        else:
            _note_refusal(exc)
            raise exc

    def _queue_text(self) -> str:
        return f"queue {self.queue_name!r}"

    def _queue_is_well(self) -> None:
        self._complaints.went_well(self._queue_text())
        self._complaints.backoff.tries = 0

    async def _ride_out(self, exc: Exception, backoff: Backoff) -> None:
        """Redis is away: the running jobs go on, their endings are kept."""
        pause_s = backoff.next_s()
        logger.warning("redis trouble, next try in %0.1fs: %s: %s", pause_s, exc.__class__.__name__, exc)
        self._more = True
        # What is open may hang as well, and a sentinel may know a new master by now.
        await self._get_pump().close()
        await self.pool.connection_pool.disconnect(inuse_connections=False)
        await asyncio.sleep(pause_s)

    async def _poll_iteration(self) -> None:
        """Do what is regular, write how jobs ended, and take new ones if there is room and something may be due."""
        self._polled = True  # unless a subclass does everything itself
        await self._do_what_is_regular()
        if not self.allow_pick_jobs and self._listener is not None:
            self._listener.disarm()
        asked = self._be_careful() if self._suspects.is_careful else ()
        want = 1 if asked else await self._how_many()
        if want > 0 and not asked and self._starts_by_hand():
            await self._start_by_hand()
            want = 0
        await self._exchange(want, asked)
        await self._let_go_outside_main()

    def _poller(self) -> Callable[[], Awaitable[None]]:
        is_own = type(self)._poll_iteration is not _POLL_ITERATION or "_poll_iteration" in self.__dict__
        return self._poll_by_hand if is_own else self._poll_iteration

    async def _poll_by_hand(self) -> None:
        """Run a `_poll_iteration` of somebody's own, and what it leaves out: it knows of no leases and endings."""
        self._polled = False
        await self._poll_iteration()
        if self._polled:
            return
        self._more = False
        if self._look_at_s <= self._clock():
            self._look_again(-1)
        self._beat_at_s = self._clock() + self.poll_delay_s  # aborts, health and cron are its own business
        await self._do_what_is_regular()
        await self._exchange(0)

    async def _exchange(self, want: int, job_ids: tuple[str, ...] = ()) -> None:
        pump = self._get_pump()
        if want > 0 or pump.has_endings or pump.claim_lost:
            answer = await pump.exchange(want, fair=not self.burst, job_ids=job_ids, recover=True)
            if answer is not None:
                if self._complaints.said and not answer.recovered:
                    self._queue_is_well()
                self._take(answer)

    async def _how_many(self) -> int:
        """How many jobs to ask for. What is free is counted last: a claim that waits may bring a job at any time."""
        left = self._room_in_burst()
        if left <= 0 or self._room() <= 0 or not (self._more or await self._may_be_due()):
            return 0
        if self._room() > 0 and self._free_slots() == 0:
            await self._leave_to_who_waits()
            return 0
        # Half of the places at a time: one half runs while Redis writes the endings of the other and fills it anew.
        return min(left, self._free_slots(), self.queue_read_limit, (self.max_jobs + 1) // 2)

    async def _may_be_due(self) -> bool:
        """Whether it is time to look at the queue, and if so, whether its first job is due."""
        if self._clock() < self._look_at_s:
            return False
        earliest_ms = await self._get_pump().earliest_ms()
        wait_ms = -1 if earliest_ms is None else max(0, round(earliest_ms - self._redis_now_ms()))
        if wait_ms:
            self._look_again(wait_ms)
        return wait_ms == 0

    async def _burst_is_done(self) -> bool:
        """Whether nothing is left for a worker in burst mode: no job of its own, and none that it may still take."""
        has_enough = 0 <= self.max_burst_jobs <= self._started
        if self.tasks or self._get_pump().has_endings or (self._more and not has_enough):
            return False
        if not has_enough:
            self.queued = await ask(self.pool, "ZCARD", self.queue_name)
            if self.queued and not await self._is_left_to_others(self.queued):
                return False
        await self._get_pump().leave()
        await self._get_pump().close()
        return True

    async def _is_left_to_others(self, queued: int) -> bool:
        """Whether only jobs that can't be read here are queued: those are not what a burst waits for."""
        await self._unread.forget_others(self.pool, self.queue_name)
        return queued <= len(self._unread.jobs)

    def _hold_cron_s(self) -> float:
        return keep_cronjob_progress  # this module's: it is where applications' tests shorten it

    def __repr__(self) -> str:
        return (
            f"<Worker j_complete={self.jobs_complete} j_failed={self.jobs_failed} j_retried={self.jobs_retried} "
            f"j_ongoing={sum(not task.done() for task in self.tasks.values())}>"
        )


def _refuse_in_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "an event loop is running here: use `await worker.async_run()` instead of worker.run()"
    )


_POLL_ITERATION = Worker._poll_iteration


def _note_refusal(exc: Exception) -> None:
    """That Redis lets a worker do nothing is as if it could not be reached: a traceback of ours tells nobody more."""
    if is_refusal(exc):
        exc.add_note(CONNECTING)


_OPTIONS = frozenset(inspect.signature(Worker).parameters)


def get_kwargs(settings_cls: WorkerSettingsType) -> dict[str, Any]:
    """Those attributes or items of a settings object that are options of `Worker`; inherited attributes count."""
    return read_options(settings_cls, _OPTIONS)


def option_names() -> frozenset[str]:
    """The names of all options of `Worker`."""
    return _OPTIONS


def create_worker(settings_cls: WorkerSettingsType, **kwargs: Any) -> Worker:
    """Make a worker from a settings object.

    Args:
        settings_cls: a dict, or a class or instance with the options of `Worker` as attributes.
        kwargs: options that win over the settings.
    """
    return Worker(**{**get_kwargs(settings_cls), **kwargs})


def run_worker(settings_cls: WorkerSettingsType, **kwargs: Any) -> Worker:
    """Make a worker from a settings object and run it to its end.

    Args:
        settings_cls, kwargs: see `create_worker`.
    """
    worker = create_worker(settings_cls, **kwargs)
    worker.run()
    return worker


async def async_check_health(
    redis_settings: RedisSettings | None, health_check_key: str | None = None, queue_name: str | None = None
) -> int:
    """Whether a worker of a queue has written its health line lately.

    Returns:
        0 if so, 1 if not; fit to be an exit status.
    """
    key = health_check_key or health_key(text("queue_name", queue_name or default_queue_name))
    redis = await create_pool(redis_settings)
    try:
        (line,) = await redis.mget(key)  # None also where it is of another type
    finally:
        await redis.close(close_connection_pool=True)
    if line is None:
        logger.warning("Health check failed: no health check sentinel value found")
        return 1
    logger.info("Health check successful: %s", line)
    return 0


def check_health(settings_cls: WorkerSettingsType) -> int:
    """`async_check_health` with Redis, key and queue from a settings object.

    Returns:
        0 if the check was successful, 1 if not.
    """
    options = get_kwargs(settings_cls)
    return asyncio.run(
        async_check_health(
            options.get("redis_settings"), options.get("health_check_key"), options.get("queue_name")
        )
    )
