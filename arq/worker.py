"""The worker: takes jobs from a queue and runs them.

Here is what applications call, override and read. What a worker is made of is in `_worker/`: `main_loop.py` puts the
parts together; they know what they share, and neither each other nor this module.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from signal import Signals
from typing import TYPE_CHECKING, Any, ClassVar

from ._errors import FailedJobs, JobExecutionFailed, Retry, RetryJob
from ._function import Function, func
from ._keys import health_key
from ._loop_exits import run_to_end
from ._option_types import text, to_await
from ._payloads.unreadable_records import is_unread
from ._redis.raw_commands import ask
from ._reexported_names import elsewhere
from ._worker import job_log
from ._worker.arq_compatibility import ArqNames
from ._worker.closing import Closing
from ._worker.connecting import connect, say_start
from ._worker.finish_override import FinishArguments
from ._worker.forwarded_attributes import Forwarded
from ._worker.health_check import check_each
from ._worker.leftover_threads import tell_who_goes_on
from ._worker.main_loop import MainLoop, OurSteps
from ._worker.main_task import MainTask, refuse_in_a_loop
from ._worker.options import WorkerOptions, with_arguments_of
from ._worker.semaphore import Semaphore
from ._worker.settings import read_options
from ._worker.shutdown import Shutdown
from ._worker.stop_signals import SignalHandlers
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


class Worker(WorkerOptions, ArqNames):
    """Takes jobs from a queue and runs them.

    Durations are seconds or timedeltas. `math.inf` says "no limit" where None does.

    Args:
        functions: a list of coroutine functions, results of `func`, or dotted paths. Default: none, then there must be
            cron jobs.
        queue_name: the queue to take jobs from; None: that of `redis_pool`. Default: 'arq:queue'.
        cron_jobs: a list of results of `arq.cron.cron`. Default: None, no schedules.
        redis_settings: how to reach Redis; for workers of arq-supervise also several servers, see `arq.shards`.
            Default: None, localhost and port 6379.
        redis_pool: an existing client, instead of `redis_settings`; the worker closes it. Default: None.
        burst: stop when the queue is empty. Default: False.
        on_startup: called with the worker's context before the first job. Default: None.
        on_shutdown: called with the worker's context after the last job. Default: None.
        on_job_start: called with the job's context before each job; if it raises, the job fails. `ctx["job_def"]` is
            the job as it was enqueued, a `JobDef`. Default: None.
        on_job_end: called with the job's context after each run, before its outcome is written; may fail the job, too.
            `ctx["job_result"]` is a `JobResult` that says what ran, when, and what it returned or raised;
            `ctx["job_outcome"]` is complete, failed, aborted, retry, or cancelled (to be run again). Default: None.
        after_job_end: called with the job's context after the outcome was written; as `on_job_end`. Default: None.
        handle_signals: handle SIGINT, SIGTERM and SIGQUIT while running. Default: True.
        job_completion_wait: how long running jobs may go on after a signal, from 0 on; 0 or None: they are cancelled at
            once. Default: 0.
        max_jobs: how many jobs run at the same time at most, a whole number from 1 on. Default: 10.
        job_timeout: how long a run may take, where the function says nothing, from 0 on; None: no limit. Default: 300.
        keep_result: how long to keep results, where the function says nothing; 0: not at all; None: for ever.
            Default: 3600.
        keep_result_forever: keep results without a limit; wins over `keep_result`. Default: False.
        poll_delay: the longest time between two looks at the queue, from 0 on. Jobs from this version of arq are
            noticed at once. Default: 0.5.
        queue_read_limit: how many jobs are taken from the queue in one go at most; None or 0: 5 times `max_jobs`, at
            least 100. Default: None.
        max_tries: how often a job may be started, where the function says nothing; None: no limit. Starts that a
            shutdown interrupted do not count. Default: 5.
        health_check_interval: how often to write the health line, from 0 on. Default: 3600.
        health_check_key: the key to write it to; None: the queue's name and `:health-check`. Default: None.
        ctx: a dictionary, the initial content of the worker's context. Default: None, an empty one.
        retry_jobs: run jobs again that raised Retry or were cancelled; else these have failed. Default: True.
        allow_abort_jobs: cancel running jobs when `Job.abort` asks for it. Queued ones are aborted without a worker.
            Default: False.
        max_burst_jobs: in burst mode, stop after starting this many jobs; negative or None: no limit. Default: -1.
        job_serializer: turns results into bytes, as that of the clients that enqueue turns jobs; None: pickle.
            Default: None.
        job_deserializer: the reverse. Default: None.
        expires_extra_ms: for the client that the worker makes, ms after its due time at which a job that never started
            expires; None: never. Default: 86400000, a day.
        timezone: the tzinfo in which cron schedules are read; None: the system's timezone. Default: None.
        log_results: log what jobs return. Default: True.
        unreadable: what to do with a job that this worker can't read, because another version of Python, of a library
            or of the application wrote it. `fail`: fail it at once; `retry`: leave it to other workers of the queue for
            up to six hours, and fail it then. Default: 'fail'.
        retry_on: after which exceptions a job is tried again, where the function says nothing; this and the following
            as of `arq.func`. Default: None, after none.
        give_up_on: after which exceptions it has failed at once. Default: None, none of them.
        retry_on_timeout: whether it is tried again when it took longer than it may. Default: None, as `retry_on` says
            of TimeoutError.
        backoff: how long to wait before the next try. Default: None, `Backoff()`.
        retry_for: no try begins later than so long after the job was enqueued. Default: None, no limit.
        dead_letter: whether jobs that fail for good go into the dead set of the queue, from where they can be requeued,
            where the function says nothing; those of which no result is kept do not. Default: True.
        dead_max: how many jobs the dead set holds, from 1 on; then the oldest ones leave it. Default: 10000.
        dead_ttl: how long they stay there, in seconds or as a timedelta, above 0. Default: 604800, a week.
        on_dead: called with the job's context when a job is in the dead set; `ctx["error"]` is why. Default: None.
        codec: in which results and runs of cron jobs are written: 'pickle', 'json', 'msgpack' or an `arq.codecs.Codec`;
            this and the following should be those of the clients. None: as `redis_pool` has it, else pickle.
            Default: None.
        accepts: a list of codecs that are read; what else comes is not decoded, and the job has failed. Default: None,
            that of `codec`.
        signing: an `arq.codecs.Keyring`: what is written is signed, and a job that is not signed by one of its keys for
            its id and queue is not decoded, and has failed. Default: None, neither.
        accept_unsigned: run also jobs that are not signed, while signing is introduced or given up. Default: False.
        encrypt: encrypt arguments and results with the same keyring. Default: False.

    Raises:
        RuntimeError: neither a function nor a cron job was given, or something else where one must stand.
        TypeError: `redis_pool` is a client of Redis Cluster, or not of redis.asyncio; `timezone` is no tzinfo; a hook
            or a serializer can't be called; `ctx` is no dictionary; `functions` or `cron_jobs` are no list;
            `queue_name` is no text; an option of payloads is of another type.
        ValueError: `queue_name` is None and there is no `redis_pool`; it, or `health_check_key`, is the name of another
            key; two functions or cron jobs share a name; a number is not in its range; options of payloads do not fit
            together.
        ImportError: there is nothing at a dotted path; a codec or `encrypt` needs a package that is not there.
    """

    #: process whose signals are somebody else's, also where a job starts a worker beside its own: the supervisor's
    no_signals_in_pid: ClassVar[int] = 0

    pool = Forwarded[ArqRedis](
        "_context", "pool", "The client of Redis; None before the start and after `close`."
    )
    loop = Forwarded[asyncio.AbstractEventLoop](
        "_context", "loop", "The event loop: the running one, or one for `run`."
    )
    tasks = Forwarded[dict[str, asyncio.Task[Any]]]("_jobs", "tasks", "The tasks of all jobs, by job id.")
    job_tasks = Forwarded[dict[str, asyncio.Task[Any]]](
        "_jobs", "job_tasks", "Those that run the job's own code."
    )
    aborting_tasks = Forwarded[set[str]](
        "_jobs", "aborting", "Ids of the jobs that `Job.abort` has cancelled."
    )
    jobs_complete = Forwarded[int]("_jobs", "complete", "How many jobs have returned.")
    jobs_failed = Forwarded[int]("_jobs", "failed", "How many jobs have failed for good.")
    jobs_retried = Forwarded[int]("_jobs", "retried", "How many runs were followed by another one.")
    queued = Forwarded[int]("_context", "queued", "How many jobs were in the queue when that was asked last.")
    allow_pick_jobs = Forwarded[bool](
        "_main_loop", "picks_jobs", "Whether it takes jobs. May be set while it runs."
    )
    outgoing = Forwarded[str](
        "_main_loop", "outgoing", "Name of workers that are about to go; '' if this is none of them."
    )
    job_counter = Forwarded[int](
        "_slots", "taken", "Places that are taken. What somebody adds to it counts, too."
    )
    sem = Forwarded[Semaphore](
        "_slots", "semaphore", "Places that are taken here are missing to the jobs; `max_jobs` + 1."
    )
    _pool = Forwarded[ArqRedis | None]("_context", "pool", "The same as `pool`.")
    # code that wants a new line now sets them
    _last_health_check = Forwarded[float](
        "_health", "written_at_s", "When the health line was written, unix time."
    )
    _last_health_check_log = Forwarded[str | None](
        "_health", "last_counts", "What the health line said last."
    )

    @with_arguments_of(WorkerOptions.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.main_task: asyncio.Task[None] | None = None
        #: whether the process ends after `run`; then late signals stay ignored
        self._ends_process = False
        # this module's number: it is where applications' tests shorten it
        loop = self._main_loop = MainLoop(self, self, _OUR_STEPS, lambda: keep_cronjob_progress)
        context = self._context = loop.context
        context.pool = self._given_pool
        self._jobs, self._slots, self._health = context.jobs, loop.slots, loop.health
        self._main = MainTask()
        self._shutdown = Shutdown(context, loop.writer, lambda: self.main_task, loop.pick_jobs)
        stop = self._shutdown
        self._closing = Closing(
            context, self._main, self._shut_down, stop.claim_no_more, self._let_go, stop.ready_for_another_run
        )
        self._signals = SignalHandlers(self._stop_on_signal, lambda sig: self.handle_sig(sig))  # noqa: PLW0108

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the worker until it is stopped (or, in burst mode, done), then close it.

        Raises:
            RuntimeError: an event loop runs in this thread, as in a notebook; there `async_run` is the way.
        """
        refuse_in_a_loop()
        loop = self.loop
        self.main_task = loop.create_task(self.main())
        try:
            run_to_end(loop, self.main_task)
        except asyncio.CancelledError:
            pass  # a signal: that is how a worker ends
        finally:
            try:
                run_to_end(loop, loop.create_task(self._closing.close(lambda: None)))
            finally:
                self._end_loop(loop)

    def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the loop; a late signal must not kill a process that has stopped well."""
        tell_who_goes_on()
        loop.run_until_complete(loop.shutdown_asyncgens())
        self._signals.end_with(loop, ends_process=self._ends_process)
        self._context.forget_loop()

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
            self.loop = asyncio.get_running_loop()
            if self._handle_signals and self.no_signals_in_pid != os.getpid():
                self._take_signals()
            await self._open()
            if self._context.pool is not None:  # `on_startup` may have closed the worker
                await self._main_loop.run()

    async def _open(self) -> None:
        context = self._context
        if context.pool is None:
            context.pool = await connect(self) if self._given_pool is None else self._given_pool
        self._main_loop.forget_dead_loops()
        self._main_loop.begin()
        say_start(self)
        await log_redis_info(self.pool, logger.info)
        self.ctx["redis"] = self.pool
        if self.on_startup:
            await to_await("on_startup", self.on_startup(self.ctx))

    # --- jobs ---------------------------------------------------------------------------------------------------------

    async def _poll_iteration(self) -> None:
        """Do what is regular, write how jobs ended, and take new ones if there is room and something may be due."""
        await self._main_loop.step()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim exactly these jobs, as far as they are due, free, and there is room, and start them.

        Args:
            job_ids: ids as they stand in the queue.
        """
        loop = self._main_loop
        await loop.claims.start_these(job_ids, loop.idle.free_slots)
        await loop.writer.let_go_outside_main()

    async def run_job(self, job_id: str, score: int) -> None:
        """Run one job, from its payload to its outcome. One asyncio task each; instrumentation replaces this method.

        Args:
            job_id: its id. A job that was not claimed before is claimed now.
            score: unix ms at which it was due.
        """
        loop = self._main_loop
        job = self._jobs.claimed.get(job_id) or await loop.claims.claim_for_caller(job_id)
        if job is not None:
            await loop.runner.run(job)

    async def finish_job(
        self,
        job_id: str,
        finish: bool,
        result_data: bytes | None,
        result_timeout_s: float | None,
        keep_result_forever: bool,
        incr_score: int | None,
        keep_in_progress: float | None,
    ) -> None:
        """Write how a run of a job has ended; returns when that is written.

        Called by a worker only where it is overridden: otherwise the endings of many jobs are written together.

        Args:
            job_id: id of a job that this worker runs.
            finish: whether the job leaves the queue.
            result_data: the serialized result; None: none is kept.
            result_timeout_s: how long to keep it, in seconds.
            keep_result_forever: keep it without a limit.
            incr_score: ms that are added to the job's score if it is run again; None: none.
            keep_in_progress: seconds for which the id stays taken; None: it is free at once.
        """
        asked = FinishArguments(
            finish, result_data, result_timeout_s, keep_result_forever, incr_score, keep_in_progress
        )
        await self._main_loop.finish_override.finish(job_id, asked)

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        """`finish_job` for a job that could not even be started: expired, unreadable, unknown, too many tries.

        Args:
            job_id: its id.
            result_data: the serialized failure; None: none is kept.
        """
        asked = FinishArguments(True, result_data, self.keep_result_s, self.keep_result_forever, None, None)
        await self._main_loop.finish_override.finish(job_id, asked)

    # --- what goes by the clock ---------------------------------------------------------------------------------------

    async def heart_beat(self) -> None:
        """Write the health line and enqueue the cron jobs that fall due. Called every `poll_delay`."""
        complaints, cron = self._main_loop.complaints, self._main_loop.cron
        await complaints.try_to("health line", self.record_health())
        if cron.needs_clock:
            await complaints.try_to("clock of redis", cron.look_at_clock())
        # Half as far ahead as a plain arq worker looks: one that serves another queue has taken the common id by then,
        # and ours gets a second one. The other way round it would get none.
        ahead_s = max(self.poll_delay_s, 0.5) / 2
        await complaints.try_to("cron jobs", self.run_cron(cron.now(), ahead_s))

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Enqueue the cron jobs that fall due within the next `delay * num_windows` seconds.

        Args:
            n: now, aware.
            delay: seconds until the next call at most.
            num_windows: how many calls to look ahead.
        """
        await self._main_loop.cron.enqueue_due(n, timedelta(seconds=delay * num_windows))

    async def record_health(self) -> None:
        """Write the health line, if it is time. Under a supervisor that is the supervisor's business."""
        await self._health.record()

    async def _cancel_aborted_jobs(self) -> None:
        await self._main_loop.aborts.obey()

    # --- ending -------------------------------------------------------------------------------------------------------

    def running_jobs(self) -> list[tuple[str, str]]:
        """Id and function name of the jobs whose code is being run."""
        return self._jobs.running()

    def _take_signals(self) -> None:
        if type(self)._add_signal_handler is _ADD_SIGNAL_HANDLER:
            self._signals.install()
        else:
            for sig in (Signals.SIGINT, Signals.SIGTERM):
                self._add_signal_handler(sig, self._stop_on_signal)

    def _add_signal_handler(self, signum: Signals, handler: Callable[[Signals], None]) -> None:
        self.loop.add_signal_handler(signum, functools.partial(handler, signum))

    def _stop_on_signal(self, signum: Signals) -> None:
        if self.job_completion_wait:
            self.drain(signum, again="a second Ctrl-C cancels them")
        else:
            self.handle_sig(signum)

    def stop_as_told(self) -> None:
        """Stop as on SIGTERM: an operator wants that."""
        if self.no_signals_in_pid == os.getpid():  # who handles it there also tells the supervisor
            signal.raise_signal(Signals.SIGTERM)
        else:
            self._stop_on_signal(Signals.SIGTERM)

    def drain(self, signum: Signals, limit_s: float | None = None, again: str = "") -> None:
        """`handle_sig_wait_for_completion`, and say for whom the worker waits.

        Args:
            signum: the signal that is the reason.
            limit_s: seconds after which somebody else ends the jobs, if that may be before.
            again: what happens at another signal; for people.
        """
        jobs = [] if self._shutdown.has_begun else self.running_jobs()
        self.handle_sig_wait_for_completion(signum)
        wait_s = float(self.job_completion_wait)
        job_log.waits_for(jobs, wait_s if limit_s is None else min(wait_s, limit_s), again)

    def handle_sig(self, signum: Signals) -> None:
        """Stop now: cancel the running jobs; they will be run again.

        Args:
            signum: the signal that is the reason.
        """
        self._shutdown.now(Signals(signum))

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Take no more jobs, give the running ones `job_completion_wait` seconds, then stop. Again: no effect.

        Args:
            signum: the signal that is the reason.
        """
        if not self._shutdown.has_begun:
            self._shutdown.drain(Signals(signum))

    async def close(self) -> None:
        """Let go of everything: jobs, locks, the health line, the connection to Redis. Doing it again has no effect.

        A `main` that still runs ends first, whatever it waits for, and so does one in the event loop of another thread:
        there `run` closes the worker.

        Raises:
            Exception: what `on_shutdown` raised.
        """
        if self._main.is_elsewhere:
            self.loop.call_soon_threadsafe(self._leave_main)
            await self._main.gone()
        else:
            await self._closing.close(self._signals.remove)

    def _leave_main(self) -> None:
        if not self._context.stopping:
            self.handle_sig(Signals.SIGUSR1)
        self._main.ask()

    def _shut_down(self) -> None:
        """Nobody has sent a signal. arq names one all the same, and who reads logs may look for that."""
        if self._handle_signals:
            return
        if self.names_no_signal or not (self.tasks or self._context.pool):
            self._shutdown.cancel_all(Signals.SIGUSR1)
        else:
            self.handle_sig(Signals.SIGUSR1)

    async def _let_go(self) -> None:
        loop = self._main_loop
        loop.forget_dead_loops()
        await loop.idle.stop_listening()
        await self._shutdown.jobs_end()
        loop.standstills.stop()
        await self._shutdown.leave()
        await loop.writer.finished()
        try:
            if self.on_shutdown:
                await to_await("on_shutdown", self.on_shutdown(self.ctx))
        finally:
            pool, self._context.pool = self.pool, None
            await pool.close(close_connection_pool=True)

    def __repr__(self) -> str:
        return f"<Worker {self._jobs}>"


#: Where somebody has put other methods in their place, these are asked.
_OUR_STEPS = OurSteps(
    Worker.start_jobs, Worker._poll_iteration, Worker.finish_job, Worker.finish_failed_job, Worker.run_job
)
_ADD_SIGNAL_HANDLER = Worker._add_signal_handler


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
    async with await create_pool(redis_settings) as redis:
        (line,) = await ask(redis, "MGET", key)  # None also where it is of another type
    if line is None:
        logger.warning("Health check failed: no health check sentinel value found")
        return 1
    logger.info("Health check successful: %s", line)
    return 0


def check_health(settings_cls: WorkerSettingsType) -> int:
    """`async_check_health` with Redis, key and queue from a settings object; of several servers all are checked.

    Returns:
        0 if the check was successful, 1 if not.
    """
    options = get_kwargs(settings_cls)
    rest = options.get("health_check_key"), options.get("queue_name")
    return check_each(options.get("redis_settings"), lambda one: async_check_health(one, *rest))
