"""Processes that die of a job: that job is given up, its neighbours are not, and neither is the pool."""

import pytest
import redis

from arq.worker import JobExecutionFailed
from tests.supervisor.harness import Pool, Queue

pytestmark = pytest.mark.processes

GIVEN_UP = r"max 5 retries exceeded: its process died 5 times \(signal 9\)"


def test_the_neighbours_of_a_job_that_kills_its_process_finish(pool: Pool, queue: Queue) -> None:
    others = queue.put_many("slow", 3, 0.6)
    job_id = queue.put("kills_itself", 0.2)
    pool.start("--procs", "1")
    assert len(queue.results(others)) == 3
    with pytest.raises(JobExecutionFailed, match=GIVEN_UP):
        queue.result(job_id, 60)
    assert pool.events("jobs.released", cause="signal 9", n=4, blamed=None)
    assert len(pool.events("jobs.released", cause="signal 9", blamed=job_id, n=1)) == 5
    assert pool.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_six_of_them_fail_each_for_its_own_deaths_and_the_pool_goes_on(pool: Pool, queue: Queue) -> None:
    guilty = queue.put_many("kills_itself", 6, 0.2)
    others = queue.put_many("slow", 4, 0.5)
    pool.start("--procs", "1")
    for job_id in guilty:
        with pytest.raises(JobExecutionFailed, match=GIVEN_UP):
            queue.result(job_id, 120)
    assert len(queue.results(others)) == 4
    assert queue.result(queue.put("echo", 1)) == 1
    assert not pool.events("intensity.exceeded")
    assert pool.stop() == 0


def test_a_pool_in_which_every_job_kills_its_process_gives_up(pool: Pool, queue: Queue) -> None:
    """Then it is not the jobs."""
    queue.put_many("kills_itself", 20)
    pool.start("--procs", "1", "--max-restarts", "1")
    assert pool.wait() == 5
    assert pool.events("intensity.exceeded")
    assert len(pool.events("child.exit", outcome="crash")) > 10


def test_a_job_that_hangs_is_a_suspect_with_its_neighbours(pool: Pool, queue: Queue) -> None:
    other = queue.put("slow", 1.0)
    queue.put("block", 60)
    pool.start("--procs", "1", "--hang-timeout", "0.8", "--kill-timeout", "0.3",
               "--graceful-timeout", "0.3")  # fmt: skip
    first = pool.wait_event("jobs.released", timeout_s=60, cause="hung")
    assert (first["n"], first["blamed"]) == (2, None)
    assert queue.result(other, 60)
    assert queue.tries(other) > 1
    pool.wait_event("jobs.released", timeout_s=60, cause="hung", n=1)


@pytest.mark.parametrize("function", ["deaf", "block"])
def test_who_is_killed_because_it_does_not_stop_has_not_died_of_its_jobs(
    pool: Pool, queue: Queue, redis_client: redis.Redis, function: str
) -> None:
    """Whatever keeps a worker from its end: whoever wanted that end has ended the jobs."""
    jobs = [queue.put("until", "gate"), queue.put(function, 60)]
    pool.start("--procs", "1", "--graceful-timeout", "0.4", "--kill-timeout", "0.3")
    for job_id in jobs:
        pool.wait_started(job_id)
    assert pool.stop() == 6
    assert not redis_client.keys("arq:crashes:*")
    for job_id in jobs:
        begun, forgiven = redis_client.mget(f"arq:retry:{job_id}", f"arq:interrupted:{job_id}")
        assert begun == forgiven
