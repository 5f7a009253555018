"""How many failures are too many: then restarting does not help."""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field


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
