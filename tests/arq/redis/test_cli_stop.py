"""The command `arq` under signals, killed, and with --watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from arq import cli
from arq.connections import ArqRedis
from arq.worker import JobExecutionFailed
from tests.arq.redis.harness import QUEUE, enqueued, keys, members
from tests.arq.redis.programs import HEAD, SETTINGS
from tests.support.eventually import wait_until, wait_until_async
from tests.support.programs import Program

pytestmark = pytest.mark.processes
Arq = Callable[..., Program]


# ---------------------------------------------------------------- stopping


async def nothing_left(pool: ArqRedis) -> None:
    left = (
        await keys(pool, "arq:in-progress:*")
        | await keys(pool, "arq:batches:*")
        | await keys(pool, "*health-check")
    )
    assert left | set(await members(pool, "arq:leases")) == set()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda s: s.name)
async def test_a_signal_gives_the_jobs_back(
    arq: Arq, app: None, arq_redis: ArqRedis, signum: signal.Signals
) -> None:
    job = await arq_redis.enqueue_job("for_ever")
    assert job is not None
    program = arq("app.Settings")
    program.printed("for_ever started")
    assert program.stop(signum) == 0, program.stderr
    assert program.lines == ["for_ever started", "for_ever ended", "on_shutdown was called"]
    assert "Traceback" not in program.stderr
    await nothing_left(arq_redis)
    assert await arq_redis.zscore(QUEUE, job.job_id) is not None


async def test_ctrl_c_again_and_again(arq: Arq, write: Callable[..., None], arq_redis: ArqRedis) -> None:
    """The first lets jobs finish, the second cancels them, the third leaves."""
    write(SETTINGS.replace("    poll_delay", "    job_completion_wait = 600\n    poll_delay"))
    await arq_redis.enqueue_job("stubborn", _job_id="a")
    program = arq("app.Settings")
    program.printed("stubborn started")
    program.process.send_signal(signal.SIGINT)
    program.printed("1 to be completed")
    program.printed("waiting up to 600s for 1 running: a:stubborn; a second Ctrl-C cancels them")
    again_until(program, "not yet", "shutdown on SIGINT ◆")
    while program.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            program.process.send_signal(signal.SIGINT)
        wait_until_over(program, 0.6)
    assert program.ended() == 130
    # it left without a word: whoever sweeps gives the job back
    assert await arq_redis.exists("arq:in-progress:a")
    await arq_redis.flushall()


def again_until(program: Program, *texts: str) -> None:
    """Ctrl-C with human pauses (signals in one instant are one request) until all texts were printed."""
    while not all(text in program.stdout + program.stderr for text in texts):
        wait_until_over(program, 0.6)
        program.process.send_signal(signal.SIGINT)
        wait_until_over(program, 0.2)
        assert program.process.poll() is None, program.stderr


def wait_until_over(program: Program, timeout_s: float) -> None:
    """Wait for the end of a program, or as long as that."""
    import subprocess

    with contextlib.suppress(subprocess.TimeoutExpired):
        program.process.wait(timeout_s)


async def test_ctrl_c_of_a_terminal_reaches_it_twice(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis
) -> None:
    """Wrappers forward what the terminal has sent already: two in one instant are one request."""
    write(SETTINGS.replace("    poll_delay", "    job_completion_wait = 600\n    poll_delay"))
    await arq_redis.enqueue_job("for_ever")
    program = arq("app.Settings")
    program.printed("for_ever started")
    for _ in range(2):
        program.process.send_signal(signal.SIGINT)
    program.printed("1 to be completed")
    assert "for_ever ended" not in program.stdout
    assert program.stop(signal.SIGQUIT) == 0


async def test_a_killed_worker(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis, worker: Any
) -> None:
    """Nobody keeps its lease: as soon as that is over, whoever is there gives its jobs back."""
    write(SETTINGS)
    await arq_redis.enqueue_job("for_ever", _job_id="a")
    program = arq("app.Settings")
    program.printed("for_ever started")
    program.process.kill()
    program.ended()
    (dead,) = await members(arq_redis, "arq:leases")
    await arq_redis.zadd("arq:leases", {dead: 1})  # time passes

    runs = []

    async def for_ever(ctx: dict[Any, Any]) -> None:
        runs.append(ctx["job_try"])

    from arq.worker import func

    one = worker([func(for_ever, name="for_ever")])
    await one.main()
    assert runs == [2]


async def test_a_job_that_kills_its_worker_is_bounded(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis
) -> None:
    """Each start counts, also those that nobody could report on."""
    write(
        HEAD
        + """
async def poison(ctx):
    print("poison", flush=True)
    os._exit(9)

class Settings:
    functions = [poison, quick]
    redis_settings = REDIS
    poll_delay = 0.05
    max_tries = 3
    burst = True
