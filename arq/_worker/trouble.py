"""Redis is away: which errors a worker rides out, and how long it waits between tries. No I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
)

#: What passes when Redis is back, writable or has memory again. (OSError includes the built-in TimeoutError.)
PASSING: tuple[type[Exception], ...] = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    MasterDownError,
    OutOfMemoryError,
    ClusterDownError,
    TryAgainError,
    OSError,
)
#: What does not pass by waiting when a worker starts.
REFUSED: tuple[type[Exception], ...] = (AuthenticationError,)

_FIRST_S, _LONGEST_S = 0.1, 3.0


@dataclass
class Backoff:
    """Pauses that double, with jitter, so that the workers of a fleet do not all come back in the same moment."""

    tries: int = 0

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        pause_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self.tries, 10))
        self.tries += 1
        return pause_s * random.uniform(0.75, 1.25)
