"""Group commit: calls that arrive while a write is under way go out together in the next one.

An idle caller pays nothing for it (its call goes out at once), a busy program makes one round trip for dozens of calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Sends items in batches, one batch at a time.

    Args:
        send: takes a batch and returns one answer for each of its items, in order; what it raises, all its callers get.
        most: items in one batch at most.
    """

    def __init__(self, send: Callable[[list[Item]], Awaitable[list[Answer]]], most: int = 500) -> None:
        self._send = send
        self._most = most
        self._sending = False
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drainer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Send one item and return its answer."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a client may outlive the event loop it was first used on
            self._loop, self._sending, self._waiting = loop, False, []
        if not self._sending:
            return await self._send_now(item)
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        return await future

    async def _send_now(self, item: Item) -> Answer:
        self._sending = True
        try:
            return (await self._send([item]))[0]
        finally:
            self._sending = False
            if self._waiting:  # in a task of its own: this caller has its answer, or has been cancelled
                self._sending = True
                self._drainer = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._send_batch(batch)
        finally:
            self._sending = False

    async def _send_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._send([item for item, _ in batch])
        except BaseException as exc:
            for _, future in batch:
                if not future.done():
                    future.set_exception(exc) if isinstance(exc, Exception) else future.cancel()
            if not isinstance(exc, Exception):
                raise
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
