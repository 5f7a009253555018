"""How a worker ends: signals, the drain, and letting go of everything."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import os
import signal
from signal import Signals
from typing import Any, ClassVar

from redis.exceptions import RedisError

from .._ask import ask
from .._link import REPLY_TIMEOUT_S
from .._option_types import to_await
from .._refusals import passes
from .._servers import is_refusal
from . import report
from .main_task import MainTask
from .overridable import Overridable
from .signals import SignalHandlers
from .state import CANCEL_AGAIN_S
from .trouble import Backoff

logger = logging.getLogger("arq.worker")

#: Seconds to go on trying to write the last endings when Redis is away while the worker stops.
_LAST_WRITES_S = 5.0
#: The same when nothing is left to write but that the worker is gone.
_LAST_WORDS_S = 0.7
#: Jobs get their time in steps of so many seconds: while the process stands still they do not run, either.
_DRAIN_STEP_S = 0.25
#: Seconds that jobs get more at most, for a job that blocks the loop looks the same. Service managers grant as much.
_MOST_GIVEN_BACK_S = 5.0
#: Tries at least, though that time is over: it may be this process that stood still, not Redis that is away.
_LEAST_TRIES = 3


def _gives_up(tries: int, spent_s: float, lost: list[str | bytes]) -> bool:
    """Whether a worker that leaves has tried long enough to tell Redis; `lost`: jobs whose endings are not written."""
    if spent_s >= REPLY_TIMEOUT_S:
        return True
    return tries >= _LEAST_TRIES and spent_s >= (_LAST_WRITES_S if lost else _LAST_WORDS_S)


def _has_not_begun(task: asyncio.Task[Any]) -> bool:
    coroutine = task.get_coro()
    return inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


class Stopping(Overridable):
    """The part of a worker that ends it."""

    #: process whose signals are somebody else's, also where a job starts a worker beside its own: the supervisor's
    no_signals_in_pid: ClassVar[int] = 0

    def _start_state(self) -> None:
        super()._start_state()
        #: whether the process ends after `run`; then late signals stay ignored
        self._ends_process = False
        self._signals = SignalHandlers(self._stop_on_signal, self.handle_sig)
        self._drain_task: asyncio.Task[None] | None = None
        self._main = MainTask()
        self._closing = asyncio.Lock()
        self._closer: asyncio.Task[Any] | None = None

    def _take_signals(self) -> None:
        own = type(self)._add_signal_handler
        if own is Overridable._add_signal_handler:
            self._signals.install()
        else:
            for sig in (Signals.SIGINT, Signals.SIGTERM):
                self._add_signal_handler(sig, self._stop_on_signal)

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
        jobs = [] if self._draining or self._stopping else self.running_jobs()
        self.handle_sig_wait_for_completion(signum)
        wait_s = float(self.job_completion_wait)
        report.waits_for(jobs, wait_s if limit_s is None else min(wait_s, limit_s), again)

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
        self._claim_no_more()
        self._draining = True
        self.allow_pick_jobs = False
        logger.info("Setting allow_pick_jobs to `False`")
        logger.info("shutdown on %s ◆ %s ◆ %d to be completed", sig.name, self._counts(), len(self.tasks))
        self._drain_task = self.loop.create_task(self._wait_for_tasks_to_complete(sig))

    async def _wait_for_tasks_to_complete(self, signum: Signals) -> None:
        wait_s = float(self.job_completion_wait)
        await self._give_jobs(wait_s, min(wait_s, _MOST_GIVEN_BACK_S))
        if self._stopping:
            return
        logger.info(
            "shutdown on %s, wait complete ◆ %s ◆ %d ongoing to cancel",
            signum.name,
            self._counts(),
            len(self.tasks),
        )
        self._cancel_all(signum)

    async def _give_jobs(self, left_s: float, most_given_back_s: float) -> None:
        """Wait for the running jobs, `left_s` at most; time in which the process stood still comes on top."""
        until_s = self._clock() + left_s + most_given_back_s
        while self.tasks and left_s > 0 and self._clock() < until_s:
            begun_s, step_s = self._clock(), min(left_s, _DRAIN_STEP_S)
            await asyncio.wait(list(self.tasks.values()), timeout=step_s)
            left_s -= min(step_s, self._clock() - begun_s)

    def _cancel_all(self, sig: Signals) -> None:
        self._claim_no_more()
        self._stopping = True
        for job_id, task in list(self.tasks.items()):
            if not task.done():
                if _has_not_begun(task):
                    self._unbegun.add(job_id)
                task.cancel()
        if self.main_task:
            self.main_task.cancel()
        if self.on_stop:
            self.on_stop(sig)

    def _claim_no_more(self) -> None:
        if self._pump is not None and not self._draining and not self._stopping:
            self._pump.claim_no_more(self._outgoing)

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
            await self._close(keep_handlers=False)

    def _leave_main(self) -> None:
        if not self._stopping:
            self.handle_sig(Signals.SIGUSR1)
        self._main.ask()

    async def _close(self, *, keep_handlers: bool) -> None:
        if self._closer is asyncio.current_task():  # `on_shutdown` closes what is being closed
            return
        async with self._closing:
            self._closer = asyncio.current_task()
            try:
                await self._close_once(keep_handlers)
            finally:
                self._closer = None

    async def _close_once(self, keep_handlers: bool) -> None:
        await asyncio.sleep(0)  # a task of `main` that was made just before begins, and can be told to end
        if not self._handle_signals and not self._stopping:
            self._shut_down()
        self._claim_no_more()
        self._stopping = True
        try:
            await self._main.end()
            if self._pool is not None:
                await self._let_go()
        finally:
            if not keep_handlers:
                self._signals.remove()
            self._ready_for_another_run()

    def _shut_down(self) -> None:
        """Nobody has sent a signal. arq names one all the same, and who reads logs may look for that."""
        if self.names_no_signal or not (self.tasks or self._pool):
            self._cancel_all(Signals.SIGUSR1)
        else:
            self.handle_sig(Signals.SIGUSR1)

    def _ready_for_another_run(self) -> None:
        if self._drain_task is not None:
            self._drain_task.cancel()
        if self._draining:
            self._may_pick_jobs = True
        self._stopping = self._draining = False

    async def _let_go(self) -> None:
        self._forget_dead_loop()
        await self._stop_listening()
        await self._cancelled_jobs_end()
        self._standstills.stop()
        await self._leave()
        if self._flush_task is not None:
            await asyncio.gather(self._flush_task, return_exceptions=True)
        try:
            if self.on_shutdown:
                await to_await("on_shutdown", self.on_shutdown(self.ctx))
        finally:
            pool, self._pool = self.pool, None
            await pool.close(close_connection_pool=True)

    async def _cancelled_jobs_end(self) -> None:
        """Wait for the cancelled jobs; what still runs after a while is told again, it may have lost the first word."""
        while self.tasks:
            await self._give_jobs(CANCEL_AGAIN_S, math.inf)
            await self._give_back_held()
            for task in list(self.tasks.values()):
                task.cancel()
        await self._give_back_held()

    async def _give_back_held(self) -> None:
        """Let others have the jobs that were cut off; what these have started must not go on then."""
        if not self._held_back or self.before_giving_back is None:
            return
        try:
            await self.before_giving_back()
        except Exception:
            logger.exception("what cut off jobs have started could not be ended")
        held, self._held_back = self._held_back, []
        for ending in held:
            self._get_pump().record(ending)

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
                    await ask(self.pool, "DEL", self.health_check_key)
                break
            except (RedisError, OSError) as exc:
                lost = pump.unwritten()
                if is_refusal(exc) and not lost:
                    break  # it has been told already, and nothing could be told to Redis
                if not passes(exc) or _gives_up(backoff.tries + 1, self._clock() - begun_s, lost):
                    logger.warning(
                        "leaving without redis (%r); outcomes not written: %s", exc, lost or "none"
                    )
                    break
                await asyncio.sleep(backoff.next_s())
        await pump.close()
