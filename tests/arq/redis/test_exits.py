"""sys.exit, KeyboardInterrupt and the like, raised anywhere in a job: they fail that job and nothing else."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from arq.connections import RedisSettings, create_pool
from arq.jobs import JobResult
from arq.worker import JobExecutionFailed, Worker, func
from tests.arq.redis.harness import Ctx
from tests.arq.redis.programs import HEAD
from tests.support.programs import Program

Job = Callable[[Ctx, BaseException], Awaitable[Any]]


class Odd(BaseException):
    """What no `except Exception` stops."""


RAISED = {
    "exit": (SystemExit(2), "the job called sys.exit(2)"),
    "interrupt": (KeyboardInterrupt(), "the job raised KeyboardInterrupt()"),
    "odd": (Odd("odd"), "the job raised Odd('odd')"),
}


def boom(exc: BaseException) -> None:
    raise exc


async def boom_later(exc: BaseException) -> None:
    await asyncio.sleep(0)
    raise exc


async def in_its_body(ctx: Ctx, exc: BaseException) -> None:
    raise exc


async def in_gather(ctx: Ctx, exc: BaseException) -> None:
    await asyncio.gather(boom_later(exc), asyncio.sleep(0))


async def in_a_task(ctx: Ctx, exc: BaseException) -> None:
    await asyncio.create_task(boom_later(exc))


async def in_wait_for(ctx: Ctx, exc: BaseException) -> None:
    await asyncio.wait_for(boom_later(exc), 60)


async def in_a_thread(ctx: Ctx, exc: BaseException) -> None:
    await asyncio.to_thread(boom, exc)


async def in_a_task_of_nobody(ctx: Ctx, exc: BaseException) -> str:
    over = asyncio.Event()
    task = asyncio.create_task(boom_later(exc))
    task.add_done_callback(lambda _: over.set())
    await over.wait()
    assert task.exception() is exc  # else asyncio complains that nobody has asked
    return "went on"


async def in_a_callback(ctx: Ctx, exc: BaseException) -> str:
    loop = asyncio.get_running_loop()
    passed = asyncio.Event()
    loop.call_soon(boom, exc)
    loop.call_later(0.001, passed.set)
    await passed.wait()
    return "went on"


async def when_a_task_is_done(ctx: Ctx, exc: BaseException) -> str:
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(lambda _: boom(exc))
    await task
    await asyncio.sleep(0)
    return "went on"


FAIL: list[Job] = [in_its_body, in_gather, in_a_task, in_wait_for, in_a_thread]
GO_ON: list[Job] = [in_a_task_of_nobody, in_a_callback, when_a_task_is_done]


@pytest.fixture(scope="module", autouse=True)
def pipes_of_libuv() -> None:
    """It opens two pipes with its first loop and keeps them."""
    uvloop.new_event_loop().close()


def run_beside_another(
    settings: RedisSettings, job: Job, exc: BaseException, own_loop: bool
) -> list[JobResult]:
    """The results of a job that runs from before the other one's end to after it, and of the other one."""
    gate = asyncio.Event()

    async def neighbour(ctx: Ctx) -> str:
        await gate.wait()
        return "neighbour"

    async def bad(ctx: Ctx) -> Any:
        try:
            return await job(ctx, exc)
        finally:
            gate.set()

    async def enqueue() -> None:
        pool = await create_pool(settings)
        await pool.enqueue_job("neighbour", _job_id="neighbour")
        await pool.enqueue_job("bad", _job_id="bad")
        await pool.aclose()

    async def results() -> list[JobResult]:
        pool = await create_pool(settings)
        found = await pool.all_job_results()
        await pool.aclose()
        return sorted(found, key=lambda result: str(result.job_id))

    asyncio.run(enqueue())
    worker = Worker(
        [func(neighbour, name="neighbour"), func(bad, name="bad")],
        redis_settings=settings,
        burst=True,
        poll_delay=0,
    )
    if own_loop:
        worker.loop = asyncio.new_event_loop()
    worker.run()
    return asyncio.run(results())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("own_loop", [False, True], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("job", [*FAIL, *GO_ON], ids=lambda job: job.__name__)
def test_that_job_fails_and_the_others_go_on(
    redis_settings: RedisSettings, job: Job, kind: str, own_loop: bool
) -> None:
    exc, text = RAISED[kind]
    bad, neighbour = run_beside_another(redis_settings, job, exc, own_loop)
    assert neighbour.success
    assert neighbour.job_try == bad.job_try == 1
    if job in GO_ON:
        assert bad.result == "went on"
    else:
        assert bad.result == JobExecutionFailed(text)


@pytest.mark.parametrize("hook", ["on_job_start", "on_job_end", "after_job_end"])
@pytest.mark.parametrize("kind", RAISED)
def test_hooks_of_a_job_count_as_the_job(redis_settings: RedisSettings, hook: str, kind: str) -> None:
    exc, text = RAISED[kind]

    async def raises(ctx: Ctx) -> None:
        raise exc

    async def job(ctx: Ctx) -> str:
        return "done"

    async def enqueue() -> None:
        pool = await create_pool(redis_settings)
        await pool.enqueue_job("job", _job_id="a")
        await pool.aclose()

    async def look() -> JobResult:
        pool = await create_pool(redis_settings)
        (found,) = await pool.all_job_results()
        await pool.aclose()
        return found

    asyncio.run(enqueue())
    worker = Worker([func(job, name="job")], redis_settings=redis_settings, burst=True, poll_delay=0)
    setattr(worker, hook, raises)
    worker.run()
    result = asyncio.run(look()).result
    assert result == ("done" if hook == "after_job_end" else JobExecutionFailed(text))


class Shy:
    """Can't be shown the first time."""

    was_asked = False

    def __repr__(self) -> str:
        if not Shy.was_asked:
            Shy.was_asked = True
            sys.exit("no")
        return "<Shy>"


def test_what_is_raised_while_a_result_is_shown_harms_nobody(
    redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def shows(ctx: Ctx, exc: BaseException) -> Shy:
        return Shy()

    monkeypatch.setattr(Shy, "was_asked", False)
    caplog.set_level("INFO", "arq")
    bad, neighbour = run_beside_another(redis_settings, shows, SystemExit(1), own_loop=False)
    assert "<Shy whose repr() raises SystemExit>" in caplog.text
    assert neighbour.success
    assert isinstance(bad.result, Shy)


CTRL_C = (
    HEAD
    + """
from arq.worker import Worker

async def busy(ctx):
    print("busy", flush=True)
    while True:
        for _ in range(1000):
            pass
        await asyncio.sleep(0)

def make():
    return Worker([busy], redis_settings=REDIS, handle_signals=False, on_shutdown=on_shutdown, poll_delay=0.05)

async def embedded():
    worker = make()
    try:
        await worker.async_run()
    finally:
        await worker.close()

def stop(*_):
    sys.exit(3)
"""
)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("start", "signum"),
    [
        ("make().run()", signal.SIGINT),
        ("asyncio.run(embedded())", signal.SIGINT),
        ("signal.signal(signal.SIGTERM, stop); make().run()", signal.SIGTERM),
    ],
    ids=["run", "asyncio.run", "own handler"],
)
def test_a_real_signal_still_stops(
    program: Callable[..., Program],
    write: Callable[..., None],
    redis_settings: RedisSettings,
    start: str,
    signum: signal.Signals,
) -> None:
    """Whatever was running when it came: here it is nearly always the job."""

    async def enqueue() -> None:
        pool = await create_pool(redis_settings)
        await pool.enqueue_job("busy")
        await pool.aclose()

    asyncio.run(enqueue())
    write(f"{CTRL_C}\nif __name__ == '__main__':\n    import signal\n    {start}\n")
    running = program("-m", "app")
    running.printed("busy")
    assert running.stop(signum) != 0
    assert running.lines[-1] == "on_shutdown was called"
