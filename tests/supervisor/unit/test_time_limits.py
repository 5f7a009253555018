"""Limits on answers: what stands still together is late together, and nobody has failed."""

import asyncio
import gc
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from supervisor.commands.check_redis import _AlarmLimit
from supervisor.control.client import UnreachableError, ask
from supervisor.control.protocol import Request
from supervisor.time_limits import is_done, within
from tests.support.eventually import wait_until


async def test_an_answer_that_comes_after_everything_stood_still() -> None:
    async def answer() -> int:
        end_s = time.monotonic() + 0.7
        wait_until(lambda: time.monotonic() >= end_s)  # holds up the loop, and all that is on it
        coming: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, coming.set_result, 1)
        return await coming

    assert await within(0.3, answer()) == 1


async def test_an_error_that_nobody_waits_for_any_more_is_no_news() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    started = asyncio.Event()

    async def answer() -> None:
        started.set()
        await failing
        raise AssertionError

    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(within(30, answer()))
    await started.wait()
    failing.set_exception(ConnectionResetError())
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert not told


async def test_an_answer_that_does_not_come() -> None:
    was_cancelled = False

    async def answer() -> None:
        nonlocal was_cancelled
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled = True

    with pytest.raises(TimeoutError, match=r"no answer within 0\.3 s"):
        await within(0.3, answer())
    assert was_cancelled


async def test_what_the_answer_raises() -> None:
    async def answer() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await within(30, answer())


async def test_whoever_is_cancelled_takes_the_question_along() -> None:
    task = asyncio.ensure_future(asyncio.Event().wait())
    asking = asyncio.create_task(within(30, task))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert task.cancelled()


async def test_is_done_leaves_what_it_waits_for_alone() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert not await is_done(future, 0.01)
    assert not future.done()
    future.set_result(None)
    assert await is_done(future, 0.0)


def test_a_supervisor_that_takes_the_call_and_says_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "c.sock"))
        listener.listen()
        with pytest.raises(UnreachableError, match="timed out"):
            ask(tmp_path / "c.sock", Request("status"), timeout_s=0.3)


def test_a_supervisor_that_answers_in_pieces(tmp_path: Path) -> None:
    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            for piece in (b'{"ok"', b": true}", b"\n"):
                peer.sendall(piece)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "c.sock"))
        listener.listen()
        server = threading.Thread(target=serve)
        server.start()
        assert ask(tmp_path / "c.sock", Request("status"), timeout_s=30).ok
        server.join()


def test_slow_settings_get_their_time_in_alarms_not_by_the_clock() -> None:
    patience = _AlarmLimit()
    for _ in range(9):
        patience(signal.SIGALRM, None)
    with pytest.raises(TimeoutError, match=r"longer than 2\.5 s"):
        patience(signal.SIGALRM, None)
