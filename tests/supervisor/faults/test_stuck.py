"""Somebody does not move: F07, F08, F09, F11, F12, F14-F16, F32, F33, F35."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import redis

from tests.supervisor.harness import Pool, Queue, owner_of
from tests.support.eventually import PATIENCE_S, wait_until

pytestmark = pytest.mark.processes

HANG = ("--hang-timeout", "2", "--kill-timeout", "0.7")
SHORT = ("--graceful-timeout", "1", "--kill-timeout", "0.7")


@pytest.mark.slow
def test_f07_a_stopped_worker_is_replaced_and_then_released(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2", *HANG).ready()
    job_id = queue.put("until", "gate")
    owner = owner_of(redis_client, job_id)
    pid = pool.worker_of(owner)
    os.kill(pid, signal.SIGSTOP)
    pool.wait_event("child.stall", pid=pid)
    pool.wait_event("child.hung", pid=pid)
    assert owner_of(redis_client, job_id) == owner
    assert pool.wait_event("child.exit", pid=pid)["outcome"] == "hung"
    pool.open_gate()
    assert queue.result(job_id)
    assert queue.tries(job_id) == 2
    assert pool.stop() == 0


def test_f08_a_stopped_worker_does_not_hold_up_the_stop(pool: Pool) -> None:
    pool.start("--procs", "2").ready()
    os.kill(pool.workers()[1], signal.SIGSTOP)
    assert pool.stop() == 0  # not 6: nobody had to be forced


def start_talkative(pool: Pool) -> Pool:
    """A pool that says at once that it stood still, and need not be stopped for long."""
    return pool.start(
        "--procs", "2", *HANG, script=pool.script_with({"pool.parent_stall.GAP_S": 1.0})
    ).ready()


@pytest.mark.slow
def test_f09_a_stopped_parent_kills_nobody_when_it_comes_back(pool: Pool, queue: Queue) -> None:
    start_talkative(pool)
    before = pool.workers()
    os.kill(pool.pid, signal.SIGSTOP)
    queue.result(queue.put("slow", 3))  # longer than the silence that ends a worker
    os.kill(pool.pid, signal.SIGCONT)
    pool.wait_event("supervisor.gap")
    queue.result(queue.put("slow", 0.5))
    assert pool.workers() == before
    assert pool.stop() == 0


@pytest.mark.slow
def test_f10_everybody_stopped_and_continued(pool: Pool, queue: Queue) -> None:
    start_talkative(pool)
    before = pool.workers()
    with suspended(pool):
        wait_for_clock(3)
    pool.wait_event("supervisor.gap")
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.workers() == before
    assert pool.stop() == 0


def test_f10_a_pool_that_is_suspended_while_it_drains(pool: Pool, queue: Queue) -> None:
    """Jobs do not run meanwhile, so it is none of the time that they are given."""
    wait_s = 2.0
    for _ in range(5):
        job_id = queue.put("until", "gate")
        if drain_suspended(pool, job_id, wait_s) < 2 * wait_s - 0.5:
            break
        # a drain takes no longer than twice that, and we were held up, too: once more
        pool.log.unlink()
        (pool.directory / "gate").unlink()
    assert queue.result(job_id)
    assert queue.tries(job_id) == 1


def drain_suspended(pool: Pool, job_id: str, wait_s: float) -> float:
    """Suspend a pool that drains for longer than the drain, then let the job end; returns how long it took."""
    pool.start("--procs", "1", TEST_WAIT=f"{wait_s:g}").ready()
    pool.wait_started(job_id)
    pool.steward()
    begun_s = time.monotonic()
    pool.signal(signal.SIGTERM)
    wait_until(lambda: "shutdown on SIGTERM" in pool.text(), what="the worker drains")
    with suspended(pool):
        wait_for_clock(wait_s + 0.3)
    wait_for_clock(0.3)
    pool.open_gate()
    took_s = time.monotonic() - begun_s
    assert pool.wait() == 0
    return took_s


@contextmanager
def suspended(pool: Pool) -> Iterator[None]:
    """None of its processes runs; the parent is the last that goes on."""
    everybody = [pool.pid, pool.steward(), *pool.workers().values()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in reversed(everybody):
        os.kill(pid, signal.SIGCONT)


def wait_for_clock(seconds: float) -> None:
    """Time itself is what this test is about."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + PATIENCE_S)


