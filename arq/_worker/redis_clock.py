"""Redis's clock, by which cron jobs are planned, and how far this host's clock is off. No I/O."""

from __future__ import annotations

#: Seconds after which Redis is asked again, and the least time between two questions.
_KEEP_S, _PAUSE_S = 10.0, 1.0
#: A host whose clock is off by more than this is told so, until it is right to within the second number.
_WRONG_MS, _RIGHT_MS = 3000, 2000
#: A step of the host's clock, or a standstill that the monotonic clock did not see, of more than this is looked into.
_STEP_MS = 500


class RedisClock:
    """Reckons Redis's clock from one answer to the next. A clock of the host that is set meanwhile does not matter."""

    def __init__(self) -> None:
        self._redis_ms = self._host_ms = 0.0
        self._at_s: float | None = None
        self._uncertain_ms = 0.0
        self._is_wrong = False

    @property
    def is_known(self) -> bool:
        """Whether Redis was ever asked."""
        return self._at_s is not None

    def is_due(self, now_s: float, host_ms: float) -> bool:
        """Whether Redis should be asked.

        Args:
            now_s: the monotonic clock.
            host_ms: the host's clock, unix ms.
        """
        if self._at_s is None:
            return True
        passed_s = now_s - self._at_s
        stepped_ms = abs(host_ms - self._host_ms - passed_s * 1000)
        return passed_s >= _KEEP_S or (passed_s >= _PAUSE_S and stepped_ms > _STEP_MS)

    def asked(self, redis_ms: float, sent_s: float, came_s: float, host_ms: float) -> str | None:
        """Note an answer.

        Args:
            redis_ms: what Redis said, unix ms.
            sent_s, came_s: when it was asked, and when the answer came, by the monotonic clock.
            host_ms: the host's clock when the answer came, unix ms.

        Returns:
            what is to be said about the host's clock, "wrong" or "right"; None if nothing new is.
        """
        self._uncertain_ms = (came_s - sent_s) * 1000 / 2
        self._redis_ms, self._at_s, self._host_ms = redis_ms + self._uncertain_ms, came_s, host_ms
        off_ms = abs(self.host_ahead_ms)
        was_wrong = self._is_wrong
        if off_ms - self._uncertain_ms > _WRONG_MS:
            self._is_wrong = True
        elif off_ms + self._uncertain_ms < _RIGHT_MS:
            self._is_wrong = False
        if was_wrong == self._is_wrong:
            return None
        return "wrong" if self._is_wrong else "right"

    @property
    def host_ahead_ms(self) -> float:
        """How far the host's clock was ahead of Redis's when Redis was asked."""
        return self._host_ms - self._redis_ms

    def now_ms(self, now_s: float) -> float:
        """Redis's clock, unix ms. `now_s`: the monotonic clock."""
        assert self._at_s is not None
        return self._redis_ms + (now_s - self._at_s) * 1000

    def seems_wrong(self, redis_ahead_ms: int) -> bool:
        """Whether it is worth asking: a claim's answer, which may have been read late, says so, or we have said so."""
        return self._is_wrong or abs(redis_ahead_ms) > _WRONG_MS
