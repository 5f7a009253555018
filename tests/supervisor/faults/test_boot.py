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

# what is in broken.py, what is said; a traceback only where code of the user's has run
BROKEN = {
    "missing module": ("import nowhere\n", "No module named 'nowhere'", True),
    "syntax error": ("def f(:\n", "SyntaxError", True),
    "raises": ("raise ValueError('not today')\n", "not today", True),
    "leaves": ("import sys; sys.exit(0)\n", "sys.exit(0)", True),
    "is interrupted": ("raise KeyboardInterrupt\n", "KeyboardInterrupt", True),
    "no such class": ("class Other: functions = []\n", "Settings", False),
    "no functions": ("class Settings: functions = []\n", "at least one function", False),
    "no coroutine": ("class Settings: functions = [print]\n", "print", False),
    "no such function": ("class Settings: functions = ['nowhere.at.all']\n", "nowhere", False),
    "a number": ("Settings = 42\n", "broken.Settings (int) has neither 'functions' nor", False),
    "none": ("Settings = None\n", "broken.Settings (NoneType) has neither", False),
    "a function": ("def Settings(): pass\n", "broken.Settings (function) has neither", False),
}
PATHS = {
    "nowhere.Settings": "No module named 'nowhere'; looked in ",
    "nowhere": "doesn't look like a module path",
    "app": "doesn't look like a module path",
    "app:": "doesn't look like a module path",
    ":Settings": "doesn't look like a module path",
    "app..Settings": "doesn't look like a module path",
    ".app": "doesn't look like a module path",
    "two words": "doesn't look like a module path",
    "app .Settings": "No module named 'app '",
    "app.py": 'does not define a "py" attribute',
    "/etc/passwd": "doesn't look like a module path",
    "é": "doesn't look like a module path",
}


@pytest.mark.parametrize("case", BROKEN)
def test_f21_f22_settings_that_can_not_be_used(pool: Pool, case: str) -> None:
    code, said, is_traced = BROKEN[case]
    (pool.directory / "broken.py").write_text(code)
    assert pool.start("--procs", "8", settings="broken.Settings").wait() == 4
    assert said in pool.events("boot.failed")[0]["error"]
    assert pool.text().count("Traceback (most recent call last)") == int(is_traced)
    lines = [line for line in pool.text().splitlines() if line.startswith("arq-supervise: cannot ")]
    assert len(lines) == 1
    assert "'broken.Settings'" in lines[0]
    assert len(pool.events("child.spawn")) == 1
    assert pool.events("child.exit")[0]["next"] == "stay"


@pytest.mark.parametrize("path", PATHS)
def test_f22_a_settings_path_that_leads_nowhere(pool: Pool, path: str) -> None:
    assert pool.start("--procs", "2", settings=path).wait() == 4
    assert PATHS[path] in pool.events("boot.failed")[0]["error"]
    assert "Traceback" not in pool.text()
    assert len(pool.events("child.spawn")) == 1


def test_f23_a_start_hook_that_raises(pool: Pool) -> None:
    assert pool.start("--procs", "2", TEST_STARTUP="raise").wait() == 3
    assert pool.text().count("Traceback (most recent call last)") == 1
    first = pool.text().partition("Traceback (most recent call last)")[2].splitlines()[1]
    assert "app.py" in first  # not how we came to call it
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
        assert pool.stop() == 0


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
    wait_until(lambda: sorted(pool.workers()) == [0, 1, 3], what="the others work")
    assert pool.stop() == 0


def test_f27_every_worker_crashes(pool: Pool) -> None:
    assert pool.start("--procs", "2", "--backoff-max", "0.1", TEST_STARTUP="crash_soon").wait() == 5
    assert pool.events("intensity.exceeded", n=11)


def test_r76_the_first_crash_ends_a_pool_that_wants_it(pool: Pool) -> None:
    pool.start("--procs", "2", "--max-restarts", "0").ready()
    pool.kill(pool.workers()[1])
    assert pool.wait() == 5
    assert pool.events("child.exit", outcome="crash")[0]["next"] == "stay"
    assert "1 workers failed within 60 s; giving up (exit 5)" in pool.text()


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
