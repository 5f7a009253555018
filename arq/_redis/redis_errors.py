"""What an error of Redis's says: it is away or full for now, it forbids, or it refuses just this item. No I/O."""

from __future__ import annotations

import re

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

from .server_errors import is_refusal

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
_FULL = re.compile(r"(?:^|-)OOM\b")
#: What Redis says to everybody with these rights, or of this version; inside a script there is no type for it.
_FOR_ALL = re.compile(
    r"(?:^|-)(?:NOPERM|NOAUTH|WRONGPASS|NOSCRIPT|MOVED|ASK|CROSSSLOT)\b|permission|ACL failure"
    r"|can't (?:run this command|access at least one)|unknown (?:redis )?command",
    re.IGNORECASE,
)


def passes(exc: Exception) -> bool:
    """Whether it is worth waiting for this to pass, instead of giving up."""
    if isinstance(exc, PASSING):
        return True
    return isinstance(exc, ResponseError) and _FOR_NOW.search(str(exc)) is not None


def is_full(exc: Exception) -> bool:
    """Whether Redis has answered that it is over its memory limit: what takes no memory goes on."""
    return isinstance(exc, OutOfMemoryError) or (
        isinstance(exc, ResponseError) and _FULL.search(str(exc)) is not None
    )


def is_lost(exc: Exception) -> bool:
    """Whether the connection is gone or silent: Redis may be away, or may have hung up on what it was sent."""
    return isinstance(exc, ConnectionError | TimeoutError | OSError)


def blames_item(exc: Exception) -> bool:
    """Whether Redis has answered that something is wrong with what it was sent, not with itself or our rights."""
    if not isinstance(exc, ResponseError) or is_refusal(exc) or passes(exc):
        return False
    return _FOR_ALL.search(str(exc)) is None
