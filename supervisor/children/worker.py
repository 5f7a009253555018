"""A worker on its loop: made of the settings, READY, beats, drain, bye.

User code lives here and nowhere else. The parent reads what happens from the pipe and from the exit code.
"""

import asyncio
import faulthandler
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import arq.utils
import arq.worker
from arq._lock_time import lock_ms
from arq._loop_exits import run_to_end
from arq._option_types import to_await
from arq._redis.shard_settings import Shard, is_several, named_settings, shard_of
from arq.connections import RedisSettings

from ..exit_codes import ChildCode
from ..ipc.child_end import ChildEnd, beat
from ..ipc.codec import Message, read_message
from ..ipc.job_stats import UNKNOWN, JobStats
from ..ipc.messages import (
    TO_WORKER,
    BeatMessage,
    ByeMessage,
    DumpMessage,
    FatalMessage,
    HeldMessage,
    JobsMessage,
    OutgoingMessage,
    PickMessage,
    ReadyMessage,
    Running,
    brief_jobs,
)
from ..ipc.redis_settings import pack
from ..pool.events import Report
from ..pool.job_counts import JobCounts
from ..redis_errors import is_redis_away, is_redis_wrong, redis_refusal, refusal_hint, short
from ..settings import IF_SILENT
from ..time_limits import is_done
from .process_setup import count_of_servers, look_at, survived, warn_of_another_redis
from .standby import Place
from .task_dump import dump_tasks
from .tracebacks import trace_of, whole_trace_of
from .worker_programs import end_cut_off_programs, end_in_any_case, give_up_boot

logger = logging.getLogger("arq.worker")

CLOSE_S = 5.0
SEND_STATS_S = 0.1


def fail(line: ChildEnd, kind: str, error: BaseException, code: ChildCode, hint: str = "") -> int:
    """Tell the parent why this child ends; it shows each traceback once. A wrong path or value has none."""
    traces = {"import": trace_of, "settings": trace_of, "logging": trace_of, "boot": whole_trace_of}
    trace = traces[kind](error) if kind in traces else ""
    line.send_surely(FatalMessage(kind, short(error) + hint, trace))
    return code


