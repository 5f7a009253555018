"""A worker whose process lingers says for whom it waits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arq._worker.leftover_threads import tell_who_goes_on
from arq.connections import ArqRedis
from tests.arq.redis.programs import HEAD
from tests.support.eventually import wait_until_async
from tests.support.programs import Program

SETTINGS = (
    HEAD
    + """
import threading
from pathlib import Path

def wait_for(gate):
    print("it runs", flush=True)
    while not Path(gate).exists():
        time.sleep(0.02)

async def in_a_thread(ctx, gate):
    await asyncio.to_thread(wait_for, gate)

async def briefly_in_a_thread(ctx):
    await asyncio.to_thread(print, "it ran", flush=True)

async def on_startup(ctx):
    if gate := os.environ.get("GATE"):
        threading.Thread(target=wait_for, args=(gate,), name="mine").start()

class Settings:
    functions = [in_a_thread, briefly_in_a_thread]
    redis_settings = REDIS
    on_startup = on_startup
    poll_delay = 0.05
"""
)


@pytest.mark.processes
async def test_a_thread_of_a_cancelled_job_is_told_of(
    arq: Callable[..., Program], write: Callable[..., None], arq_redis: ArqRedis, tmp_path: Path
) -> None:
    write(SETTINGS)
    gate = tmp_path / "gate"
    await arq_redis.enqueue_job("in_a_thread", str(gate))
    program = arq("app.Settings")
    program.printed("it runs")
    program.process.terminate()
    program.printed("1 thread of a cancelled job still runs, and the process waits for its end: ")
    program.printed(f"{tmp_path}/app.py:")
    assert program.process.poll() is None
    gate.touch()
    assert program.ended() == 0


@pytest.mark.processes
async def test_threads_that_wait_for_work_are_not_worth_a_line(
    arq: Callable[..., Program], write: Callable[..., None], arq_redis: ArqRedis
) -> None:
    write(SETTINGS)
    await arq_redis.enqueue_job("briefly_in_a_thread")
    program = arq("app.Settings")
    program.printed("it ran")
    assert program.stop() == 0
    assert "still run" not in program.stderr


def hold(begun: threading.Event, gate: threading.Event) -> None:
    begun.set()
    gate.wait()


async def test_what_is_said_of_which_thread(caplog: pytest.LogCaptureFixture) -> None:
    def said() -> str:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            tell_who_goes_on()
        return caplog.text

    gate = threading.Event()
    loop = asyncio.get_running_loop()
    mine = threading.Thread(target=gate.wait, name="mine")
    daemon = threading.Thread(target=gate.wait, daemon=True)
    with ThreadPoolExecutor(3) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, int) for _ in range(3)))
        # a thread may still be telling the loop that it is through when the loop knows already
        await wait_until_async(lambda: said() == "", what="idle threads are not told")
        begun = [threading.Event() for _ in range(2)]
        calls = [loop.run_in_executor(threads, hold, event, gate) for event in begun]
        assert all(event.wait(30) for event in begun)
        for thread in (mine, daemon):
            thread.start()
        text = said()
        gate.set()
        await asyncio.gather(*calls)
    mine.join()
    daemon.join()
    assert "2 threads of cancelled jobs still run, and the process waits for their end: Thread" in text
    assert "1 thread still runs, and the process waits for its end: mine at " in text
