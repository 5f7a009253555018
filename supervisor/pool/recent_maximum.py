"""The largest of the values that were noted lately. Pure: the time is an argument."""

from collections import deque


class RecentMaximum:
    """Remembers no more than is needed: what a later and larger value outlives is forgotten.

    Args:
        over_s: how long a value counts, in seconds.
    """

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        # the oldest first, and therefore the largest
        self._values: deque[tuple[float, float]] = deque()

    def note(self, value: float, now: float) -> None:
        """One more."""
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((now, value))
        self._forget(now)

    def at(self, now: float) -> float:
        """The largest of the last `over_s` seconds; 0 without any."""
        self._forget(now)
        return self._values[0][1] if self._values else 0.0

    def _forget(self, now: float) -> None:
        while self._values and now - self._values[0][0] > self._over_s:
            self._values.popleft()
