"""How long a worker waits between its tries while Redis is away. No I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

_FIRST_S, _LONGEST_S = 0.1, 3.0


@dataclass
class ReconnectBackoff:
    """Pauses that double, with jitter, so that the workers of a fleet do not all come back in the same moment."""

    tries: int = 0

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        pause_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self.tries, 10))
        self.tries += 1
        return pause_s * random.uniform(0.75, 1.25)
