"""New code, another size, recycling: replacing workers while the pool works."""

import os
import signal
from pathlib import Path

import pytest
import redis

from tests.supervisor.commands import ON, ctl, status
from tests.supervisor.harness import Pool, Queue, change_code
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def test_f39_reload_under_load_new_code_and_no_job_lost(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "3", *ON).ready()
    before = pool.workers()
    change_code(pool, "    return value\n", "    return ('new', value)\n")
    ids = queue.put_many("slow", 200, 0.03)
    assert ctl(pool, "reload", "--wait").returncode == 0
    assert pool.events("reload.done")
    assert set(before.values()).isdisjoint(pool.workers().values())
    assert queue.result(queue.put("echo", 1)) == ("new", 1)
    queue.results(ids)
    assert {queue.tries(job_id) for job_id in ids[::20]} == {1}
    assert pool.stop() == 0


def test_f38_broken_code_changes_nothing(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", *ON).ready()
    before = pool.workers()
    (pool.directory / "app.py").write_text("def f(:\n")
    done = ctl(pool, "reload", "--wait")
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
    assert pool.workers() == before
    assert queue.result(queue.put("echo", 1)) == 1
    assert status(pool)["supervisor"]["last_reload"]["ok"] is False
    assert pool.stop() == 0


def test_f40_many_hups_are_two_reloads(pool: Pool) -> None:
    pool.start("--procs", "2").ready()
    for _ in range(20):
        pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    wait_until(
        lambda: len(pool.events("reload.start")) == len(pool.events("reload.done")), what="no reload runs"
    )
    assert len(pool.events("reload.start")) <= 2
    assert pool.stop() == 0


def test_f37_a_stop_during_a_reload(pool: Pool) -> None:
    pool.start("--procs", "2").ready()
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.start")
    assert pool.stop() == 0


def test_f37_a_reload_during_a_stop(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", TEST_WAIT="30").ready()
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    pool.signal(signal.SIGTERM)
    pool.wait_event("stop.start")
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGUSR2):
        pool.signal(number)
    for request in ("reload", "scale", "quiet"):
        pool.wait_event("ignored", request=request)
    pool.open_gate()
    assert pool.wait() == 0
    assert {record["request"] for record in pool.events("ignored")} == {"reload", "scale", "quiet"}
    assert len(pool.events("child.spawn", role="worker")) == 2
    assert queue.result(job_id)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_r14_fifty_reloads_leave_no_descriptor(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    before = len(os.listdir(f"/proc/{pool.pid}/fd"))
    for n in range(50):
        pool.signal(signal.SIGHUP)
        pool.wait_event("reload.done", n=n + 1)
    wait_until(
        lambda: len(os.listdir(f"/proc/{pool.pid}/fd")) == before, what="as many descriptors as before"
    )
    assert len(os.listdir(f"/proc/{pool.pid}/task")) == 1
    assert pool.stop() == 0


def test_f44_scale(pool: Pool) -> None:
    pool.start("--procs", "2", *ON).ready()
    pool.signal(signal.SIGTTIN)
    wait_until(lambda: sorted(pool.workers()) == [0, 1, 2], what="three workers")
    assert ctl(pool, "scale", "1").returncode == 0
    wait_until(lambda: sorted(pool.workers()) == [0], what="one worker")
    pool.signal(signal.SIGTTOU)
    refused = ctl(pool, "scale", "0")
    assert refused.returncode == 1
    assert "between 1 and" in refused.stderr
    assert sorted(pool.workers()) == [0]
    assert pool.stop() == 0


def test_quiet_until_the_next_reload(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", *ON).ready()
    assert ctl(pool, "quiet").returncode == 0
    pool.wait_event("pool.quiet")
    wait_until(lambda: status(pool)["supervisor"]["quiet"], what="quiet")
    for _ in range(5):  # whoever was about to claim takes no more than what it had begun with
        queue.put("echo", 1)
    job_id = queue.put("echo", 2)
    assert not redis_client.exists(f"arq:result:{job_id}")
    assert ctl(pool, "reload", "--wait").returncode == 0
    assert queue.result(job_id) == 2
    assert pool.stop() == 0


def test_recycling_by_number_of_jobs(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", "--max-jobs-per-child", "30").ready()
    ids = queue.put_many("slow", 200, 0.01)
    queue.results(ids)
    pool.wait_event("child.recycle", why="jobs")
    assert not pool.events("child.exit", outcome="crash")
    assert {queue.tries(job_id) for job_id in ids[::20]} == {1}
    assert pool.stop() == 0


def test_recycling_by_age(pool: Pool) -> None:
    pool.start("--procs", "1", "--max-lifetime", "0.5").ready()
    pool.wait_event("child.recycle", n=2, why="lifetime")
    assert pool.stop() == 0


def test_f45_a_second_supervisor_of_the_pool(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    first = pool.process
    assert pool.start("--procs", "1", *ON).wait() == 7
    pool.process = first
    assert status(pool)["supervisor"]["pid"] == pool.pid
    assert pool.stop() == 0


def test_f45_a_second_supervisor_with_the_pid_file(pool: Pool) -> None:
    pool.start("--procs", "1", "--pidfile", "pid").ready()
    first = pool.process
    assert pool.start("--procs", "1", "--pidfile", "pid").wait() == 7
    pool.process = first
    assert (pool.directory / "pid").read_text() == f"{pool.pid}\n"
    assert pool.stop() == 0


def test_f46_what_a_dead_supervisor_left_does_not_matter(pool: Pool) -> None:
    pool.start("--procs", "1", "--pidfile", "pid", *ON).ready()
    pool.kill(pool.pid)
    pool.wait()
    pool.wait_gone()
    pool.start("--procs", "1", "--pidfile", "pid", *ON)
    pool.wait_event("pool.ready", n=2)
    assert pool.stop() == 0
    assert not Path(pool.directory / "control" / "c.sock").exists()


def test_stop_and_wait_tells_the_exit_code(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    assert ctl(pool, "stop", "--wait").returncode == 0
    assert pool.wait() == 0
    nobody = ctl(pool, "status")
    assert nobody.returncode == 3
    assert nobody.stderr.count("\n") == 1


def test_connections_of_settings_that_were_replaced_are_closed(pool: Pool, redis_client: redis.Redis) -> None:
    def clients(database: int) -> int:
        return sum(one["db"] == str(database) for one in redis_client.client_list())

    def use(database: int) -> None:
        change_code(pool, "conn_retries=0\n", f"conn_retries=0, database={database}\n")

    use(3)
    script = pool.script_with({"children.steward.RENEW_EVERY_S": 0.2})
    pool.start("--procs", "1", script=script).ready()
    wait_until(lambda: clients(3) >= 2, what="worker and steward are connected")
    change_code(pool, "database=3", "database=4")
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    wait_until(lambda: clients(4) >= 2, what="both are connected to the other one")
    wait_until(lambda: clients(3) == 0, what="nobody is connected to the first one")
    change_code(pool, "database=4", "database=3")  # and back, which the steward has heard of before
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done", n=2)
    wait_until(lambda: clients(3) >= 2 and clients(4) == 0, what="both are back")
    assert not pool.events("redis.lost")
    assert pool.stop() == 0
    for database in (3, 4):
        redis.Redis(port=pool.port, db=database).flushdb()
