"""Group commit: calls that arrive while a write is under way go out together in the next one.

An idle caller pays nothing for it (its call goes out at once), a busy program makes one round trip for dozens of calls.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from .batch_sizes import MOST_ITEMS, fitting
from .redis_errors import blames_item, is_lost

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Sends items in batches, one batch at a time.

    Args:
        send: takes a batch and returns for each of its items, in order, an answer, or an exception for its caller. What
            it raises, all its callers get.
        most: items in one batch at most. May be changed at any time.
    """

    def __init__(
        self, send: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]], most: int = MOST_ITEMS
    ) -> None:
        self._send = send
        self.most = most
        self._sending = False
        self._waiting: list[tuple[Item, int, asyncio.Future[Answer]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drainer: asyncio.Task[None] | None = None

    async def submit(self, item: Item, size: int = 0) -> Answer:
        """Send one item and return its answer.

        Args:
            size: its bytes; batches have a few MB at most.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a client may outlive the event loop it was first used on
            self._loop, self._sending, self._waiting = loop, False, []
        if self._sending:
            future: asyncio.Future[Answer] = loop.create_future()
            self._waiting.append((item, size, future))
            return await future
        self._sending = True
        try:
            (answer,) = await self._send([item])
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self._sending = False
            if self._waiting:  # in a task of its own: this caller has its answer, or has been cancelled
                self._sending = True
                self._drainer = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._waiting:
                count = fitting([size for _, size, _ in self._waiting[: self.most]], self.most)
                batch, self._waiting = self._waiting[:count], self._waiting[count:]
                await self._send_batch(batch)
        finally:
            self._sending = False

    async def _send_batch(self, batch: list[tuple[Item, int, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._send([item for item, _, _ in batch])
        except BaseException as exc:
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(_own(exc)) if isinstance(exc, Exception) else future.cancel()
            if not isinstance(exc, Exception):
                raise
            return
        for (_, _, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_exception(answer) if isinstance(answer, Exception) else future.set_result(answer)


async def send_apart(
    send: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
    items: list[Item],
    failure: Exception,
    is_there: Callable[[], Awaitable[bool]],
) -> list[Answer | Exception]:
    """Send the items of a batch that failed one by one, so that each gets its own answer or exception.

    Not if Redis is in trouble or refuses everybody: that is every item's answer.

    Args:
        failure: how the batch failed.
        is_there: whether Redis answers.
    """
    answers: list[Answer | Exception] = []
    if len(items) == 1 or not await _may_be_one(failure, is_there):
        return [_own(failure) for _ in items]
    for index, item in enumerate(items):
        (answer,) = await send([item])
        if isinstance(answer, Exception) and not await _may_be_one(answer, is_there):
            return answers + [_own(answer) for _ in items[index:]]
        answers.append(answer)
    return answers


async def _may_be_one(failure: Exception, is_there: Callable[[], Awaitable[bool]]) -> bool:
    """Whether one item may be the cause: Redis refused it, or hung up on it and answers otherwise."""
    return blames_item(failure) or (is_lost(failure) and await is_there())


def _own(failure: Exception) -> Exception:
    """An exception that all callers get, for one of them: what he notes on it is not noted on the others'."""
    try:
        mine = copy.copy(failure)
    except Exception:  # noqa: BLE001  (a class may want other arguments than it shows)
        return failure
    mine.__cause__, mine.__traceback__ = failure.__cause__, failure.__traceback__
    return mine
