"""The worker: takes jobs from a queue and runs them. A job's journey is `_poll_iteration`, `run_job`, `_record`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from signal import Signals
from time import time
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import RedisError

from . import _scripts
from ._errors import FailedJobs, JobExecutionFailed, Retry, RetryJob
from ._function import Function, func
from ._health import Tally, format_line
from ._keys import health_key, wake_key
from ._link import Link
from ._worker import decide, report, run, schedule
from ._worker.attempt import Attempt, Cause, Ended, Outcome, Verdict
from ._worker.options import WorkerOptions, local_timezone
from ._worker.pump import Pump
from ._worker.settings import read_options
from ._worker.signals import SignalHandlers
from ._worker.trouble import Backoff, passes
from ._worker.wake import Listener
from .connections import ArqRedis, RedisSettings, create_pool, log_redis_info
from .constants import default_queue_name, keep_cronjob_progress
from .jobs import JobResult
from .typing import WorkerSettingsType
from .utils import import_string, timestamp_ms, to_ms

if TYPE_CHECKING:
    from ._scripts import ClaimAnswer, ClaimedJob

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

#: A note on exceptions that say that Redis could not be reached when the worker started.
CONNECTING = "while connecting to redis"

#: The shortest pause between two looks at an idle queue, in s, whatever poll_delay says: 0 must not burn a core.
_SHORTEST_PAUSE_S = 0.005
#: Seconds between two looks for workers that died elsewhere.
_SWEEP_S = 15.0
#: Seconds until a worker that steps over jobs which plain arq workers hold looks at the head of the queue again.
_START_OVER_BUSY_S, _START_OVER_IDLE_S = 0.5, 5.0
#: Seconds after which a job that was cancelled and still runs is cancelled again.
_CANCEL_AGAIN_S = 5.0
#: Seconds for which a worker counts among those that look at its queue.
_PRESENCE_S = 60.0
#: Seconds for which a supervised worker announces itself; its supervisor keeps it alive from then on.
_SUPERVISED_LEASE_S = 30
#: Seconds to go on trying to write the last endings when Redis is away while the worker stops.
_LAST_WRITES_S = 5.0
#: The same when nothing is left to write but that the worker is gone.
_LAST_WORDS_S = 0.7


class Worker(WorkerOptions):
    """Runs jobs. The arguments are those of `WorkerOptions`, see there."""

    def _start_state(self) -> None:
        """What changes while the worker runs, other than what is public."""
        #: whether the process ends after `run`; then late signals stay ignored
        self._ends_process = False
        self._signals = SignalHandlers(self._stop_on_signal, self.handle_sig)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pump: Pump | None = None
        self._listener: Listener | None = None
        self._activity = asyncio.Event()
        self._may_pick_jobs = True
        self._claimed: dict[str, ClaimedJob] = {}
        self._names: dict[str, str] = {}
        self._beside: set[asyncio.Future[Any]] = set()
        self._slots: set[asyncio.Task[Any]] = set()
        self._started = 0
        self._in_main = self._stopping = self._draining = False
        self._flush_task: asyncio.Task[None] | None = None
        self._drain_task: asyncio.Task[None] | None = None
        self._look_at_s = self._beat_at_s = self._keep_at_s = self._sweep_at_s = self._present_at_s = 0.0
        self._start_over_at_s = 0.0
        self._abort_again_at_s: dict[str, float] = {}
        self._more = True
        self._redis_ahead_ms = 0
        self._last_health: tuple[float, str | None] = (0.0, None)
        #: the first health line is there before the first job, which may block the loop; it is amended after that
        self._amend_health = False

    @property
    def pool(self) -> ArqRedis:
        """The client of Redis; None before the worker was started and after it was closed."""
        return cast(ArqRedis, self._pool)

    @property
    def allow_pick_jobs(self) -> bool:
        """Whether the worker takes jobs. May be changed while it runs."""
        return self._may_pick_jobs

    @allow_pick_jobs.setter
    def allow_pick_jobs(self, allow: bool) -> None:
        self._may_pick_jobs = allow
        self._activity.set()  # the loop may be asleep

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the worker: the running one, or a new one for `run`."""
        if self._loop is None or self._loop.is_closed():
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                self._loop = _new_event_loop()
        return self._loop

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def job_counter(self) -> int:
        """Jobs that take up one of the `max_jobs` places."""
        return len(self._slots)

    def running_jobs(self) -> list[tuple[str, str]]:
        """Id and function name of the jobs whose code is being run."""
        return [(job_id, self._names.get(job_id, "?")) for job_id in self.job_tasks]

    # ------------------------------------------------------------------ running

    def run(self) -> None:
        """Run the worker until it is stopped (or, in burst mode, done), then close it."""
        loop = self.loop
        self.main_task = loop.create_task(self.main())
        try:
            loop.run_until_complete(self.main_task)
        except asyncio.CancelledError:
            pass  # a signal: that is how a worker ends
        finally:
            try:
                loop.run_until_complete(self._close(keep_handlers=True))
            finally:
                self._end_loop(loop)

    def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the loop; a late signal must not kill a process that has stopped well."""
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
        raise FailedJobs(self.jobs_failed, [r for r in results if not r.success])

    async def main(self) -> None:
        """The worker itself: start, work, and in burst mode finish. `close` is up to the caller.

        Raises:
            redis.exceptions.RedisError, OSError: Redis could not be reached at the start. Later on that is waited out.
            Exception: what `on_startup` raised.
        """
        self._loop = asyncio.get_running_loop()
        if self._handle_signals:
            self._signals.install()
        await self._open()
        self._in_main = True
        try:
            await self._work()
        finally:
            self._in_main = False
            self._flush_beside()
            await self._stop_listening()

    async def _open(self) -> None:
        if self._pool is None:
            self._pool = await self._connect()
        self._activity = asyncio.Event()  # the loop may be another one than the last time
        self._more = True
        logger.info("Starting worker for %d functions: %s", len(self.functions), ", ".join(self.functions))
        await log_redis_info(self.pool, logger.info)
        self.ctx["redis"] = self.pool
        if self.on_startup:
            await self.on_startup(self.ctx)
        await self._get_pump().keep([], self._lease_ms())
        self._keep_at_s = self._clock() + self.in_progress_timeout_s / 3
        if not self.burst:
            self._listener = Listener(self.pool.connection_pool, wake_key(self.queue_name), self._on_token)

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

    def _get_pump(self) -> Pump:
        if self._pump is None:
            lock_ms = to_ms(self.in_progress_timeout_s)
            link = Link(self.pool.connection_pool)
            self._pump = Pump(
                link, self.queue_name, self.worker_id, lock_ms, self._lease_ms(), self.allow_abort_jobs
            )
        return self._pump

    def _lease_ms(self) -> int:
        return to_ms(_SUPERVISED_LEASE_S if self.supervised else self.in_progress_timeout_s)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    async def _work(self) -> None:
        backoff = Backoff()
        task = asyncio.current_task()
        while True:
            # Python 3.11's wait_for, with which redis-py sends, loses a cancellation that comes just when it is done.
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
            try:
                await self._poll_iteration()
                self._say_ready()
                if self.burst and await self._burst_is_done():
                    return
            except (RedisError, OSError) as exc:
                if not passes(exc):
                    raise
                await self._ride_out(exc, backoff)
            else:
                if backoff.tries:
                    logger.info("redis is back")
                    backoff.tries = 0
                    self._keep_at_s = 0.0  # its data may be gone: say anew that we are alive
                await self._pause()

    def _say_ready(self) -> None:
        """Redis has answered: tell whoever waits for it. Once, and before the first job, which may block the loop."""
        ready, self.on_ready = self.on_ready, None
        if ready is not None:
            ready()

    async def _ride_out(self, exc: Exception, backoff: Backoff) -> None:
        """Redis is away: the running jobs go on, their endings are kept."""
        pause_s = backoff.next_s()
        logger.warning("redis trouble, next try in %0.1fs: %s: %s", pause_s, exc.__class__.__name__, exc)
        self._more = True
        await asyncio.sleep(pause_s)

    async def _pause(self) -> None:
        """Wait until there is something to do: a token, an ending to write, a due job, or the next look."""
        free = self._free_slots() > 0
        if self._get_pump().has_endings or (free and self._more):
            return
        if free and self._listener is not None:
            self._listener.arm()
        wait_s = max(_SHORTEST_PAUSE_S, self._next_duty_s(free) - self._clock())
        timer = self.loop.call_later(wait_s, self._activity.set)
        try:
            await self._activity.wait()
        finally:
            timer.cancel()
            self._activity.clear()

    def _next_duty_s(self, free: bool) -> float:
        """When the loop must go on at the latest, whatever happens."""
        duties = [self._beat_at_s, self._keep_at_s, self._present_at_s]
        if not self.supervised:
            duties.append(self._sweep_at_s)
        if free:
            duties.append(self._look_at_s)
        return min(duties)

    def _on_token(self) -> None:
        if self._free_slots() > 0:
            self._get_pump().start_over()
            self._more = True
            self._activity.set()
        else:  # all places were taken meanwhile: the token is somebody else's
            self._later(_scripts.run(self.pool, _scripts.pass_on(self.queue_name)))

    def _later(self, doing: Any) -> None:
        """Do something beside the main loop that may fail without harm."""
        task = asyncio.ensure_future(doing)
        self._beside.add(task)
        task.add_done_callback(self._done_beside)

    def _done_beside(self, task: asyncio.Future[Any]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("not done: %r", task.exception())

    def _free_slots(self) -> int:
        return self.max_jobs - len(self._slots) if self.allow_pick_jobs and not self._stopping else 0

    async def _poll_iteration(self) -> None:
        """Do what is regular, write how jobs ended, and take new ones if there is room and something may be due."""
        await self._do_what_is_regular()
        # Half of the places at a time: one half runs while Redis writes the endings of the other and fills it anew.
        want = min(self._free_slots(), self.queue_read_limit, (self.max_jobs + 1) // 2)
        if self.burst and self.max_burst_jobs >= 0:
            want = min(want, self.max_burst_jobs - self._started)
        if want > 0 and not self._more:
            want = want if await self._may_be_due() else 0
        pump = self._get_pump()
        if want > 0 or pump.has_endings:
            answer = await pump.exchange(max(0, want), fair=not self.burst)
            if answer is not None:
                self._take(answer)
        await self._let_go_outside_main()

    async def _let_go_outside_main(self) -> None:
        """Keep no connection open for a caller who uses single steps of the worker and may never close it."""
        if not self._in_main:
            await self._get_pump().close()

    async def _may_be_due(self) -> bool:
        """Whether it is time to look at the queue, and if so, whether its first job is due."""
        if self._clock() < self._look_at_s:
            return False
        earliest_ms = await self._get_pump().earliest_ms()
        wait_ms = -1 if earliest_ms is None else max(0, earliest_ms - timestamp_ms() - self._redis_ahead_ms)
        if wait_ms:
            self._look_again(wait_ms)
        return wait_ms == 0

    def _take(self, answer: ClaimAnswer) -> None:
        """Start what a claim brought, and note when to look again."""
        if answer.now_ms:
            self._redis_ahead_ms = answer.now_ms - timestamp_ms()
        self._more = answer.wait_ms == 0 and not answer.shared
        self._look_again(10 if answer.shared else answer.wait_ms)
        self._say_ready()
        if answer.jobs and not self._started:
            self._amend_health = True
        if not self._stopping:  # else it is given back when the worker leaves
            for job in answer.jobs:
                if job.job_id not in self._claimed:  # after a lost answer we are told of all that is ours
                    self._start(job)

    def _look_again(self, wait_ms: int) -> None:
        longest_s = self.poll_delay_s
        self._look_at_s = self._clock() + (min(longest_s, wait_ms / 1000) if wait_ms > 0 else longest_s)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim exactly these jobs, as far as they are due, free, and there is room, and start them.

        Args:
            job_ids: ids as they stand in the queue.
        """
        wanted = [job_id.decode() for job_id in job_ids][: max(0, self._free_slots())]
        if not wanted:
            return
        answer = await self._claim_exactly(wanted)
        started = {job.job_id for job in answer.jobs}
        for job_id in wanted:
            if job_id not in started:
                logger.debug("job %s already running elsewhere", job_id)
        self._take(answer)
        await self._let_go_outside_main()

    async def _claim_exactly(self, job_ids: list[str]) -> ClaimAnswer:
        while True:
            answer = await self._get_pump().exchange(len(job_ids), job_ids=job_ids)
            assert answer is not None
            if not answer.recovered:
                return answer
            self._take(answer)  # an earlier answer was lost: what it brought is to be run, too

    def _start(self, job: ClaimedJob) -> None:
        self._started += 1
        self._claimed[job.job_id] = job
        task = asyncio.create_task(self.run_job(job.job_id, job.score))
        self._slots.add(task)
        self.tasks[job.job_id] = task
        task.add_done_callback(functools.partial(self._task_ended, job))

    def _task_ended(self, job: ClaimedJob, task: asyncio.Task[Any]) -> None:
        """Tidy up after a job's task, also after one that was cancelled before it began."""
        self._slots.discard(task)
        if self.tasks.get(job.job_id) is task:
            del self.tasks[job.job_id]
        if self._claimed.get(job.job_id) is job:  # no outcome was recorded
            attempt = Attempt(job, job_try=job.job_try, start_ms=timestamp_ms())
            outcome = Outcome(
                attempt, Verdict.CANCELLED, interrupted=self._stopping, finish_ms=attempt.start_ms
            )
            if not task.cancelled() and (exc := task.exception()) is not None:
                logger.error("running job %s failed", job.job_id, exc_info=exc)
                outcome = Outcome(attempt, Verdict.FAILED, exc, finish_ms=attempt.start_ms)
            self._record(outcome)
        self._activity.set()

    # ------------------------------------------------------------------ one job

    async def run_job(self, job_id: str, score: int) -> None:
        """Run one job, from its payload to its outcome. One asyncio task each; instrumentation replaces this method.

        Args:
            job_id: its id. A job that was not claimed before is claimed now.
            score: unix ms at which it was due.
        """
        job = self._claimed.get(job_id) or await self._claim_one(job_id)
        if job is None:
            return
        attempt = decide.read(job, self.functions, self.job_deserializer)
        attempt.start_ms = timestamp_ms()
        outcome = decide.refuse(attempt, self, attempt.start_ms)
        if outcome is not None:
            report.refused(outcome)
            self._record(outcome)
            return
        ctx = attempt.context(self.ctx)
        outcome = await self._execute(attempt, ctx)
        if self.on_job_end is not None:
            outcome = await self._end_hook(ctx, outcome)
        self._record(outcome)
        if self.after_job_end is not None:
            await self._after_job_end(ctx, job_id)

    async def _claim_one(self, job_id: str) -> ClaimedJob | None:
        answer = await self._claim_exactly([job_id])
        for job in answer.jobs:
            self._claimed[job.job_id] = job
        return self._claimed.get(job_id)

    async def _execute(self, attempt: Attempt, ctx: dict[Any, Any]) -> Outcome:
        """Run the start hook and the job; whatever happens becomes an outcome."""
        job_id = attempt.job.job_id
        who_cancelled = functools.partial(self._who_cancelled, job_id)
        ended = None
        if self.on_job_start is not None:
            ended = await run.watch(self.on_job_start(ctx), None, who_cancelled)
            if ended.raised is None:
                attempt.start_ms = timestamp_ms()  # the hook's time is not the job's
        if ended is None or ended.raised is None:
            report.started(attempt)
            ended = await self._run_body(attempt, ctx, who_cancelled)
        outcome = decide.decide(attempt, ended, retry_jobs=self.retry_jobs, now_ms=timestamp_ms())
        report.ended(outcome, self.log_results)
        return outcome

    async def _run_body(
        self, attempt: Attempt, ctx: dict[Any, Any], who_cancelled: Callable[[], Cause]
    ) -> Ended:
        function, job_id = attempt.function, attempt.job.job_id
        assert function is not None
        timeout_s = self.job_timeout_s if function.timeout_s is None else function.timeout_s
        self.job_tasks[job_id] = cast("asyncio.Task[Any]", asyncio.current_task())
        self._names[job_id] = attempt.function_name
        try:
            body = function.coroutine(ctx, *attempt.args, **attempt.kwargs)
        except Exception as exc:  # noqa: BLE001  (the arguments do not fit)
            return Ended(raised=exc)
        else:
            return await run.watch(body, timeout_s, who_cancelled)
        finally:
            del self.job_tasks[job_id], self._names[job_id]
            self.aborting_tasks.discard(job_id)
            self._abort_again_at_s.pop(job_id, None)

    def _who_cancelled(self, job_id: str) -> Cause:
        if job_id in self.aborting_tasks:
            return Cause.ABORT
        return Cause.SHUTDOWN if self._stopping else Cause.NOBODY

    async def _end_hook(self, ctx: dict[Any, Any], outcome: Outcome) -> Outcome:
        """Run on_job_end; if it raises, the job has failed."""
        assert self.on_job_end is not None
        ended = await run.watch(self.on_job_end(ctx), None, lambda: Cause.NOBODY)
        if ended.raised is None or isinstance(ended.raised, asyncio.CancelledError):
            return outcome  # a shutdown must not undo what the job has done
        failed = Outcome(outcome.attempt, Verdict.FAILED, ended.raised, finish_ms=timestamp_ms())
        report.ended(failed, self.log_results)
        return failed

    def _record(self, outcome: Outcome) -> None:
        """Count an outcome and have it written; a group of them goes out together."""
        if outcome.verdict is Verdict.COMPLETE:
            self.jobs_complete += 1
        elif outcome.verdict.is_final:
            self.jobs_failed += 1
        else:
            self.jobs_retried += 1
        if self.on_outcome is not None:
            attempt = outcome.attempt
            took_s = (outcome.finish_ms - attempt.start_ms) / 1000
            self.on_outcome(attempt.function_name, outcome.verdict.name.lower(), took_s)
        job_id = outcome.attempt.job.job_id
        ending = decide.ending(outcome, self, self.queue_name, keep_cronjob_progress, self.job_serializer)
        self._get_pump().record(ending)
        self._claimed.pop(job_id, None)
        if self.after_job_end is None:  # else the place is taken until that hook is through
            self._slots.discard(cast("asyncio.Task[Any]", asyncio.current_task()))
        self._activity.set()
        self._flush_beside()

    def _flush_beside(self) -> None:
        """Write endings in a task of its own while the main loop does not run."""
        if (
            not self._in_main
            and self._flush_task is None
            and self._pump is not None
            and self._pump.has_endings
        ):
            self._flush_task = asyncio.create_task(self._flush(self._pump))

    async def _flush(self, pump: Pump) -> None:
        try:
            while pump.has_endings and not self._in_main:
                await pump.exchange()
            if not self._in_main:
                await pump.close()
        except (RedisError, OSError) as exc:
            logger.warning("outcomes are not written yet, redis trouble: %s: %s", exc.__class__.__name__, exc)
        finally:
            self._flush_task = None

    async def _after_job_end(self, ctx: dict[Any, Any], job_id: str) -> None:
        assert self.after_job_end is not None
        try:
            await asyncio.shield(self._get_pump().written())
            await self.after_job_end(ctx)
        except asyncio.CancelledError:
            logger.info("after_job_end of job %s cancelled", job_id)
        except Exception:
            logger.exception("after_job_end of job %s failed", job_id)

    # ------------------------------------------------------------------ what is regular

    async def _do_what_is_regular(self) -> None:
        now_s = self._clock()
        if now_s >= self._beat_at_s:
            self._beat_at_s = now_s + self.poll_delay_s
            if self.allow_abort_jobs:
                await self._cancel_aborted_jobs()
            await self.heart_beat()
        if now_s >= self._start_over_at_s:
            self._start_over_at_s = now_s + (_START_OVER_BUSY_S if self._more else _START_OVER_IDLE_S)
            self._get_pump().start_over()
        if now_s >= self._keep_at_s:
            self._keep_at_s = now_s + self.in_progress_timeout_s / 3
            await self._keep_what_is_ours()
        if now_s >= self._present_at_s and self._in_main:
            self._present_at_s = now_s + _PRESENCE_S / 3
            await self._get_pump().show_presence(to_ms(_PRESENCE_S))
        if now_s >= self._sweep_at_s and not self.supervised:
            self._sweep_at_s = now_s + _SWEEP_S * random.uniform(0.8, 1.2)
            await self._sweep()

    async def _cancel_aborted_jobs(self) -> None:
        """Cancel those running jobs that somebody asked to abort."""
        for job_id in await self._get_pump().aborted(list(self.job_tasks)):
            task = self.job_tasks.get(job_id)
            now_s = self._clock()
            if task is not None and now_s >= self._abort_again_at_s.get(job_id, 0.0):
                self.aborting_tasks.add(job_id)
                self._abort_again_at_s[job_id] = now_s + _CANCEL_AGAIN_S
                task.cancel()

    async def heart_beat(self) -> None:
        """Write the health line and enqueue the cron jobs that fall due. Called every `poll_delay`."""
        await self.record_health()
        await self.run_cron(datetime.now(tz=self.timezone), max(self.poll_delay_s, 0.5))

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Enqueue the cron jobs that fall due within the next `delay * num_windows` seconds.

        Args:
            n: now, aware.
            delay: seconds until the next call at most.
            num_windows: how many calls to look ahead.
        """
        if not self.cron_jobs:
            return
        self._follow_clock_change()
        ticks = schedule.due(self.cron_jobs, n, timedelta(seconds=delay * num_windows))
        await asyncio.gather(*(self._enqueue_tick(tick) for tick in ticks))

    def _follow_clock_change(self) -> None:
        """The system's timezone as an offset changes when summer time begins or ends: plan anew then."""
        current = self._own_timezone or local_timezone()
        if current != self.timezone:
            self.timezone = current
            for cron_job in self.cron_jobs or ():
                if cron_job.next_run is not None:
                    cron_job.calculate_next(datetime.now(tz=current))

    async def _enqueue_tick(self, tick: schedule.Tick) -> None:
        name = tick.cron_job.name
        if tick.once and tick.job_id is not None:
            await self.pool._enqueue_tick(
                name, tick.job_id, self.queue_name, tick.cron_job.schedule_id(), tick.due_ms
            )
        else:
            due = datetime.fromtimestamp(tick.due_ms / 1000, tz=self.timezone) if tick.ahead else None
            await self.pool.enqueue_job(
                name, _job_id=tick.job_id, _queue_name=self.queue_name, _defer_until=due
            )

    async def record_health(self) -> None:
        """Write the health line, if it is time. Under a supervisor that is the supervisor's business."""
        now_s = time()
        written_s, last_counts = self._last_health
        is_due = now_s - written_s >= self.health_check_interval
        if self.supervised or not (is_due or self._amend_health):
            return
        self._amend_health = False
        self.queued = await self.pool.zcard(self.queue_name)
        ongoing = sum(not task.done() for task in self.tasks.values())
        tally = Tally(self.jobs_complete, self.jobs_failed, self.jobs_retried, ongoing, self.queued)
        line = format_line(tally, datetime.now())  # noqa: DTZ005  (the line has local time)
        await self.pool.set(self.health_check_key, line.encode(), px=to_ms(self.health_check_interval + 1))
        if not is_due:
            return
        counts = str(tally)
        self._last_health = (now_s, counts)
        if last_counts is not None and last_counts != counts:
            logger.info("recording health: %s", line)

    async def _keep_what_is_ours(self) -> None:
        """Extend the locks of running jobs, and the lease of this worker."""
        lease_ms = None if self.supervised else self._lease_ms()
        for job_id in await self._get_pump().keep(list(self._claimed), lease_ms):
            if job_id in self._claimed:
                logger.warning("job %s is not this worker's any more, it may be run twice", job_id)

    async def _sweep(self) -> None:
        for worker_id, job_ids in (await self._get_pump().sweep()).items():
            if worker_id != self.worker_id:
                logger.warning(
                    "worker %s is gone, %d jobs given back: %s", worker_id, len(job_ids), job_ids[:10]
                )

    async def _burst_is_done(self) -> bool:
        """Whether nothing is left for a worker in burst mode; waits for the jobs that are running if so."""
        if 0 <= self.max_burst_jobs <= self._started:
            await self._finish_running()
        elif self.tasks or self._get_pump().has_endings or self._more:
            return False
        else:
            self.queued = await self.pool.zcard(self.queue_name)
            if self.queued:
                return False
        await self._get_pump().leave()
        await self._get_pump().close()
        return True

    async def _finish_running(self) -> None:
        while self.tasks:
            await asyncio.wait(list(self.tasks.values()))

    # ------------------------------------------------------------------ stopping

    def _stop_on_signal(self, signum: Signals) -> None:
        if self.job_completion_wait:
            self.handle_sig_wait_for_completion(signum)
        else:
            self.handle_sig(signum)

    def handle_sig(self, signum: Signals) -> None:
        """Stop now: cancel the running jobs; they will be run again.

        Args:
            signum: the signal that is the reason.
        """
        sig = Signals(signum)
        logger.info("shutdown on %s ◆ %s ◆ %d ongoing to cancel", sig.name, self._counts(), len(self.tasks))
        self._cancel_all(sig)

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Take no more jobs, give the running ones `job_completion_wait` seconds, then stop. Again: no effect.

        Args:
            signum: the signal that is the reason.
        """
        if self._draining or self._stopping:
            return
        sig = Signals(signum)
        self._draining = True
        self.allow_pick_jobs = False
        logger.info("Setting allow_pick_jobs to `False`")
        logger.info("shutdown on %s ◆ %s ◆ %d to be completed", sig.name, self._counts(), len(self.tasks))
        self._drain_task = self.loop.create_task(self._wait_for_tasks_to_complete(sig))

    async def _wait_for_tasks_to_complete(self, signum: Signals) -> None:
        deadline_s = self._clock() + self.job_completion_wait
        while self.tasks and self._clock() < deadline_s:
            await asyncio.wait(list(self.tasks.values()), timeout=deadline_s - self._clock())
        if self._stopping:
            return
        logger.info(
            "shutdown on %s, wait complete ◆ %s ◆ %d ongoing to cancel",
            signum.name,
            self._counts(),
            len(self.tasks),
        )
        self._cancel_all(signum)

    def _counts(self) -> str:
        return f"{self.jobs_complete} jobs complete ◆ {self.jobs_failed} failed ◆ {self.jobs_retried} retries"

    def _cancel_all(self, sig: Signals) -> None:
        self._stopping = True
        for task in list(self.tasks.values()):
            if not task.done():
                task.cancel()
        if self.main_task:
            self.main_task.cancel()
        if self.on_stop:
            self.on_stop(sig)

    async def close(self) -> None:
        """Let go of everything: jobs, locks, the health line, the connection to Redis. Doing it again has no effect.

        Raises:
            Exception: what `on_shutdown` raised.
        """
        await self._close(keep_handlers=False)

    async def _close(self, *, keep_handlers: bool) -> None:
        if not self._handle_signals and not self._stopping:
            self.handle_sig(Signals.SIGUSR1)
        if self._pool is None:
            return
        self._stopping = True
        await self._stop_listening()
        await self._cancelled_jobs_end()
        await self._leave()
        if self._flush_task is not None:
            await asyncio.gather(self._flush_task, return_exceptions=True)
        try:
            if self.on_shutdown:
                await self.on_shutdown(self.ctx)
        finally:
            pool, self._pool = self._pool, None
            await pool.close(close_connection_pool=True)
            if not keep_handlers:
                self._signals.remove()
            self._stopping = self._draining = False

    async def _cancelled_jobs_end(self) -> None:
        """Wait for the cancelled jobs; what still runs after a while is told again, it may have lost the first word."""
        while self.tasks:
            _, running = await asyncio.wait(list(self.tasks.values()), timeout=_CANCEL_AGAIN_S)
            for task in running:
                task.cancel()

    async def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.stop()

    async def _leave(self) -> None:
        """Write what is left to write and give back what was not begun; Redis may be away for a while."""
        pump, self._pump = self._get_pump(), None
        backoff, begun_s = Backoff(), self._clock()
        while True:
            try:
                await pump.leave()
                if not self.supervised:
                    await self.pool.delete(self.health_check_key)
                break
            except (RedisError, OSError) as exc:
                lost = pump.unwritten()
                if self._clock() - begun_s >= (_LAST_WRITES_S if lost else _LAST_WORDS_S):
                    logger.warning(
                        "leaving without redis (%r); outcomes not written: %s", exc, lost or "none"
                    )
                    break
                await asyncio.sleep(backoff.next_s())
        await pump.close()

    def __repr__(self) -> str:
        return (
            f"<Worker j_complete={self.jobs_complete} j_failed={self.jobs_failed} j_retried={self.jobs_retried} "
            f"j_ongoing={sum(not task.done() for task in self.tasks.values())}>"
        )


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_OPTIONS = frozenset(inspect.signature(Worker).parameters)


def get_kwargs(settings_cls: WorkerSettingsType) -> dict[str, Any]:
    """Those attributes or items of a settings object that are options of `Worker`; inherited attributes count."""
    return read_options(settings_cls, _OPTIONS)


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
    redis_settings = redis_settings or RedisSettings()
    key = health_check_key or health_key(queue_name or default_queue_name)
    redis = await create_pool(redis_settings)
    try:
        line = await redis.get(key)
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