"""
    )
    job = await arq_redis.enqueue_job("poison")
    assert job is not None
    statuses = []
    for _ in range(4):
        for member in await members(arq_redis, "arq:leases"):
            await arq_redis.zadd("arq:leases", {member: 1})
        statuses.append(arq("app.Settings").ended())
    assert statuses == [9, 9, 9, 0]
    result = await job.result_info()
    assert result is not None
    assert str(result.result) == "max 3 retries exceeded: its process died 3 times (vanished)"


async def test_neighbours_of_a_job_that_kills_its_worker_are_not_given_up(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis
) -> None:
    write(
        HEAD
        + """
import arq.worker as arq

async def poison(ctx):
    await asyncio.sleep(0.3)
    os._exit(9)

async def slow(ctx):
    await asyncio.sleep(0.6)
    return "slow"

class Settings:
    functions = [poison, arq.func(slow, max_tries=1)]
    redis_settings = REDIS
    poll_delay = 0.05
    max_tries = 2
    burst = True
"""
    )
    others = [await enqueued(arq_redis, "slow") for _ in range(3)]
    job = await enqueued(arq_redis, "poison")
    statuses = []
    while 0 not in statuses:
        for member in await members(arq_redis, "arq:leases"):
            await arq_redis.zadd("arq:leases", {member: 1})
        statuses.append(arq("app.Settings").ended())
        assert len(statuses) < 10
    assert statuses == [9] * (len(statuses) - 1) + [0]
    assert [await other.result(timeout=1) for other in others] == ["slow"] * 3
    with pytest.raises(
        JobExecutionFailed, match=r"max 2 retries exceeded: its process died 2 times \(vanished\)"
    ):
        await job.result(timeout=1)


# ---------------------------------------------------------------- --watch


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory to watch; nothing else is written there (the output of programs is in the one above)."""
    made = tmp_path / "source"
    made.mkdir()
    (made / "app.py").write_text(SETTINGS)
    return made


async def test_watch_runs_the_new_code_in_a_fresh_process(
    arq: Arq, source: Path, arq_redis: ArqRedis
) -> None:
    code = SETTINGS.replace('"quick ran"', '"quick ran", VERSION, os.getpid()')
    (source / "app.py").write_text("from source.watched import VERSION\n" + code)
    (source / "watched.py").write_text("VERSION = 'one'\n")
    await arq_redis.enqueue_job("quick")
    program = arq("source.app.Settings", "--watch", str(source))
    program.printed("quick ran one")
    (source / "watched.py").write_text("VERSION = 'twenty-two'\n")
    program.printed("files changed, reloading arq worker...")
    program.printed("Starting worker", times=2)  # before that the old one may take the job
    await arq_redis.enqueue_job("quick")
    program.printed("quick ran twenty-two")
    pids = re.findall(r"quick ran \S+ (\d+)", program.stdout)
    assert len(set(pids)) == 2
    assert str(program.process.pid) not in pids
    assert program.stop() == 0
    wait_until(lambda: not psutil.pid_exists(int(pids[-1])))
    await nothing_left(arq_redis)


@pytest.mark.parametrize("polling", ["false", "true"])
async def test_watch_notices_what_is_saved_while_a_worker_starts(
    source: Path, monkeypatch: pytest.MonkeyPatch, polling: str
) -> None:
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", polling)
    started = []
    spawn = cli._spawn

    async def spawn_slowly(command: list[str]) -> asyncio.subprocess.Process:
        process = await spawn(command)
        started.append(process)
        if len(started) < 3:  # both within one second, as a formatter saves after the editor
            (source / "app.py").write_text(f"{SETTINGS}# saved\n")
            os.utime(source / "app.py", (1e9, 1e9 + len(started) / 10))
        return process

    monkeypatch.setattr(cli, "_spawn", spawn_slowly)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    watching = asyncio.create_task(cli.watch_reload(str(source), command))
    await wait_until_async(lambda: len(started) == 3)
    watching.cancel()
    await asyncio.wait([watching])
    assert [process.returncode for process in started] == [-signal.SIGTERM] * 3


async def test_watch_survives_code_that_is_broken_for_a_while(
    arq: Arq, source: Path, arq_redis: ArqRedis
) -> None:
    program = arq("source.app.Settings", "--watch", str(source))
    program.printed("Starting worker")
    (source / "app.py").write_text("def broken(:\n")
    program.printed("SyntaxError")
    (source / "app.py").write_text(SETTINGS)
    program.printed("Starting worker", times=2)
    await arq_redis.enqueue_job("quick")
    program.printed("quick ran")
    assert program.stop() == 0


async def test_watch_leaves_no_worker_behind(arq: Arq, source: Path, arq_redis: ArqRedis) -> None:
    program = arq("source.app.Settings", "--watch", str(source))
    program.printed("Starting worker")
    (child,) = psutil.Process(program.process.pid).children()
    program.process.kill()
    program.ended()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)  # noqa: ASYNC222


async def test_watch_and_burst(arq: Arq, source: Path, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("quick")
    program = arq("source.app.Settings", "--watch", str(source), "--burst")
    program.printed("quick ran")
    await wait_until_async(lambda: keys(arq_redis, "arq:result:*"))
    assert program.stop() == 0
