"""What a service manager, a container and a log reader see."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


class NotifySocket:
    """systemd's end of the notification protocol. Reads all the time, as systemd does: ten states fill the socket."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self._address)
        self._seen: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while state := self._sock.recv(4096).decode():
            self._seen.append(state)

    def states(self) -> list[str]:
        return list(self._seen)

    def hear_out(self) -> None:
        """Wait until everything that was sent by now is among the states."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
            here.sendto(b"HERE=1", self._address)
        wait_until(lambda: "HERE=1" in self.states(), what="heard out")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", self._address)
        self._reader.join()
        self._sock.close()


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_f53_states_for_the_service_manager(pool: Pool, kind: str) -> None:
    address = str(pool.directory / "n") if kind == "file" else f"@{pool.mark}"
    notify = NotifySocket(address)
    try:
        pool.start("--procs", "2", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000").ready()
        wait_until(lambda: "READY=1" in notify.states(), what="READY=1")
        wait_until(lambda: notify.states().count("WATCHDOG=1") >= 2, what="two pings")
        wait_until(lambda: any(state.startswith("STATUS=2/2 workers ready, ") for state in notify.states()))
        pool.signal(signal.SIGHUP)
        pool.wait_event("reload.done")
        reloading = wait_until(lambda: [state for state in notify.states() if "RELOADING=1" in state])
        name, usec = reloading[0].split("\n")[1].split("=")
        assert name == "MONOTONIC_USEC"
        assert int(usec) > 0
        wait_until(lambda: notify.states().count("READY=1") == 2, what="READY=1 after the reload")
        assert pool.stop() == 0
        wait_until(
            lambda: notify.states()[-1] == "STATUS=ended with exit code 0: stopped", what="its last words"
        )
        states = notify.states()
        assert states.index("STOPPING=1") > states.index("READY=1")
        assert any(state.startswith("EXTEND_TIMEOUT_USEC=") for state in states)
    finally:
        notify.close()


def test_f54_a_parent_that_stands_still_does_not_ping(pool: Pool) -> None:
    address = str(pool.directory / "n")
    notify = NotifySocket(address)
    try:
        pool.start("--procs", "1", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000").ready()
        wait_until(lambda: "WATCHDOG=1" in notify.states(), what="a ping")
        os.kill(pool.pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(pool.pid).status() == psutil.STATUS_STOPPED, what="stopped")
        notify.hear_out()
        before = notify.states().count("WATCHDOG=1")
        with pytest.raises(AssertionError):
            wait_until(lambda: notify.states().count("WATCHDOG=1") > before, 1.2)
        os.kill(pool.pid, signal.SIGCONT)
        assert pool.stop() == 0
    finally:
        notify.close()


def test_a_manager_that_is_not_there_does_not_matter(pool: Pool) -> None:
    pool.start("--procs", "1", NOTIFY_SOCKET="/nowhere/socket").ready()
    assert pool.stop() == 0


def can_unshare() -> bool:
    command = shutil.which("unshare")
    if command is None:
        return False
    return (
        subprocess.run([command, "-pf", "--mount-proc", "true"], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.skipif(not can_unshare(), reason="this user may not make a pid namespace")
def test_f43_r21_r22_as_the_first_process_of_a_container(pool: Pool, queue: Queue) -> None:
    (pool.directory / "orphans.py").write_text(
        "import os, subprocess\n"
        "from app import Settings as Base\n"
        "async def leave_orphan(ctx, code):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        if os.fork() == 0:\n"
        "            os._exit(code)\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "    return os.getpid()\n"
        "class Settings(Base): functions = [leave_orphan]\n"
    )
    command = ("unshare", "-pf", "--kill-child", "--mount-proc")
    pool.start("--procs", "2", "--log-level", "debug", settings="orphans.Settings", command=command).ready()
    for code in (3, 4):
        queue.result(queue.put("leave_orphan", code))
        pool.wait_event("child.unknown", status=f"exit:{code}")
    assert not pool.events("child.exit")
    (inside,) = [pid for pid in pool.survivors() if _pids_inside(pid)[-1:] == ["1"]]
    os.kill(inside, signal.SIGTERM)
    assert pool.wait() == 0


def _pids_inside(pid: int) -> list[str]:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("NSpid")).split()[1:]


def test_r79_every_exit_says_everything(pool: Pool) -> None:
    pool.start("--procs", "1").ready()
    pool.kill(pool.workers()[0], signal.SIGSEGV)
    record = pool.wait_event("child.exit")
    assert {"slot", "pid", "gen", "outcome", "status", "uptime_s", "last_beat_s", "ongoing", "jobs", "restarts",
            "next", "in"} <= record.keys()  # fmt: skip
    assert record["status"] == "SIGSEGV"
    assert pool.stop() == 0


def test_r79_a_clean_end_has_nothing_running_and_counts_everything(pool: Pool, queue: Queue) -> None:
    """Not what the last beat said a second ago."""
    pool.start("--procs", "1", "--heartbeat", "5").ready()
    job_id = queue.put("slow", 0.5)
    pool.wait_started(job_id)
    pool.signal(signal.SIGTERM)
    assert pool.wait() == 0
    (ended,) = pool.events("child.exit", role="worker")
    assert (ended["ongoing"], ended["jobs"], ended["next"]) == (0, [], "stay")


def test_r48_a_service_manager_that_would_not_wait_is_warned_of(pool: Pool) -> None:
    pool.start("--procs", "1", "--hang-timeout", "4000", TIMEOUT_STOP_HINT="15", TEST_WAIT="3").ready()
    warning = pool.wait_event("stop.too_short")
    assert (warning["level"], warning["hint_s"], warning["stop_budget_s"]) == ("warning", 15, 23)
    late = pool.wait_event("hang.too_late")  # R39
    assert (late["hang_timeout_s"], late["lock_s"]) == (4000, 310)
    assert pool.stop() == 0
    assert len(pool.events("stop.too_short")) == len(pool.events("hang.too_late")) == 1


def test_r48_limits_that_fit_are_not_talked_about(pool: Pool) -> None:
    pool.start("--procs", "1", "--hang-timeout", "100", TIMEOUT_STOP_HINT="23s", TEST_WAIT="3").ready()
    assert pool.stop() == 0
    assert not pool.events("stop.too_short")
    assert not pool.events("hang.too_late")


def test_the_text_form(pool: Pool) -> None:
    pool.start("--procs", "1", "--log-format", "text", "--burst")
    assert pool.wait() == 0
    lines = pool.text().splitlines()
    assert any(" child.ready slot=0 pid=" in line for line in lines)
    assert any("[app.Settings/0] Starting worker for" in line for line in lines)


CRON = """
from arq import cron
from app import Settings as Base
async def note(ctx):
    await ctx["redis"].incr("cron-runs")
class Settings(Base):
    functions = []
    cron_jobs = [cron(note, month=MONTH, day=1, hour=0, minute=0, run_at_startup=True, unique=UNIQUE)]
"""


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.keeps_keys("cron-runs")
def test_r66_a_startup_cron_runs_once(pool: Pool, redis_client: object, unique: bool) -> None:
    import redis

    assert isinstance(redis_client, redis.Redis)
    far = datetime.now() + timedelta(days=150)  # it is not due while this test runs
    text = CRON.replace("UNIQUE", str(unique)).replace("MONTH", str(far.month))
    (pool.directory / "cron_app.py").write_text(text)
    pool.start("--procs", "3", settings="cron_app.Settings").ready()
    wait_until(lambda: redis_client.get("cron-runs") == b"1", what="it ran")
    # who is killed before the outcome is written has its jobs run again
    wait_until(lambda: redis_client.zcard("arq:queue") == 0, what="it is done")
    pool.kill(pool.workers()[0])
    pool.wait_event("child.ready", n=4, role="worker")
    wait_until(lambda: pool.events("child.exit") and len(pool.workers()) == 3)
    assert pool.stop() == 0
    assert redis_client.get("cron-runs") == b"1"
