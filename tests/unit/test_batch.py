"""Group commit: who shares a batch, and what happens to those who share one with a failure."""

from __future__ import annotations

import asyncio

import pytest

from arq._batch import Batcher
from tests.support.eventually import PATIENCE_S, wait_until_async


class Sender:
    """Sends when told to; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: BaseException | None = None

    async def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [10 * item for item in batch]


@pytest.fixture
def sender() -> Sender:
    return Sender()


def submit(batcher: Batcher[int, int], items: range) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def test_a_lone_call_goes_out_at_once(sender: Sender) -> None:
    sender.gate.set()
    batcher = Batcher(sender)
    assert await batcher.submit(1) == 10
    assert await batcher.submit(2) == 20
    assert sender.batches == [[1], [2]]


async def test_calls_during_a_write_go_out_together(sender: Sender) -> None:
    tasks = submit(Batcher(sender), range(100))
    await wait_until_async(lambda: sender.batches)
    sender.gate.set()
    assert await asyncio.gather(*tasks) == [10 * item for item in range(100)]
    assert sender.batches == [[0], list(range(1, 100))]


async def test_a_batch_has_a_limit(sender: Sender) -> None:
    tasks = submit(Batcher(sender, most=3), range(8))
    await wait_until_async(lambda: sender.batches)
    sender.gate.set()
    await asyncio.gather(*tasks)
    assert sender.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]


async def test_a_failure_reaches_all_who_share_it_and_nobody_else(sender: Sender) -> None:
    batcher = Batcher(sender)
    tasks = submit(batcher, range(3))
    await wait_until_async(lambda: sender.batches)
    sender.error = ConnectionError("lost")
    sender.gate.set()
    assert [str(e) for e in await asyncio.gather(*tasks, return_exceptions=True)] == ["lost"] * 3
    sender.error = None
    assert await batcher.submit(4) == 40


async def test_a_caller_that_gives_up_takes_nobody_along(sender: Sender) -> None:
    batcher = Batcher(sender)
    tasks = submit(batcher, range(4))
    await wait_until_async(lambda: sender.batches)
    tasks[0].cancel()
    tasks[2].cancel()
    sender.gate.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert (ended[1], ended[3]) == (10, 30)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert isinstance(ended[2], asyncio.CancelledError)
    assert await batcher.submit(5) == 50


def test_a_batcher_outlives_its_event_loop() -> None:
    async def never(batch: list[int]) -> list[int]:
        await asyncio.Event().wait()
        return batch

    async def cut_off() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.submit(1), 0.01)
        stuck = asyncio.create_task(batcher.submit(2))
        await asyncio.wait([stuck], timeout=0.01)

    batcher = Batcher(never)
    asyncio.run(cut_off())
    batcher._send = answer_at_once
    assert asyncio.run(asyncio.wait_for(batcher.submit(3), PATIENCE_S)) == 3


async def answer_at_once(batch: list[int]) -> list[int]:
    return batch
