"""What goes wrong under systemd: kills, stalls, settings that can not be used, no memory, crash after crash."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.eventually import wait_until
from tests.systemd.machine import Machine
from tests.systemd.pools import Pool

CRASHING = """
async def begin(ctx):
    asyncio.get_running_loop().call_later(0.2, os.abort)
Settings.on_startup = begin
"""


def test_a_killed_worker_is_replaced_and_the_unit_stays_active(pool: Pool) -> None:
    pool.start()
    pid = pool.main_pid
    job_id = pool.queue.put("nap_on_first_try", 60)
    pool.queue.wait_running(job_id)
    pool.kill(*pool.worker_pids())
    # 3: the idle one had it for a moment, before it was killed, too
    assert pool.queue.result(job_id) in {2, 3}
    wait_until(lambda: len(pool.worker_pids()) == 2, 30, "two workers again")
    assert pool.state == ("active", "running")
    assert (pool.main_pid, pool.show("NRestarts")) == (pid, "0")


@dataclass
class Victim:
    """A pool whose supervisor was killed while a job ran; `before` are its processes until then."""

    pool: Pool
    before: set[int]
    job_id: str


@pytest.fixture(scope="module")
def victim(machine: Machine) -> Iterator[Victim]:
    """Shared by two tests: the lease of the dead workers takes its half minute while others run."""
    with Pool(machine, "victim") as pool:
        pool.start()
        before = pool.pids()
        job_id = pool.queue.put("nap_on_first_try", 300)
        pool.queue.wait_running(job_id)
        pool.kill(pool.main_pid)
        yield Victim(pool, before, job_id)


def test_a_killed_supervisor_is_started_again(victim: Victim) -> None:
    pool = victim.pool
    wait_until(lambda: pool.show("NRestarts") == "1" and pool.state == ("active", "running"), 30, "restarted")
    assert not victim.before & pool.pids(), "processes of the first start are left"
    assert pool.queue.call("version") == "1"


def test_a_supervisor_that_stands_still_is_ended_by_the_watchdog(pool: Pool) -> None:
    pool.override("WatchdogSec=3")
    pool.start()
    first = pool.main_pid
    pool.kill(first, number="STOP")
    wait_until(lambda: pool.show("NRestarts") == "1" and pool.state == ("active", "running"), 40, "restarted")
    assert pool.main_pid != first
    log = pool.machine.run("journalctl", "--quiet", "--unit", pool.unit, "--output", "cat").stdout
    assert "Watchdog timeout" in log
    assert pool.queue.call("version") == "1"


def test_a_watchdog_of_a_second_is_fed_in_time(pool: Pool) -> None:
    pool.override("WatchdogSec=1")
    pool.start()

    def fed_for_five_seconds() -> bool:
        return pool.state == ("active", "running") and pool.seconds_since("ActiveEnter") > 5

    # who is not fed is started again each second; once may be the machine that stood still
    wait_until(fed_for_five_seconds, 60, "a few periods without a restart")
    assert int(pool.show("NRestarts")) <= 1


def test_settings_that_can_not_be_used_are_not_tried_again_and_again(pool: Pool) -> None:
    pool.write_code(also="\nimport nowhere\n")
    assert pool.systemctl("start", check=False).returncode != 0
    assert pool.state == ("failed", "failed")
    assert (pool.show("ExecMainStatus"), pool.show("NRestarts")) == ("4", "0")
    assert pool.show("StatusText") == "ended with exit code 4: the settings can not be used"
    assert len(pool.events("supervisor.start")) == 1
    log = pool.machine.run("journalctl", "--quiet", "--unit", pool.unit, "--output", "cat").stdout
    assert log.count("No module named 'nowhere'") >= 1


def test_a_wrong_option_is_not_tried_again_and_again(pool: Pool) -> None:
    pool.write_environment("--procs 0")
    assert pool.systemctl("start", check=False).returncode != 0
    assert pool.state == ("failed", "failed")
    assert (pool.show("ExecMainStatus"), pool.show("NRestarts")) == ("2", "0")


def test_a_pool_without_its_environment_file_does_not_start(pool: Pool) -> None:
    pool.machine.path(f"/etc/arq-supervise/{pool.name}.env").unlink()
    assert pool.systemctl("start", check=False).returncode != 0
    assert not pool.events("supervisor.start")


def test_crash_after_crash_ends_in_failure(pool: Pool) -> None:
    """The supervisor's limit ends each start, systemd's limit ends the starts."""
    pool.override("RestartSec=200ms")
    pool.write_code(also=CRASHING)
    pool.write_environment("--procs 1 --log-format json --max-restarts 1 --backoff-base 0.1")
    pool.systemctl("start", "--no-block")
    wait_until(lambda: pool.state == ("failed", "failed"), 120, "given up")
    assert pool.show("ExecMainStatus") == "5"
    assert len(pool.events("supervisor.start")) == 5
    assert not pool.pids()


def test_a_worker_without_memory_is_replaced_and_the_rest_stays(pool: Pool, machine: Machine) -> None:
    if not machine.limits_memory:
        pytest.skip("systemd in this machine has no memory controller")
    pool.override("MemoryMax=250M", "MemorySwapMax=0")
    pool.write_environment("--procs 2 --log-format json --child-oom-score-adj 200")
    pool.start()
    pid, workers = pool.main_pid, set(pool.worker_pids())
    assert pool.queue.result(pool.queue.put("eat", 400)) == 0, "the second try finds enough"
    killed = [record for record in pool.events("child.exit") if record["status"] == "SIGKILL"]
    assert len(killed) == 1
    wait_until(lambda: len(pool.worker_pids()) == 2, 30, "two workers again")
    assert len(workers & set(pool.worker_pids())) == 1
    assert pool.state == ("active", "running")
    assert (pool.main_pid, pool.show("NRestarts")) == (pid, "0")
    pool.wait_event("child.oom_suspected")


def test_the_jobs_of_a_killed_supervisor_run_again(victim: Victim) -> None:
    assert victim.pool.queue.result(victim.job_id, timeout_s=60) == 2
