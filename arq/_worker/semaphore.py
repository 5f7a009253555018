"""arq's semaphore of a worker, for those who take places away from it."""

from __future__ import annotations

import asyncio


class Semaphore(asyncio.BoundedSemaphore):
    """arq's `Worker.sem`: whoever acquires it takes places from the jobs. It has one more than the worker has jobs."""

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self._places = places

    @property
    def taken(self) -> int:
        """How often it was acquired."""
        return self._places - self._value
