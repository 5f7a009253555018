"""How long to wait before a process is started again, and when to forgive."""

from collections.abc import Callable
from dataclasses import dataclass

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
