"""Work that takes a while, beside the event loop: whoever else is served by it goes on being served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

#: Bytes that are read in the loop itself: to read more takes some milliseconds, and a thread 0.1.
_SMALL = 16_384
#: Seconds for which the loop is kept at a time.
_AT_A_TIME_S = 0.002


class OffLoop:
    """Reads one payload after another."""

    def __init__(self) -> None:
        self._since_s = time.monotonic()

    async def read(self, size: int, read: Callable[[], Answer]) -> Answer:
        """What `read` answers. It is done in a thread if it is about many bytes.

        Args:
            size: how many.
        """
        if size > _SMALL:
            return await asyncio.to_thread(read)
        if time.monotonic() - self._since_s > _AT_A_TIME_S:
            await asyncio.sleep(0)
            self._since_s = time.monotonic()
        return read()