class Session:
    """One worker on its loop."""

    def __init__(self, place: Place) -> None:
        self._brief = place.brief
        self._pipes = place.pipes
        self._line = place.line
        self._loop = place.loop
        self._orders = place.orders
        self._unread = place.unread
        self._worker: Any = None
        self._is_started = False
        self._is_stopping = False
        self._is_orphan = False
        self._hook_failed = False
        self._has_own_pool = False
        #: of how many servers each worker has one
        self._shards = 1
        self._shard: Shard | None = None
        self._stats = JobStats()
        self._sending: asyncio.TimerHandle | None = None
        self._redis_name = self._redis_text = self._servers_text = ""
        self._cancelled = asyncio.Event()

    def run(self, settings: Any) -> int:
        """Returns the exit code."""
        try:
            return run_to_end(self._loop, self._loop.create_task(self._live(settings)), self._is_ending)
        except BaseException as error:  # noqa: BLE001  # whatever ends a worker, the parent has to know
            if isinstance(error, asyncio.CancelledError) and not self._hook_failed:
                return ChildCode.UNFINISHED  # somebody has cancelled the worker, and it was not us
            return self._explain(error)

    def _is_ending(self) -> bool:
        main_task = getattr(self._worker, "main_task", None)
        return main_task is not None and bool(main_task.done())

    async def _live(self, settings: Any) -> int:
        try:
            look_at(self._brief, settings)
            self._worker = self._make_worker(settings)
        except Exception as error:  # noqa: BLE001  # settings that no worker can be made of
            return fail(self._line, "settings", error, ChildCode.IMPORT)
        self._listen()
        beats = asyncio.create_task(beat(self._line, self._brief.options.heartbeat_s, self._beat))
        try:
            await self._work()
        except BaseException:
            with suppress(Exception):  # what ended the work is the news, not what its end runs into
                await self._close()
            raise
        is_closed = await self._close()
        beats.cancel()
        if not is_closed:
            return ChildCode.UNFINISHED
        if self._is_stopping or self._brief.options.burst:
            self._line.send_surely(self._beat(0.0))  # counts that are final
            self._line.send_surely(JobsMessage(self._stats.take()))
            self._line.send_surely(ByeMessage("stop" if self._is_stopping else "burst"))
            return ChildCode.CLEAN
        return ChildCode.UNFINISHED  # nobody asked it to end

    # --- making ---------------------------------------------------------------------------------------------------

    def _make_worker(self, settings: Any) -> Any:
        arq.worker.Worker.no_signals_in_pid = os.getpid()
        # looked up at this moment: monitoring libraries replace it when the settings are imported
        worker = arq.worker.create_worker(settings, **self._overrides(settings))
        worker.worker_id = self._brief.worker_id
        worker.cohort = self._brief.cohort
        worker.on_ready = self._ready
        worker.allow_pick_jobs = not self._brief.is_quiet
        self._redis_name, self._redis_text = self._hand_over(worker)
        worker.supervised = bool(self._redis_name)
        worker.on_startup = self._watched(worker.on_startup)
        worker.on_shutdown = survived(worker.on_shutdown)  # type: ignore[assignment]
        worker.before_giving_back = lambda: end_cut_off_programs(self._brief)
        worker.names_no_signal = True
        worker.on_held_up = self._tell_held_up
        self._lead_cron(worker)
        if self._brief.options.metrics:
            worker.on_outcome = self._note_outcome
        return worker

    def _overrides(self, settings: Any) -> dict[str, Any]:
        wanted: dict[str, Any] = {"handle_signals": False}
        if self._brief.options.burst:
            wanted["burst"] = True
        given = arq.worker.get_kwargs(settings)
        wanted |= {name: value for name, value in IF_SILENT.items() if name not in given}
        self._has_own_pool = given.get("redis_pool") is not None
        if self._brief.redis_dsn and not self._has_own_pool:
            embedded = RedisSettings.from_dsn(self._brief.redis_dsn)
            theirs = wanted.setdefault("redis_settings", given.get("redis_settings") or embedded)
            if not is_several(theirs):
                warn_of_another_redis(embedded, theirs, self._brief.options.settings)
        if not self._has_own_pool and is_several(servers := given.get("redis_settings")):
            self._shards = count_of_servers(servers, self._brief.options.procs)
            self._shard = shard_of(servers, self._brief.slot)  # the same after a restart
            wanted["redis_settings"] = self._shard
            if self._brief.options.web and self._shards > 1:
                _, self._servers_text = pack(named_settings(servers))
        return wanted

    def _hand_over(self, worker: Any) -> tuple[str, str]:
        """The steward needs the Redis settings. With a pool made by the user, the worker keeps its own lease."""
        if self._has_own_pool:
            return "", ""
        return pack(self._shard or worker.redis_settings or RedisSettings())

    def _watched(self, hook: Callable[[Any], Awaitable[Any]] | None) -> Any:
        """The start hook, so that its failure is not taken for Redis's, and a stop knows when it is over."""

        async def on_startup(ctx: Any) -> None:
            try:
                if hook is not None:
                    await to_await("on_startup", hook(ctx))
            except BaseException:
                self._hook_failed = True
                raise
            self._is_started = True

        return on_startup

    def _lead_cron(self, worker: Any) -> None:
        """Several processes must not do what one would do: slot 0 leads, of several servers the first slot of each."""
        if not self._brief.options.cron_leader or not worker.cron_jobs:
            return
        for job in worker.cron_jobs:
            if not self._brief.is_first:
                job.run_at_startup = False
        if self._brief.slot >= self._shards:
            worker.cron_jobs = [job for job in worker.cron_jobs if job.unique]

    # --- telling --------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        worker = self._worker
        report = Report(
            completion_wait_s=float(worker.job_completion_wait or 0),
            longest_job_s=worker.longest_job_s,
            lock_s=lock_ms(worker.in_progress_timeout_s, supervised=True) / 1000,
            queue=worker.queue_name,
            health_key=worker.health_check_key,
            functions=len(worker.functions),
            max_jobs=worker.max_jobs,
            redis=self._redis_name,
        )
        self._line.send_surely(ReadyMessage(report, self._redis_text, self._servers_text))

    def _note_outcome(self, function: str, outcome: str, seconds: float) -> None:
        """Counts do not wait for the next beat: who is killed loses a tenth of a second of them at most."""
        self._stats.note(function if function in self._worker.functions else UNKNOWN, outcome, seconds)
        if self._sending is None:
            self._sending = self._loop.call_later(SEND_STATS_S, self._send_stats)

    def _send_stats(self) -> None:
        self._sending = None
        rows = self._stats.take()
        if rows and not self._line.send(JobsMessage(rows)):
            self._stats.add_rows(rows)
            self._sending = self._loop.call_later(SEND_STATS_S, self._send_stats)

    def _beat(self, lag_ms: float) -> BeatMessage:
        return BeatMessage(self._counts(), self._running(), lag_ms)

    def _counts(self) -> JobCounts:
        worker = self._worker
        return JobCounts(
            worker.jobs_complete,
            worker.jobs_failed,
            worker.jobs_retried,
            sum(not task.done() for task in worker.tasks.values()),
            worker.queued,
        )

    def _running(self) -> Running:
        return brief_jobs(self._worker.running_jobs())

    def _tell_held_up(self) -> None:
        """From another thread, while a job holds up the loop: no beat will tell what runs."""
        with suppress(Exception):  # the loop goes on, and what is read changes
            self._line.send(HeldMessage(self._counts(), self._running()))

    def _explain(self, error: BaseException) -> int:
        if not self._hook_failed and is_redis_away(error):
            return fail(self._line, "temp", error, ChildCode.TEMPFAIL)
        if not self._hook_failed and is_redis_wrong(error):
            return fail(self._line, "server", error, ChildCode.IMPORT)
        if refusal := redis_refusal(error):
            hint = refusal_hint(error, self._brief.options.settings)
            self._line.send_surely(FatalMessage("boot", refusal + hint))
            return ChildCode.BOOT
        return fail(self._line, "boot", error, ChildCode.BOOT)

    # --- ending ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """From here on there may be something to finish, so signals no longer end the process at once."""
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGQUIT, self._on_quit)
        signal.signal(signal.SIGUSR1, self._on_dump)
        with suppress(Exception):
            faulthandler.unregister(signal.SIGUSR1)
            faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)
        signal.signal(signal.SIGUSR2, self._on_quiet)
        self._line.on_broken = self._orphaned
        self._loop.add_reader(self._pipes.life_fd, self._orphaned)
        if self._pipes.orders_fd >= 0:
            os.set_blocking(self._pipes.orders_fd, False)
            self._loop.add_reader(self._pipes.orders_fd, self._read_orders)
            for order in self._unread:
                self._obey(order)

    def _on_term(self, *_: object) -> None:
        if not self._is_started:
            give_up_boot(self._brief)
        if os.getppid() != self._brief.supervisor_pid:
            self._orphaned()
        self._loop.call_soon_threadsafe(self._drain)

    def _on_quit(self, *_: object) -> None:
        if not self._is_started:
            give_up_boot(self._brief)
        self._loop.call_soon_threadsafe(self._cancel)

    def _on_quiet(self, *_: object) -> None:
        self._worker.allow_pick_jobs = False

    def _on_dump(self, _: int, frame: FrameType | None) -> None:
        """Runs after the stacks were written, also while a job blocks the loop (unless it never leaves C code)."""
        dump_tasks(self._brief, self._worker, self._loop, frame)
        self._line.send(DumpMessage(self._running()))

    def _read_orders(self) -> None:
        """What the parent has written; before a signal is obeyed, what was written before it."""
        with suppress(OSError):  # nothing is there, or a parent of an earlier version writes nothing
            data = os.read(self._pipes.orders_fd, 65536)
            if not data:  # it is gone, which the other pipe tells as well
                self._loop.remove_reader(self._pipes.orders_fd)
            for frame in self._orders.feed(data):
                self._obey(read_message(frame, TO_WORKER))

    def _obey(self, order: Message | None) -> None:
        match order:
            case PickMessage(is_allowed=is_allowed) if not self._is_stopping:
                self._worker.allow_pick_jobs = is_allowed
            case OutgoingMessage(cohort=cohort, outgoing=outgoing):
                self._worker.cohort, self._worker.outgoing = cohort, outgoing

    def _drain(self) -> None:
        """Take nothing new, let what runs finish for as long as the settings allow."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._read_orders()
        self._worker.cron_jobs = []
        self._worker.drain(signal.SIGTERM, self._brief.options.graceful_timeout_s)

    def _cancel(self) -> None:
        """Cancel what runs, now; it goes back to the queue."""
        self._is_stopping = True
        self._read_orders()
        self._cancelled.set()
        self._worker.handle_sig(signal.SIGQUIT)

    def _orphaned(self) -> None:
        """The parent is gone. Nobody else will end this process, so it has to be sure that it ends."""
        self._line.on_broken = lambda: None
        if not self._is_started:
            give_up_boot(self._brief)
        if self._is_orphan:  # the signal and the end of the pipe say the same
            return
        self._is_orphan = True
        with suppress(Exception):
            self._loop.remove_reader(self._pipes.life_fd)
        self._worker.supervised = False  # the steward ends too: the worker keeps its own lease again
        self._loop.call_soon_threadsafe(self._drain)
        end_in_any_case(self._brief, float(self._worker.job_completion_wait or 0))

    async def _work(self) -> None:
        try:
            await self._worker.async_run()
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise

    async def _close(self) -> bool:
        """Close the worker; after QUIT that may take only a little while. False = it was given up."""
        closing = asyncio.ensure_future(self._worker.close())
        quitting = asyncio.create_task(self._cancelled.wait())
        await asyncio.wait({closing, quitting}, return_when=asyncio.FIRST_COMPLETED)
        quitting.cancel()
        if not closing.done():
            limit_s = min(CLOSE_S, 0.8 * self._brief.options.kill_timeout_s)
            if not await is_done(closing, limit_s):
                logger.error("the end of the worker took too long, and was broken off (on_shutdown?)")
                return False
        closing.result()
        return True
