"""Redis is away: which errors a worker rides out, and how long it waits between tries. No I/O."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
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
#: What Redis says when it can not write for now: replicas missing, disk full, a slow script. In Redis 6 the word stands
#: after a dash when it happens inside a script.
_FOR_NOW = re.compile(r"(?:^|-)(?:NOREPLICAS|MISCONF|BUSY|READONLY|OOM|LOADING|MASTERDOWN)\b")


def passes(exc: Exception) -> bool:
    """Whether it is worth waiting for this to pass, instead of giving up."""
    if isinstance(exc, PASSING):
        return True
    return isinstance(exc, ResponseError) and _FOR_NOW.search(str(exc)) is not None


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
