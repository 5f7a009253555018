"""A worker with nothing to do: it waits for a token, a job, an ending to write, or the next look at the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from .._keys import old_wake_key, wake_key
from .._redis import scripts
from .._redis.connection_pools import prefix_of
from .._redis.scripts import ClaimAnswer
from .._redis.worker_connection import Link
from .context import Context
from .poll_schedule import PollSchedule
from .waiting_claim import WaitingClaim
from .wake_tokens import Listener

logger = logging.getLogger("arq.worker")

#: The shortest pause between two looks at an idle queue, in s, whatever poll_delay says: 0 must not burn a core.
_SHORTEST_PAUSE_S = 0.005


class Idle:
    """Waits while there is nothing to do.

    Args:
        context: the worker's.
        poll: when to look at the queue again.
        room: how many places for jobs there are.
        next_duty_s: when something is due by the clock.
        take: what the worker does with the answer of a claim.
        may_take_one: whether a claim that waits may bring a job: nobody else starts jobs, or looks at the queue.
    """

    def __init__(
        self,
        context: Context,
        poll: PollSchedule,
        *,
        room: Callable[[], int],
        next_duty_s: Callable[[], float],
        take: Callable[[ClaimAnswer], None],
        may_take_one: Callable[[], bool],
    ) -> None:
        self._context = context
        self._poll = poll
        self._room = room
        self._next_duty_s = next_duty_s
        self._take = take
        self._may_take_one = may_take_one
        #: waits for tokens; None in burst mode, and while the main loop does not run
        self.listener: Listener | None = None
        self._waiting_claim = WaitingClaim(context.exchange)
        #: what is done beside the main loop and may fail without harm
        self._beside: set[asyncio.Future[Any]] = set()

    def listen(self) -> None:
        """Wait for tokens from now on, whenever there is nothing else to do."""
        queue_name = self._context.options.queue_name
        redis = self._context.redis
        link = Link(redis.connection_pool, prefix=prefix_of(redis))
        keys = wake_key(queue_name), old_wake_key(queue_name)
        self.listener = Listener(link, *keys, self._heard, self._claim_lost)

    async def stop_listening(self) -> None:
        """Wait for tokens no more."""
        listener, self.listener = self.listener, None
        if listener is not None:
            await listener.stop()

    def disarm(self) -> None:
        """Let no claim wait any more."""
        if self.listener is not None:
            self.listener.disarm()

    def mute(self) -> None:
        """Wait for no token any more, now: they are for others."""
        if self.listener is not None:
            self.listener.mute()

    def listen_for_old(self, with_old: bool) -> None:
        """Whether to listen for tokens of our first versions, too."""
        if self.listener is not None:
            self.listener.with_old = with_old

    def free_slots(self) -> int:
        """Places for jobs without the one that is kept for a claim that waits."""
        kept = self.listener is not None and self.listener.has_claim
        return max(0, self._room() - kept)

    async def pause(self) -> None:
        """Wait until there is something to do: a token, an ending to write, a due job, or the next look."""
        context, poll = self._context, self._poll
        has_room, exchange = self._room() > 0, context.exchange()
        if exchange.has_endings or exchange.claim_lost or (has_room and poll.more):
            return
        if has_room and self.listener is not None and not context.outgoing:
            await self.listener.arm(self._claim_that_waits(self.listener))
        due_s = min(self._next_duty_s(), poll.look_at_s) if has_room else self._next_duty_s()
        wait_s = max(_SHORTEST_PAUSE_S, due_s - context.clock())
        timer = context.loop.call_later(wait_s, context.activity.set)
        try:
            await context.activity.wait()
        finally:
            timer.cancel()
            context.activity.clear()

    def _claim_that_waits(self, listener: Listener) -> tuple[Any, ...] | None:
        """The claim that waits together with a worker that runs nothing: it takes one job, and a place is kept for it.

        Not if that is the only place: no look at the queue could fill it. Nor where jobs end before their places are
        free, or somebody else's method starts them.
        """
        jobs, options = self._context.jobs, self._context.options
        if not self._may_take_one() or listener.has_claim or jobs.slots or jobs.claimed:
            return None
        if options.max_jobs < 2 or options.after_job_end is not None:
            return None
        return self._waiting_claim.command()

    def _heard(self, has_token: bool, raw: Any) -> None:
        """A wait is over; `raw`: the answer to the claim that waited with us, or None."""
        answer = None if raw is None else self._waiting_claim.answered(raw)
        if answer is not None:
            self._take(answer)
        elif has_token or raw is not None:
            self._on_token()
        self._context.activity.set()

    def _claim_lost(self) -> None:
        self._waiting_claim.lost()
        self._context.activity.set()

    def _on_token(self) -> None:
        if self._room() > 0:
            self._context.exchange().start_over()
            self._poll.more = True
        if self._room() <= 0 or self._context.outgoing:  # the token is somebody else's
            call = scripts.pass_on(self._context.options.queue_name)
            self._later(scripts.run(self._context.redis, call))

    def _later(self, doing: Any) -> None:
        """Do something beside the main loop that may fail without harm."""
        task = asyncio.ensure_future(doing)
        self._beside.add(task)
        task.add_done_callback(self._done_beside)

    def _done_beside(self, task: asyncio.Future[Any]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("not done: %r", task.exception())

    async def leave_to_the_waiting_claim(self) -> None:
        """Something may be due, and only the place that is kept is free: a token fills it, here or elsewhere."""
        self._poll.nothing_is_due()
        await self._context.exchange().run(scripts.pass_on(self._context.options.queue_name))
