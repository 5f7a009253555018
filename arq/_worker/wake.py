"""Wait for wake-up tokens: Redis wakes one idle worker for each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from .._link import Link

logger = logging.getLogger("arq.worker")

#: Seconds that Redis holds one wait. A new one costs a command; a connection that died is noticed after this.
BLOCK_S = 30
#: Seconds between tries while Redis is away. The worker polls meanwhile.
_RETRY_S = 1.0


class Listener:
    """Takes at most one token each time it is armed.

    Args:
        pool: the pool whose settings the listener's own connection shares.
        key: list of tokens.
        on_token: called when a token was taken.
    """

    def __init__(self, pool: ConnectionPool, key: str, on_token: Callable[[], None]) -> None:
        self._link = Link(pool, BLOCK_S + 5)
        self._key = key
        self._on_token = on_token
        self._armed = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    def arm(self) -> None:
        """Take the next token."""
        self._armed.set()

    async def stop(self) -> None:
        """Stop listening and close the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._link.drop()

    async def _listen(self) -> None:
        while True:
            await self._armed.wait()
            try:
                (answer,) = await self._link.commands([("BLPOP", self._key, BLOCK_S)])
            except (RedisError, OSError, TimeoutError) as exc:
                logger.debug("no wake-up tokens while redis is away: %r", exc)
                await asyncio.sleep(_RETRY_S)
                continue
            if isinstance(answer, Exception):
                logger.debug("no wake-up tokens: %r", answer)
                await asyncio.sleep(_RETRY_S)
            elif answer is not None:
                self._armed.clear()
                self._on_token()
