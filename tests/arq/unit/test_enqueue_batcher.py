"""Group commit: who shares a batch, and what happens to those who share one with a failure."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import OutOfMemoryError, ResponseError

from arq._redis.batch_sizes import MOST_BYTES
from arq._redis.enqueue_batcher import Batcher, send_apart
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
    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(e) for e in failures] == ["lost"] * 3
    assert len({id(e) for e in failures}) == 3
    sender.error = None
    assert await batcher.submit(4) == 40


async def test_a_batch_has_a_limit_in_bytes(sender: Sender) -> None:
    batcher = Batcher(sender)
    tasks = [asyncio.create_task(batcher.submit(i, MOST_BYTES // 3)) for i in range(6)]
    await wait_until_async(lambda: sender.batches)
    tasks.append(asyncio.create_task(batcher.submit(6, 2 * MOST_BYTES)))
    await asyncio.sleep(0)
    sender.gate.set()
    await asyncio.gather(*tasks)
    assert sender.batches == [[0], [1, 2, 3], [4, 5], [6]]


async def test_an_exception_among_the_answers_is_for_one_caller() -> None:
    async def send(batch: list[int]) -> list[int | Exception]:
        await asyncio.sleep(0)
        return [ValueError(str(item)) if item % 2 else item for item in batch]

    batcher = Batcher(send)
    tasks = [asyncio.create_task(batcher.submit(i)) for i in range(5)]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(one) for one in ended] == list("01234")
    assert [type(one) for one in ended] == [int, ValueError, int, ValueError, int]
    with pytest.raises(ValueError, match="7"):
        await batcher.submit(7)


class Refusing:
    """Answers single items; what it refuses, and whether it answers at all, is up to the test."""

    def __init__(self, *bad: int, error: Exception, is_up: bool = True) -> None:
        self.bad, self.error, self.is_up = bad, error, is_up
        self.seen: list[int] = []

    async def __call__(self, batch: list[int]) -> list[int | Exception]:
        self.seen += batch
        return [self.error if item in self.bad else item for item in batch]

    async def is_there(self) -> bool:
        return self.is_up


REFUSED = ResponseError("value is not an integer or out of range")


@pytest.mark.parametrize("error", [Lost("hung up"), REFUSED])
async def test_one_by_one_the_bad_item_shows_itself(error: Exception) -> None:
    send = Refusing(2, error=error)
    assert await send_apart(send, [1, 2, 3], error, send.is_there) == [1, error, 3]
    assert send.seen == [1, 2, 3]


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("ACL failure in script: User u has no permissions to run the 'set' command"),
        ResponseError("The user executing the script can't run this command or subcommand"),
        ResponseError("Unknown Redis command called from script"),
    ],
)
async def test_what_is_no_items_fault_is_everybodys_answer(error: Exception) -> None:
    send = Refusing(error=error)
    answers = await send_apart(send, [1, 2, 3], error, send.is_there)
    assert [repr(answer) for answer in answers] == [repr(error)] * 3
    assert [type(answer) for answer in answers] == [type(error)] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert not send.seen


async def test_a_server_that_is_away_is_not_asked_once_for_each_item() -> None:
    lost = Lost("refused")
    send = Refusing(1, 2, 3, error=lost, is_up=False)
    assert list(map(str, await send_apart(send, [1, 2, 3], lost, send.is_there))) == ["refused"] * 3
    assert not send.seen
    send = Refusing(2, error=OutOfMemoryError("OOM"))
    assert list(map(str, await send_apart(send, [1, 2, 3], REFUSED, send.is_there))) == ["1", "OOM", "OOM"]
    assert send.seen == [1, 2]


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
