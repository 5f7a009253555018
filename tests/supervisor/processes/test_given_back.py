"""What a drain gives back is taken by those who stay: no job is broken off twice by one reload, recycling or stop."""

import signal

import pytest
import redis

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def starts(client: redis.Redis, job_id: str) -> tuple[int, int]:
    """How often a job that runs or waits was started, and how many of these starts a shutdown has ended."""
    begun, interrupted = client.mget(f"arq:retry:{job_id}", f"arq:interrupted:{job_id}")
    return int(begun or 0), int(interrupted or 0)


def wait_held(client: redis.Redis, jobs: list[str], what: str) -> None:
    """Wait until each of the jobs is somebody's."""
    locks = [f"arq:in-progress:{job_id}" for job_id in jobs]
    wait_until(lambda: client.exists(*locks) == len(jobs), what=what)


def wait_running(pool: Pool, jobs: list[str]) -> None:
    for job_id in jobs:
        pool.wait_started(job_id)


@pytest.mark.parametrize("wait_s", [0, 1])
def test_a_reload_breaks_each_job_off_once(
    pool: Pool, queue: Queue, redis_client: redis.Redis, wait_s: int
) -> None:
    pool.start("--procs", "4", TEST_WAIT=str(wait_s)).ready()
    jobs = queue.put_many("until", 4, "gate")
    wait_running(pool, jobs)
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    wait_until(
        lambda: all(starts(redis_client, job_id) == (2, 1) for job_id in jobs), what="each job runs again"
    )
    pool.open_gate()
    queue.results(jobs)
    assert [queue.tries(job_id) for job_id in jobs] == [2] * 4
    assert pool.stop() == 0


def test_a_second_reload_breaks_each_job_off_once_more(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "3", TEST_WAIT="0").ready()
    jobs = queue.put_many("until", 3, "gate")
    wait_running(pool, jobs)
    for n in (1, 2):
        pool.signal(signal.SIGHUP)
        pool.wait_event("reload.done", n=n)
        expected = (n + 1, n)
        wait_until(
            lambda expected=expected: all(  # type: ignore[misc]
                starts(redis_client, job_id) == expected for job_id in jobs
            ),
            what=f"each job runs again after reload {n}",
        )
    pool.open_gate()
    queue.results(jobs)
    assert pool.stop() == 0


def test_a_job_is_not_left_for_long_when_the_reload_fails(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    """The first new worker works; the second does not, so old ones stay: they take what the first drain gave back."""
    pool.start("--procs", "2", TEST_WAIT="0").ready()
    (pool.directory / "app.py").write_text(
        (pool.directory / "app.py").read_text()
        + "\nif os.environ['ARQ_WORKER_SLOT'] == '1':\n    raise RuntimeError('not here')\nSettings.max_jobs = 1\n"
    )
    jobs = queue.put_many("until", 4, "gate")
    wait_running(pool, jobs)
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.failed")
    wait_held(redis_client, jobs, what="somebody has each of the jobs")
    pool.open_gate()
    queue.results(jobs)
    assert pool.stop() == 0


@pytest.mark.parametrize("wait_s", [0, 1])
def test_a_stop_breaks_each_job_off_once(
    pool: Pool, queue: Queue, redis_client: redis.Redis, wait_s: int
) -> None:
    pool.start("--procs", "4", TEST_WAIT=str(wait_s)).ready()
    jobs = queue.put_many("until", 6, "gate")
    wait_running(pool, jobs)
    assert pool.stop() == 0
    assert [starts(redis_client, job_id) for job_id in jobs] == [(1, 1)] * 6
    pool.open_gate()
    pool.start("--procs", "1", TEST_WAIT=str(wait_s))  # another run of the pool takes them at once
    queue.results(jobs)
    assert [queue.tries(job_id) for job_id in jobs] == [2] * 6
    assert pool.stop() == 0


def test_workers_that_grow_old_together_do_not_take_each_others_jobs(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "3", TEST_WAIT="0").ready()
    jobs = queue.put_many("until", 3, "gate")
    wait_running(pool, jobs)
    for n in (1, 2):
        pool.signal(signal.SIGTTOU)  # one less
        pool.wait_event("pool.scale", n=n)
    pool.wait_event("child.exit", n=2, role="worker")
    wait_held(redis_client, jobs, what="the one that stays has them all")
    assert sum(starts(redis_client, job_id)[1] for job_id in jobs) <= 3
    pool.open_gate()
    queue.results(jobs)
    assert pool.stop() == 0
