"""What can go wrong before a pool works: F17, F20-F24, F26, F27, F41."""

import os
import signal
import time
from pathlib import Path

import pytest
import redis

from tests.supervisor.harness import Pool, Queue, pool_in
from tests.support.eventually import wait_until
from tests.support.servers import running_server

pytestmark = pytest.mark.processes

BROKEN = {
    "missing module": ("import nowhere\n", "Settings", "No module named 'nowhere'"),
    "syntax error": ("def f(:\n", "Settings", "SyntaxError"),
    "no such class": ("class Other: functions = []\n", "Settings", "Settings"),
    "raises": ("raise ValueError('not today')\n", "Settings", "not today"),
    "leaves": ("import sys; sys.exit(0)\n", "Settings", "SystemExit"),
    "no functions": ("class Settings: functions = []\n", "Settings", "at least one function"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_f21_f22_settings_that_can_not_be_used(pool: Pool, case: str) -> None:
    code, name, said = BROKEN[case]
    (pool.directory / "broken.py").write_text(code)
    assert pool.start("--procs", "8", settings=f"broken.{name}").wait() == 4
    assert said in pool.events("boot.failed")[0]["error"]
    assert pool.text().count("Traceback (most recent call last)") == 1
    assert len(pool.events("child.spawn")) == 1


def test_a_settings_path_that_leads_nowhere(pool: Pool) -> None:
    assert pool.start("--procs", "2", settings="nowhere.Settings").wait() == 4
    assert "nowhere" in pool.events("boot.failed")[0]["error"]


def test_f23_a_start_hook_that_raises(pool: Pool) -> None:
    assert pool.start("--procs", "2", TEST_STARTUP="raise").wait() == 3
    assert "the start hook is broken" in pool.events("boot.failed")[0]["error"]
    assert len(pool.events("child.spawn")) == 2


def test_f24_a_start_hook_that_never_returns(pool: Pool) -> None:
    pool.start("--procs", "2", "--boot-timeout", "0.7", "--boot-retries", "0", "--kill-timeout", "0.5",
               TEST_STARTUP="hang")  # fmt: skip
    assert pool.wait() == 3
    assert pool.events("child.boot_timeout")


def test_f17_redis_is_not_there_yet(tmp_path: Path) -> None:
    with running_server() as server, pool_in(tmp_path, server.port) as pool:
        server.stop()
        pool.start("--procs", "2")
        pool.wait_event("tempfail", n=2)
        assert "refused" in pool.events("tempfail")[0]["error"].lower()
        server.start()
        pool.ready()
        assert Queue(server.port).result(Queue(server.port).put("echo", 1)) == 1
        assert pool.stop() == 0


def test_f17_a_stop_while_waiting_for_redis(tmp_path: Path) -> None:
    with running_server() as server, pool_in(tmp_path, server.port) as pool:
        server.stop()
        pool.start("--procs", "2").wait_event("tempfail")
        started = time.monotonic()
        assert pool.stop() == 0
        assert time.monotonic() - started < 10


def test_exit_69_when_redis_stays_away(tmp_path: Path) -> None:
    with running_server() as server, pool_in(tmp_path, server.port) as pool:
        server.stop()
        assert pool.start("--procs", "2", "--exit-on-tempfail", "1").wait() == 69


def test_f20_a_server_that_refuses_us(tmp_path: Path) -> None:
    with running_server() as server, pool_in(tmp_path, server.port) as pool:
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", "sesame")
        assert pool.start("--procs", "2").wait() == 3
        assert "Authentication" in pool.text()
        assert "sesame" not in pool.text()
        assert len(pool.events("child.spawn")) == 2


def test_f26_one_slot_that_can_not_start(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "4", "--max-restarts", "1000", TEST_IMPORT="crash_slot_2")
    pool.wait_event("child.exit", n=4, slot=2)
    assert queue.result(queue.put("echo", 1)) == 1
    assert sorted(pool.workers()) == [0, 1, 3]
    assert pool.stop() == 0


@pytest.mark.slow
def test_f27_every_worker_crashes(pool: Pool) -> None:
    assert pool.start("--procs", "2", TEST_IMPORT="crash_soon").wait(40) == 5
    assert pool.events("intensity.exceeded", n=11)


@pytest.mark.parametrize("delay_ms", [0, 30, 60, 120, 250, 450])
def test_f41_a_stop_at_any_moment_of_the_boot(pool: Pool, delay_ms: int) -> None:
    pool.start("--procs", "3")
    wait_until(lambda: has_handlers(pool.pid), what="the parent has its handlers")
    end = time.monotonic() + delay_ms / 1000
    wait_until(lambda: time.monotonic() >= end)
    assert pool.stop() == 0
    assert pool.survivors() == []


def has_handlers(pid: int) -> bool:
    """Does the process catch SIGTERM?"""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught & 1 << (signal.SIGTERM - 1))


def test_r20_nothing_is_printed_twice(pool: Pool, redis_client: redis.Redis) -> None:
    pool.start("--procs", "4").ready()
    assert len(pool.events("supervisor.start")) == 1
    assert os.path.exists(f"/proc/{pool.pid}")
    assert pool.stop() == 0
