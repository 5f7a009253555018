"""How long to wait before a process is started again, when to forgive, and when to give up."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

JITTER = 0.2


@dataclass(slots=True)
class RestartBackoff:
    """Pauses of one slot: `base_s`, doubled after each early death, never more than `max_s`.

    `jitter` returns a number in [0, 1); it moves each pause by up to a fifth, so that slots which died together
    do not come back together. The very first pause is never longer than `base_s`.
    """

    base_s: float
    max_s: float
    jitter: Callable[[], float]
    failures: int = 0

    def next_pause_s(self) -> float:
        """Count one more early death and return the pause that it earns."""
        pause_s = self.base_s * 2.0 ** min(self.failures, 60)
        ceiling_s = self.base_s if self.failures == 0 else self.max_s
        self.failures += 1
        factor = 1 - JITTER + 2 * JITTER * self.jitter()
        return min(min(pause_s, self.max_s) * factor, ceiling_s)

    def forgive(self) -> None:
        """The process has proved itself: the next death starts from the beginning."""
        self.failures = 0


@dataclass(slots=True)
class RestartLimit:
    """More than `most` failures within `window_s` seconds mean that restarting does not help."""

    most: int
    window_s: float
    seen_s: deque[float] = field(default_factory=deque)

    def note(self, now: float) -> bool:
        """Count a failure; true when that is one too many."""
        self.seen_s.append(now)
        return self.within(now) > self.most

    def forget(self, seen_s: float) -> None:
        """The failure of this time was none."""
        with suppress(ValueError):
            self.seen_s.remove(seen_s)

    def within(self, now: float) -> int:
        """Failures inside the window that ends now."""
        while self.seen_s and self.seen_s[0] <= now - self.window_s:
            self.seen_s.popleft()
        return len(self.seen_s)
