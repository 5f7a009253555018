"""Workers that grow: F28 (the kernel ends one), F29 (we do, in time)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.supervisor.control_groups import entering, little_memory_for
from tests.supervisor.harness import Pool, Queue, owner_of

pytestmark = pytest.mark.processes


@pytest.fixture
def small_group(pool: Pool) -> Iterator[Path]:
    """Little memory for the pool, and for nobody else."""
    with little_memory_for(pool) as group:
        yield group


def test_f28_the_kernel_kills_a_worker_for_memory(
    pool: Pool, queue: Queue, redis_client: redis.Redis, small_group: Path
) -> None:
    enter = entering(small_group)
    pool.start("--procs", "2", "--child-oom-score-adj", "500", command=enter).ready()
    job_id = queue.put("slow", 1.5)
    victim = owner_of(redis_client, job_id)
    # both jobs are on the worker that will be killed, or on the other: either way they end
    queue.put("grow", 1000, _job_id="grows")
    suspected = pool.wait_event("child.oom_suspected")
    assert suspected["oom_kills"] >= 1
    assert suspected["level"] == "warning"
    pool.wait_event("child.ready", n=3, role="worker")
    assert victim
    assert queue.result(job_id)
    with pytest.raises(Exception, match="max|tries|retries"):
        queue.result("grows", timeout_s=90)  # kills each worker that takes it, but only max_tries times
    os.kill(pool.pid, 0)
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


def test_f29_a_worker_that_has_grown_is_replaced_first_and_drained(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    eager = pool.script_with({"parent.loop.WEIGH_EVERY_S": 0.5})
    pool.start("--procs", "2", "--max-rss", "150", script=eager).ready()
    grown = queue.result(queue.put("grow", 150))
    job_ids = queue.put_many("until", 6, "gate")  # some of them run in the process that has grown
    recycled = pool.wait_event("child.recycle")
    assert recycled["pid"] == grown
    assert recycled["why"] == "rss"
    assert recycled["rss_mb"] > 150
    pool.wait_event("child.spawn", reason="recycle")
    pool.wait_event("child.ready", n=3, role="worker")  # with that, the old one was told to end
    pool.open_gate()
    ended = pool.wait_event("child.exit", pid=grown)
    assert ended["outcome"] == "clean"
    assert ended["restarts"].startswith("0/")
    for job_id in job_ids:
        assert queue.result(job_id)
    assert len(pool.events("child.recycle")) == 1
    assert pool.stop() == 0
