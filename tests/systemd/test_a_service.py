"""The life of one pool under systemd: start, status, reload, stop, journal."""

import pytest

from tests.support.eventually import wait_until
from tests.support.programs import ROOT
from tests.systemd.machine import Machine
from tests.systemd.pools import Pool

SLOW_START = """
async def begin(ctx):
    await asyncio.sleep(3)
Settings.on_startup = begin
"""


def test_start_waits_until_the_workers_poll(pool: Pool) -> None:
    pool.write_code(also=SLOW_START)
    pool.systemctl("start", "--no-block")
    pool.wait_event("supervisor.start")
    assert pool.state == ("activating", "start")
    pool.start()  # joins the start that is under way, and returns when it is over
    assert pool.state == ("active", "running")
    assert len(pool.events("pool.ready")) == 1
    assert pool.queue.call("version") == "1"


def test_status_shows_what_the_pool_does(pool: Pool) -> None:
    pool.start()
    job_id = pool.queue.put("nap", 60)
    pool.queue.wait_running(job_id)
    wait_until(lambda: ", 1 running" in pool.show("StatusText"), what="the status line")
    shown = pool.systemctl("status").stdout
    assert "Active: active (running)" in shown
    assert 'Status: "2/2 workers ready, ' in shown
    assert ", 1 running" in shown


def test_reload_brings_new_code(pool: Pool) -> None:
    pool.start()
    before, pid = pool.worker_pids(), pool.main_pid
    assert pool.queue.call("version") == "1"
    pool.write_code(version=2)
    pool.systemctl("reload")
    assert {pool.queue.call("version") for _ in range(6)} == {"2"}
    assert not set(before) & set(pool.worker_pids())
    assert pool.main_pid == pid
    assert pool.state == ("active", "running")


def test_reload_of_broken_code_fails_and_changes_nothing(pool: Pool) -> None:
    pool.start()
    before = pool.worker_pids()
    pool.write_code(version=2, also="\nthis is no Python\n")
    done = pool.systemctl("reload", check=False)
    assert done.returncode != 0
    assert "failed" in done.stderr
    assert pool.state == ("active", "running")
    assert pool.worker_pids() == before
    assert pool.queue.call("version") == "1"
    wait_until(lambda: "last reload failed: SyntaxError" in pool.show("StatusText"), what="the status line")
    pool.write_code(version=3)
    pool.systemctl("reload")
    assert pool.queue.call("version") == "3"


def test_stop_lets_a_running_job_finish(pool: Pool) -> None:
    pool.start()
    job_id = pool.queue.put("nap", 4)
    pool.queue.wait_running(job_id)
    pool.systemctl("stop")
    assert pool.state == ("inactive", "dead")
    assert pool.show("Result") == "success"
    assert pool.queue.result(job_id) > 0
    assert pool.queue.tries(job_id) == 1
    assert not pool.pids()


def test_stop_may_take_longer_than_the_unit_says(pool: Pool) -> None:
    """The supervisor asks for more time for as long as its own budget lasts."""
    pool.override("TimeoutStopSec=3")
    pool.start()
    job_id = pool.queue.put("nap", 7)
    pool.queue.wait_running(job_id)
    pool.systemctl("stop")
    assert pool.show("Result") == "success"
    assert pool.queue.tries(job_id) == 1


def test_reload_may_take_longer_than_the_unit_says(pool: Pool) -> None:
    """It waits for the jobs of the old workers, one worker after the other."""
    pool.start()
    pool.override("TimeoutStartSec=3")
    job_id = pool.queue.put("nap", 7)
    pool.queue.wait_running(job_id)
    pool.systemctl("reload")
    assert pool.queue.tries(job_id) == 1
    assert pool.events("reload.done")


def test_the_journal_holds_the_events_as_json(pool: Pool) -> None:
    pool.start()
    pool.queue.call("version")
    pool.systemctl("stop")
    seen = [record["event"] for record in pool.journal()]
    order = ["supervisor.start", "child.ready", "pool.ready", "stop.start", "child.exit", "stop.done"]
    assert [seen.index(event) for event in order] == sorted(seen.index(event) for event in order)
    assert all({"ts", "level", "event", "pool", "pid"} <= set(record) for record in pool.journal())
    assert {record["pool"] for record in pool.journal()} == {pool.name}
    assert any("version()" in str(record.get("message")) for record in pool.journal())


def test_nothing_of_the_manager_reaches_the_workers(pool: Pool) -> None:
    pool.start()
    seen = pool.queue.call("environment")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS"} & set(seen)
    assert seen["STATE_DIRECTORY"] == f"/var/lib/arq-supervise/{pool.name}"
    assert seen["ARQ_POOL_NAME"] == pool.name


def test_redis_may_come_later_than_the_pool(pool: Pool, machine: Machine) -> None:
    """The start goes on for as long as Redis is away, longer than the unit's own limit."""
    pool.override("TimeoutStartSec=4")
    machine.run("systemctl", "stop", "redis-server")
    try:
        pool.systemctl("start", "--no-block")
        pool.wait_event("tempfail")
        wait_until(lambda: pool.seconds_since("InactiveExit") > 8, 30, "longer than the limit")
        assert pool.state == ("activating", "start")
        assert pool.show("StatusText").startswith("waiting for Redis: 0/2 workers ready")
    finally:
        machine.run("systemctl", "start", "redis-server")
    pool.start()
    assert pool.queue.call("version") == "1"
    assert pool.show("NRestarts") == "0"


def test_reload_by_signal_where_systemd_knows_it(pool: Pool, machine: Machine) -> None:
    """With the drop-in of systemd/."""
    if machine.systemd_version < 253:
        pytest.skip(f"systemd {machine.systemd_version} does not know Type=notify-reload")
    pool.override(*(ROOT / "systemd/notify-reload.conf").read_text().splitlines())
    assert machine.run("systemd-analyze", "verify", pool.unit).stderr == ""
    pool.start()
    pool.write_code(version=2)
    pool.systemctl("reload")
    assert {pool.queue.call("version") for _ in range(6)} == {"2"}
    pool.write_code(version=3, also="\nthis is no Python\n")
    pool.systemctl("reload")  # systemd waits for READY=1, and is not told that it failed
    assert pool.queue.call("version") == "2"
    wait_until(lambda: "last reload failed: SyntaxError" in pool.show("StatusText"), what="the status line")
    assert pool.state == ("active", "running")
