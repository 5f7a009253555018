"""Time limits for calls that follow one another."""

from __future__ import annotations

import asyncio
import time

import pytest

from arq._redis.reply_timeout import Patience

NEVER_S = 30.0


async def wait_under(patience: Patience, future: asyncio.Future[str]) -> str:
    with patience:
        return await future


def test_what_is_in_time_is_left_alone() -> None:
    async def main() -> None:
        patience = Patience(NEVER_S)
        for text in ("one", "two"):
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, text)
            assert await wait_under(patience, future) == text
        patience.stop()

    asyncio.run(main())


def test_a_late_answer_is_a_timeout_and_the_task_goes_on() -> None:
    async def main() -> None:
        patience = Patience(0.01)
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r"0\.01 s"):
                await wait_under(patience, asyncio.get_running_loop().create_future())
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()
        await asyncio.sleep(0)  # would raise if a cancellation was left over

    asyncio.run(main())


def test_a_later_block_has_its_whole_time() -> None:
    """The timer of the first block runs off while the second one waits; that one has time left."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        patience = Patience(NEVER_S)
        with patience:
            pass
        began_s = loop.time()
        task = asyncio.create_task(wait_under(patience, loop.create_future()))
        await asyncio.sleep(0)
        patience._look()
        assert patience._timer is not None
        assert patience._timer.when() >= began_s + NEVER_S
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        patience.stop()

    asyncio.run(main())


def test_a_loop_that_stands_still_all_the_time_doubles_the_limit_at_most() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 20

        def stand_still() -> None:
            loop.call_soon(time.sleep, 0.05)
            if loop.time() < until_s:
                loop.call_soon(stand_still)

        stand_still()
        with pytest.raises(TimeoutError):
            await wait_under(Patience(0.2), loop.create_future())
        left_s, until_s = until_s - loop.time(), 0.0
        return left_s

    assert asyncio.run(main()) > 0


def test_somebody_elses_cancellation_is_not_a_timeout() -> None:
    async def main() -> None:
        patience = Patience(NEVER_S)
        task = asyncio.create_task(wait_under(patience, asyncio.get_running_loop().create_future()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        patience.stop()

    asyncio.run(main())


def test_a_cancellation_wins_over_a_timeout_of_the_same_moment() -> None:
    async def main() -> None:
        patience = Patience(0.0)
        task = asyncio.create_task(wait_under(patience, asyncio.get_running_loop().create_future()))
        await asyncio.sleep(0)
        patience._look()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_no_limit() -> None:
    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, future.set_result, "at last")
        assert await wait_under(Patience(None), future) == "at last"

    asyncio.run(main())


def test_a_new_loop_has_a_timer_of_its_own() -> None:
    patience = Patience(0.01)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await wait_under(patience, asyncio.get_running_loop().create_future())

    async def in_time() -> None:
        with patience:
            pass

    asyncio.run(in_time())  # its timer is still set when the loop is closed
    asyncio.run(main())


def test_while_data_moves_the_time_is_not_over() -> None:
    async def main() -> None:
        loop, left = asyncio.get_running_loop(), [5, 4, 3, 2, 1]

        def motion() -> int | None:
            return left.pop() if left else None

        with pytest.raises(TimeoutError):
            await wait_under(Patience(0.01, motion), loop.create_future())
        assert not left

    asyncio.run(main())


def test_a_transfer_that_does_not_get_on_is_given_up() -> None:
    async def main() -> None:
        asked: list[int] = []

        def motion() -> int:
            asked.append(1)
            return 7

        patience = Patience(0.01, motion)
        for _ in range(2):  # the second block knows nothing of the first one
            asked.clear()
            with pytest.raises(TimeoutError):
                await wait_under(patience, asyncio.get_running_loop().create_future())
            assert len(asked) == 2

    asyncio.run(main())
