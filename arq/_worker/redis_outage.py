"""What a worker does while Redis is away, or refuses to let it work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from redis.exceptions import RedisError

from .._redis.redis_errors import blames_item, passes
from .._redis.server_errors import is_refusal
from .connecting import CONNECTING
from .context import Context
from .duty_times import DutyTimes
from .poll_schedule import PollSchedule
from .reconnect_backoff import ReconnectBackoff
from .repeated_errors import Complaints

logger = logging.getLogger("arq.worker")


class RedisOutage:
    """Waits until Redis is there again, and says so.

    Args:
        context: the worker's.
        poll: is told to look at the queue after an outage.
        complaints: hears what Redis refuses again and again.
        say_ready: tells a supervisor that Redis has answered.
    """

    def __init__(
        self, context: Context, poll: PollSchedule, complaints: Complaints, say_ready: Callable[[], None]
    ) -> None:
        self._context = context
        self._poll = poll
        self._complaints = complaints
        self._say_ready = say_ready
        self._backoff = ReconnectBackoff()

    def begin(self) -> None:
        """The worker begins: nothing has failed yet."""
        self._backoff.tries = 0

    def step_went_well(self, times: DutyTimes, *, has_polled: bool) -> None:
        """The main loop has made a step: see whether Redis has answered, and is back.

        Args:
            times: what is due then.
            has_polled: whether the step was the loop's own, and not only somebody else's.
        """
        if not self._backoff.tries:
            return
        if has_polled and not self._context.exchange().link.is_open:
            times.present_at_s = 0.0  # it was asked nothing, say because no place is free: ask at once
            return
        logger.info("redis is back")
        self._backoff.tries = 0
        times.keep_at_s = 0.0  # its data may be gone: say anew that we are alive

    async def put_up_with(self, exc: Exception) -> None:
        """Wait for Redis, or until what stands there can be worked with. In burst mode the latter is an error."""
        options = self._context.options
        # A supervisor starts those again that could not start: it knows how many, and says why nothing happens.
        if passes(exc) and options.on_ready is None:
            await self._ride_out(exc)
        elif not options.burst and blames_item(exc) and (self._poll.answered_ms or "WRONGTYPE" in str(exc)):
            self._complaints.failed(self._queue_text(), exc)
            self._say_ready()  # it has answered
            with suppress(RedisError, OSError):
                await self._context.exchange().commit()
            await asyncio.sleep(self._complaints.backoff.next_s())
        else:
            if is_refusal(exc):  # as if Redis could not be reached: a traceback of ours tells nobody more
                exc.add_note(CONNECTING)
            raise exc

    def queue_is_well(self) -> None:
        """A claim was answered: what stood in the queue's place is gone."""
        self._complaints.went_well(self._queue_text())
        self._complaints.backoff.tries = 0

    def _queue_text(self) -> str:
        return f"queue {self._context.options.queue_name!r}"

    async def _ride_out(self, exc: Exception) -> None:
        """Redis is away: the running jobs go on, their endings are kept."""
        pause_s = self._backoff.next_s()
        logger.warning("redis trouble, next try in %0.1fs: %s: %s", pause_s, exc.__class__.__name__, exc)
        self._poll.more = True
        # What is open may hang as well, and a sentinel may know a new master by now.
        await self._context.exchange().close()
        await self._context.redis.connection_pool.disconnect(inuse_connections=False)
        await asyncio.sleep(pause_s)