@pytest.mark.slow
@pytest.mark.parametrize("job", ["block", "hold_the_gil"])
def test_f11_f12_a_blocked_loop_is_shown_killed_and_replaced(pool: Pool, queue: Queue, job: str) -> None:
    pool.start("--procs", "1", *HANG).ready()
    job_id = queue.put(job, 60)
    stall = pool.wait_event("child.stall")
    wait_until(lambda: f"in {job}" in pool.text(), what="the dump names the frame")
    if job == "block":
        assert pool.wait_event("child.dump")["jobs"] == [f"{job_id}:block"]
    assert pool.wait_event("child.exit", pid=stall["pid"])["outcome"] == "hung"
    pool.wait_event("child.ready", n=2, role="worker")
    pool.signal(signal.SIGQUIT)
    pool.wait()


@pytest.mark.slow
def test_f13_a_busy_thread_is_no_hang(pool: Pool, queue: Queue) -> None:
    (pool.directory / "busy.py").write_text(
        "import asyncio, threading, time\n"
        "from app import Settings as Base\n"
        "def spin(end):\n"
        "    while time.monotonic() < end: pass\n"
        "async def busy(ctx):\n"
        "    await asyncio.get_running_loop().run_in_executor(None, spin, time.monotonic() + 4)\n"
        "    return 'done'\n"
        "class Settings(Base): functions = [busy]\n"
    )
    # it may be silent for two of the four seconds: other things happen on this machine, too
    pool.start("--procs", "1", "--hang-timeout", "4", settings="busy.Settings").ready()
    assert queue.result(queue.put("busy")) == "done"
    assert not pool.events("child.stall")
    assert pool.stop() == 0


@pytest.mark.parametrize("job", ["stubborn", "deaf", "block", "hold_the_gil"])
def test_f14_f16_a_worker_that_does_not_end(
    pool: Pool, queue: Queue, redis_client: redis.Redis, job: str
) -> None:
    pool.start("--procs", "2", *SHORT, TEST_WAIT="0").ready()
    job_id = queue.put(job, 60)
    pool.wait_started(job_id)
    assert pool.stop() == 6
    assert not redis_client.exists(f"arq:in-progress:{job_id}")


def test_f15_a_shutdown_hook_that_hangs(pool: Pool) -> None:
    pool.start("--procs", "2", *SHORT, TEST_SHUTDOWN="hang").ready()
    assert pool.stop() == 6


def test_f35_harder_each_time(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", TEST_WAIT="60").ready()
    pool.wait_started(queue.put("stubborn", 60))
    pool.signal(signal.SIGTERM)
    pool.wait_event("log", n=4, logger="arq.worker", slot=0)
    insist(pool, stage=2)
    pool.wait_event("child.signal", sig="SIGQUIT")
    insist(pool, stage=3)
    assert pool.wait() == 6  # the job would take a minute
    assert [record["n"] for record in pool.events("stop.stage")] == [2, 3]


def insist(pool: Pool, stage: int) -> None:
    """Ask again, half a second of the pool's own time later; when the machine stood still, that was none of it."""
    for _ in range(20):
        wait_for_clock(0.6)
        pool.signal(signal.SIGTERM)
        with suppress(AssertionError):
            pool.wait_event("stop.stage", timeout_s=2, n=stage - 1)
            return
    raise AssertionError(f"no stage {stage}:\n{pool.text()[-3000:]}")


def test_f32_a_full_device_changes_nothing(pool: Pool, queue: Queue) -> None:
    with open("/dev/full", "wb") as full:
        pool.start("--procs", "2", stderr=full)
        assert queue.result(queue.put("echo", 1)) == 1
        assert pool.stop() == 0


def test_r78_closed_output_changes_nothing(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", command=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"))
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


def test_f33_nobody_reads_the_log(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    read_fd, write_fd = os.pipe()
    try:
        pool.start("--procs", "1", *SHORT, "--max-restarts", "1000", stderr=write_fd)
        assert queue.result(queue.put("echo", 1)) == 1
        while True:  # fill it to the last byte
            os.set_blocking(write_fd, False)
            try:
                os.write(write_fd, b"x")
            except BlockingIOError:
                break
        os.set_blocking(write_fd, True)
        pool.signal(signal.SIGTERM)
        assert pool.wait() in (0, 6)
    finally:
        os.close(read_fd)
        os.close(write_fd)
