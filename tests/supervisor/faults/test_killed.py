"""Somebody kills what runs: F01-F06, F25, F42, and what a job leaves behind."""

import os
import signal

import psutil
import pytest
import redis

from arq._lock_time import SUPERVISED_LEASE_S
from tests.supervisor.harness import Pool, Queue, owner_of
from tests.support.eventually import PATIENCE_S, wait_until

pytestmark = pytest.mark.processes


def test_f01_an_idle_worker(pool: Pool) -> None:
    pool.start("--procs", "2").ready()
    before = pool.workers()
    pool.kill(before[1])
    assert pool.wait_event("child.exit")["status"] == "SIGKILL"
    pool.wait_event("child.ready", n=3, role="worker")
    assert pool.workers()[0] == before[0]
    assert pool.stop() == 0


def test_f02_a_worker_that_runs_jobs(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "1", "--name", "p").ready()
    ids = [queue.put("until", "gate") for _ in range(3)]
    (owner,) = {owner_of(redis_client, job_id) for job_id in ids}
    pool.kill(pool.worker_of(owner))
    released = pool.wait_event("jobs.released", worker=owner)
    assert sorted(released["ids"]) == sorted(ids)
    pool.open_gate()
    assert len({queue.result(job_id) for job_id in ids}) == 1
    assert [queue.tries(job_id) for job_id in ids] == [2, 2, 2]
    assert pool.stop() == 0


def test_a_killed_workers_job_runs_again_at_once(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", quick=False).ready()
    job_id = queue.put("until", "gate")
    owner = owner_of(redis_client, job_id)
    pool.kill(pool.worker_of(owner))
    # half of the time after which a lease that nobody renews would bring it back
    wait_until(
        lambda: owner_of(redis_client, job_id) != owner, SUPERVISED_LEASE_S / 2, "another worker has it"
    )
    pool.open_gate()
    queue.result(job_id)
    assert pool.stop() == 0


def test_f03_all_workers_at_once(pool: Pool) -> None:
    pool.start("--procs", "4").ready()
    for pid in pool.workers().values():
        pool.kill(pid)
    pool.wait_event("child.ready", n=8, role="worker")
    assert len(pool.events("child.exit", outcome="crash")) == 4
    assert pool.stop() == 0


def test_f04_the_parent_while_idle(pool: Pool) -> None:
    pool.start("--procs", "4").ready()
    pool.kill(pool.pid)
    pool.wait_gone()  # 1.5 s on a quiet machine


def test_f05_the_parent_while_jobs_run(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", TEST_WAIT="2").ready()
    short, long = queue.put("until", "gate"), queue.put("slow", 600)
    owner_of(redis_client, short), owner_of(redis_client, long)
    pool.kill(pool.pid)
    pool.open_gate()
    assert queue.result(short)
    pool.wait_gone()
    assert pool.text().count("on_shutdown ran") == 2
    assert not redis_client.exists(f"arq:in-progress:{long}")
    assert redis_client.zscore("arq:queue", long)


def test_f05_the_parent_while_a_job_never_ends(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start(
        "--procs",
        "1",
        script=pool.script_with({"children.worker_programs.ORPHAN_MARGIN_S": 1.0}),
        TEST_WAIT="0",
    ).ready()
    owner_of(redis_client, queue.put("stubborn", 600))
    pool.kill(pool.pid)
    pool.wait_gone()


def test_f06_the_parent_while_a_worker_imports(pool: Pool) -> None:
    pool.start("--procs", "1", TEST_IMPORT="slow").wait_event("child.spawn")
    pool.kill(pool.pid)
    pool.wait_gone()  # the import alone would take a minute


def test_f25_a_poison_job_is_given_up(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", "--max-restarts", "20").ready()
    job_id = queue.put("poison")
    with pytest.raises(Exception, match="max 5 retries exceeded"):
        queue.result(job_id, 30)
    assert queue.result(queue.put("echo", 1)) == 1
    assert len(pool.events("child.exit", outcome="crash")) == 5
    assert pool.stop() == 0


def test_f42_a_job_that_leaves(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    queue.put("leave")
    assert pool.wait_event("child.exit")["outcome"] == "crash"
    pool.wait_event("child.ready", n=2, role="worker")
    assert pool.events("child.exit")[0]["status"] == "exit:0"


def test_r27_what_a_killed_worker_left_is_killed_too(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    pid = queue.result(queue.put("spawn", 600))
    assert is_alive(pid)
    pool.kill(pool.workers()[0])
    wait_until(lambda: not is_alive(pid), what="sleep is gone")
    assert pool.stop() == 0


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_steward_is_replaced_and_knows_everything_again(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2").ready()
    pool.kill(pool.steward())
    pool.wait_event("child.ready", n=2, role="steward")
    job_id = queue.put("until", "gate")
    pool.kill(pool.worker_of(owner_of(redis_client, job_id)))
    pool.open_gate()
    assert queue.result(job_id)
    assert queue.tries(job_id) == 2
    assert pool.stop() == 0


@pytest.mark.slow
def test_kill_dash_9_loses_nothing_under_load(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "3", "--max-restarts", "100").ready()
    ids = queue.put_many("slow", 300, 0.02)
    for round_ in range(4):
        pool.wait_event("child.ready", n=3 + round_, role="worker")
        workers = pool.workers()
        pool.kill(
            workers[round_ % len(workers)]
            if round_ % len(workers) in workers
            else next(iter(workers.values()))
        )
    assert all(queue.results(ids))
    # who is killed while the pool stops is counted among those that the stop has interrupted
    pool.wait_event("child.exit", n=4, outcome="crash")
    assert pool.stop() == 0


def test_r04_term_right_after_the_fork(pool: Pool) -> None:
    """A signal that comes before the child has handlers is not lost."""
    pool.start("--procs", "1", TEST_IMPORT="slow")
    pid = pool.wait_event("child.spawn")["pid"]
    os.kill(pid, signal.SIGTERM)
    assert pool.wait_event("child.exit", pid=pid)["uptime_s"] < PATIENCE_S  # the import takes a minute
    assert pool.stop() == 0
