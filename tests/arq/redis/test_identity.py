"""A worker that a job starts, in any way, is another worker than the one that runs the job."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func
from tests.arq.redis.harness import Ctx, enqueued, members, quick, running
from tests.arq.redis.programs import HEAD
from tests.support.eventually import wait_until_async
from tests.support.programs import Program

Start = Callable[..., Program]
Write = Callable[..., None]

APP = (
    HEAD
    + """
import subprocess, multiprocessing
from arq.worker import Worker, run_worker

async def until(ctx, key):
    while not await ctx["redis"].exists(key):
        await asyncio.sleep(0.02)
    return ctx["job_try"]

async def end_of(process):
    while process.poll() is None:
        await asyncio.sleep(0.02)
    return process.returncode

async def by_command(ctx):
    return await end_of(subprocess.Popen([sys.executable, "-m", "arq", "app.Other", "--burst"]))

async def by_name(ctx, queue):
    return await end_of(subprocess.Popen([sys.executable, "-m", "arq", "app." + queue, "--burst"]))

def in_fork():
    run_worker(Other, burst=True)

async def by_fork(ctx):
    child = multiprocessing.get_context("fork").Process(target=in_fork)
    child.start()
    while child.is_alive():
        await asyncio.sleep(0.02)
    return child.exitcode

async def beside(ctx):
    other = Worker([quick], queue_name="other", redis_settings=REDIS, burst=True, handle_signals=False)
    await other.main()
    await other.close()
    return 0

async def copied(ctx, how):
    pid = os.fork()
    if pid == 0:
        if how == "exit":
            sys.exit(3)
        if how == "raise":
            raise RuntimeError("a copy fails")
        return "a copy returns"
    return await asyncio.to_thread(lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

class Settings:
    functions = [until, by_command, by_name, by_fork, beside, copied]
    redis_settings = REDIS
    poll_delay = 0.05

class Other:
    functions = [quick]
    queue_name = "other"
    redis_settings = REDIS
"""
)


@pytest.mark.processes
@pytest.mark.parametrize("way", ["by_command", "by_fork", "beside"])
async def test_the_jobs_of_a_worker_stay_its_own(
    arq_redis: ArqRedis, arq: Start, write: Write, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """While one of them starts a worker that comes and goes; in the environment stands what a supervisor puts there."""
    write(APP)
    monkeypatch.setenv("ARQ_WORKER_ID", "pool:host:0:abc")
    program = arq("app.Settings")
    neighbour = await enqueued(arq_redis, "until", "go")
    await wait_until_async(lambda: arq_redis.exists(f"arq:in-progress:{neighbour.job_id}"), what="it runs")
    held_by = await arq_redis.get(f"arq:in-progress:{neighbour.job_id}")
    other = await enqueued(arq_redis, "quick", _queue_name="other")
    starter = await enqueued(arq_redis, way)
    assert await starter.result(timeout=60) == 0
    assert await other.result(timeout=10) is None
    assert await arq_redis.get(f"arq:in-progress:{neighbour.job_id}") == held_by != b"pool:host:0:abc"
    await arq_redis.set("go", "", ex=60)
    assert await neighbour.result(timeout=30) == 1
    assert "another worker" not in program.stderr
    assert program.stop() == 0


#: of a forked process, by how its part of the job's code ends: sys.exit(3) is a way to end it, the others are mistakes
STATUS_OF_COPY = {"exit": 3, "raise": 1, "return": 1}


@pytest.mark.processes
@pytest.mark.parametrize("how", STATUS_OF_COPY)
async def test_a_process_that_a_job_has_forked_can_not_go_on_as_the_worker(
    arq_redis: ArqRedis, arq: Start, write: Write, how: str
) -> None:
    """It would answer for the worker's jobs over the worker's connection, and give them back when it ends."""
    write(APP)
    program = arq("app.Settings")
    neighbour = await enqueued(arq_redis, "until", "go")
    await wait_until_async(lambda: arq_redis.exists(f"arq:in-progress:{neighbour.job_id}"), what="it runs")
    forking = await enqueued(arq_redis, "copied", how)
    assert await forking.result(timeout=60) == STATUS_OF_COPY[how]
    if how != "exit":
        program.printed("a process that a job has forked ends here")
    await arq_redis.set("go", "", ex=60)
    assert await neighbour.result(timeout=30) == 1
    assert program.stop() == 0


@pytest.mark.processes
async def test_a_worker_inside_a_watched_one_works(
    arq_redis: ArqRedis, arq: Start, write: Write, tmp_path: Path
) -> None:
    """Its parent is not the process that watches: that must not be a reason to leave at once, without a word."""
    pytest.importorskip("watchfiles")
    write(APP)
    (tmp_path / "watched").mkdir()
    program = arq("app.Settings", "--watch", str(tmp_path / "watched"))
    other = await enqueued(arq_redis, "quick", _queue_name="other")
    starter = await enqueued(arq_redis, "by_command")
    assert await starter.result(timeout=60) == 0
    assert await other.result(timeout=10) is None
    assert program.stop() == 0


def test_a_worker_that_was_made_before_a_fork_is_two_workers_after_it() -> None:
    worker = Worker([quick])
    before = worker.worker_id
    read_fd, write_fd = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(write_fd, f"{worker.worker_id} {worker.worker_id}".encode())
        os._exit(0)
    os.close(write_fd)
    os.waitpid(pid, 0)
    with os.fdopen(read_fd) as pipe:
        one, two = pipe.read().split()
    assert one == two != before
    assert worker.worker_id == before


async def test_two_workers_in_one_process(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    """One of them leaves: the other keeps its job, its lease, and goes on."""
    go = asyncio.Event()

    async def until(ctx: Ctx) -> Any:
        await go.wait()
        return ctx["job_try"]

    stays = Worker(
        [func(until, name="until")], redis_settings=redis_settings, poll_delay=0.05, handle_signals=False
    )
    async with running(stays):
        job = await enqueued(arq_redis, "until")
        await wait_until_async(lambda: arq_redis.exists(f"arq:in-progress:{job.job_id}"), what="it runs")
        leaves = Worker([quick], redis_pool=await create_pool(redis_settings), burst=True, max_burst_jobs=0)
        await leaves.main()
        await leaves.close()
        assert await members(arq_redis, "arq:leases") == [stays.worker_id]
        go.set()
        assert await job.result(timeout=30) == 1


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL, lambda *_: None])
async def test_signals_go_back_to_who_handled_them(redis_settings: RedisSettings, before: Any) -> None:
    """A worker that runs beside something else, in the same process, takes them for as long as it runs."""
    at_first = signal.signal(signal.SIGTERM, before)
    try:
        worker = Worker([quick], redis_settings=redis_settings, burst=True)
        await worker.main()
        assert signal.getsignal(signal.SIGTERM) is not before
        await worker.close()
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, at_first)
