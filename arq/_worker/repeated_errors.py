"""Faults that go on: each is said once, and once more when it is over."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable

from redis.exceptions import ResponseError

from .._redis.redis_errors import is_full, passes
from .reconnect_backoff import ReconnectBackoff

#: The word that tells one of Redis's errors from the others.
_CODE = re.compile(r"\b[A-Z]{4,}\b")

logger = logging.getLogger("arq.worker")


class Complaints:
    """What Redis refuses again and again, by what it is about.

    Attributes:
        said: and why; empty when all is well.
        backoff: pauses between tries of what can't be left undone.
    """

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.backoff = ReconnectBackoff()

    def failed(self, what: str, exc: Exception) -> None:
        """Something was refused; another reason is said, too. The same one has other words inside a script."""
        found = _CODE.search(str(exc))
        reason = found[0] if found else str(exc)
        if self.said.get(what) != reason:
            self.said[what] = reason
            text = "%s: redis refuses, the worker goes on trying: %s: %s"
            logger.error(text, what, exc.__class__.__name__, exc)

    def went_well(self, what: str) -> None:
        """Something was not refused."""
        if self.said and self.said.pop(what, None) is not None:
            logger.info("%s: redis refuses no more", what)

    async def try_to(self, what: str, doing: Awaitable[None]) -> None:
        """Do one of the duties. What Redis refuses of it alone is said once, and the others go on.

        Raises:
            redis.exceptions.RedisError, OSError: Redis is in trouble, or can't be used for now.
        """
        try:
            await doing
        except ResponseError as exc:
            if not is_of_one_duty(exc):
                raise
            self.failed(what, exc)
        else:
            self.went_well(what)


def is_of_one_duty(exc: ResponseError) -> bool:
    """Whether a duty that was refused leaves the others possible; if not, Redis can't be used for now."""
    return is_full(exc) or not passes(exc)
