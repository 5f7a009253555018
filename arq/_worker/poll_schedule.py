"""When to look at the queue again, reckoned from what Redis has said last."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from .._redis.scripts import ClaimAnswer
from ..utils import timestamp_ms

#: Answers overtake one another by less than this; a clock of Redis that goes back further was set.
_OVERTAKING_MS = 1000
#: ms until the next look where more is due, but was left to other workers.
_SHARED_PAUSE_MS = 10


class PollSchedule:
    """Says whether to look at the queue.

    Args:
        clock: the event loop's, in s.
        longest_s: the longest pause between two looks, in s.

    Attributes:
        more: whether more jobs may be due.
        look_at_s: when to look again if not, by `clock`.
        answered_ms: Redis's clock, unix ms, in the newest answer; 0: there was none.
        redis_ahead_ms: how far Redis's clock is ahead of this host's.
    """

    def __init__(self, clock: Callable[[], float], longest_s: Callable[[], float]) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self.more, self.look_at_s = True, 0.0
        self.answered_ms = self.redis_ahead_ms = 0
        #: what Redis's clock said last, in unix ms, and when that was by the monotonic clock
        self._said_ms, self._said_at_s = 0, 0.0

    def nothing_is_due(self) -> None:
        """Look again after the longest pause."""
        self.more = False
        self.look_in(-1)

    def look_in(self, wait_ms: int) -> None:
        """Look again in so many ms; negative: nothing is planned in the queue."""
        longest_s = self._longest_s()
        self.look_at_s = self._clock() + (min(longest_s, wait_ms / 1000) if wait_ms > 0 else longest_s)

    def answered(self, answer: ClaimAnswer) -> None:
        """A claim has been answered. Of answers over two connections, an older one must not hide what a newer said."""
        more, look_at_s = self.more, self.look_at_s
        was_overtaken = 0 < answer.now_ms < self.answered_ms <= answer.now_ms + _OVERTAKING_MS
        if answer.now_ms:
            self.redis_ahead_ms = answer.now_ms - timestamp_ms()
            self._said_ms, self._said_at_s = answer.now_ms, monotonic()
        self.more = answer.wait_ms == 0 and not answer.shared
        self.look_in(_SHARED_PAUSE_MS if answer.shared else answer.wait_ms)
        if was_overtaken:
            self.more = self.more or more
            self.look_at_s = min(self.look_at_s, look_at_s)
        elif answer.now_ms:
            self.answered_ms = answer.now_ms

    def redis_now_ms(self) -> float:
        """Redis's clock, unix ms, as we reckon it from its last answer.

        Our clock may have been set back since, the monotonic one does not go on while a machine is suspended: the one
        that is further on counts. A look at the queue that comes too early costs little, and tells us better.
        """
        passed_ms = (monotonic() - self._said_at_s) * 1000
        return max(self._said_ms + passed_ms, timestamp_ms() + self.redis_ahead_ms)
