"""A worker with nothing to do: it waits for a token, a job, an ending to write, or the next look at the queue."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from .. import _scripts
from .._keys import old_wake_key, wake_key
from .._scripts import ClaimAnswer
from .duties import Duties
from .jobs import JobRunner
from .wake import Listener

logger = logging.getLogger("arq.worker")

#: The shortest pause between two looks at an idle queue, in s, whatever poll_delay says: 0 must not burn a core.
_SHORTEST_PAUSE_S = 0.005
#: Answers overtake one another by less than this; a clock of Redis that goes back further was set.
_OVERTAKING_MS = 1000


class Waiting(JobRunner, Duties):
    """The part of a worker that waits."""

    def _start_state(self) -> None:
        super()._start_state()
        #: what is done beside the main loop and may fail without harm
        self._beside: set[asyncio.Future[Any]] = set()
        #: Redis's clock, unix ms, in the newest answer to a claim
        self._answered_ms = 0

    def _make_listener(self) -> Listener:
        keys = wake_key(self.queue_name), old_wake_key(self.queue_name)
        return Listener(self.pool.connection_pool, *keys, self._heard, self._waiting_claim_lost)

    async def _pause(self) -> None:
        """Wait until there is something to do: a token, an ending to write, a due job, or the next look."""
        has_room, pump = self._room() > 0, self._get_pump()
        if pump.has_endings or pump.claim_lost or (has_room and self._more):
            return
        if has_room and self._listener is not None and not self._outgoing:
            await self._listener.arm(self._idle_claim())
        wait_s = max(_SHORTEST_PAUSE_S, self._next_duty_s(has_room) - self._clock())
        timer = self.loop.call_later(wait_s, self._activity.set)
        try:
            await self._activity.wait()
        finally:
            timer.cancel()
            self._activity.clear()

    def _idle_claim(self) -> tuple[Any, ...] | None:
        """The claim that waits together with a worker that runs nothing: it takes one job, and a place is kept for it.

        Not if that is the only place: no look at the queue could fill it. Nor where jobs end before their places are
        free, or somebody else's method starts them.
        """
        assert self._listener is not None
        if not self._polled or self._starts_by_hand():
            return None
        if self._listener.has_claim or self._slots or self._claimed:
            return None
        if self.max_jobs < 2 or self.after_job_end is not None:
            return None
        return self._get_pump().waiting_claim()

    def _heard(self, has_token: bool, raw: Any) -> None:
        """A wait is over; `raw`: the answer to the claim that waited with us, or None."""
        answer = None if raw is None else self._get_pump().waited(raw)
        if answer is not None:
            self._take(answer)
            self._activity.set()
        elif has_token or raw is not None:
            self._on_token()
        else:
            self._activity.set()

    def _waiting_claim_lost(self) -> None:
        self._get_pump().stray()
        self._activity.set()

    def _on_token(self) -> None:
        if self._room() > 0:
            self._get_pump().start_over()
            self._more = True
        if self._room() <= 0 or self._outgoing:  # the token is somebody else's
            self._later(_scripts.run(self.pool, _scripts.pass_on(self.queue_name)))
        self._activity.set()

    def _later(self, doing: Any) -> None:
        """Do something beside the main loop that may fail without harm."""
        task = asyncio.ensure_future(doing)
        self._beside.add(task)
        task.add_done_callback(self._done_beside)

    def _done_beside(self, task: asyncio.Future[Any]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("not done: %r", task.exception())

    def _take(self, answer: ClaimAnswer) -> None:
        """Start what a claim brought. Of answers over two connections, an older one must not hide what a newer said."""
        look_at_s, more = self._look_at_s, self._more
        was_overtaken = 0 < answer.now_ms < self._answered_ms <= answer.now_ms + _OVERTAKING_MS
        super()._take(answer)
        if was_overtaken:
            self._more = self._more or more
            self._look_at_s = min(self._look_at_s, look_at_s)
        elif answer.now_ms:
            self._answered_ms = answer.now_ms

    async def _leave_to_who_waits(self) -> None:
        """Something may be due, and only the place that is kept is free: a token fills it, here or elsewhere."""
        self._more = False
        self._look_again(-1)
        await self._get_pump().pass_on()
