"""F56: workers are replaced again and again under load, one at a time, and nobody notices."""

import pytest
import redis

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

JOBS = 3000


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_f56_every_job_runs_once_while_workers_come_and_go(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "3", "--max-jobs-per-child", "50").ready()
    queue.put_numbered("count", range(JOBS), 0.01)
    wait_until(lambda: redis_client.hlen("ran") == JOBS, timeout_s=240, what="every job has run")
    assert pool.stop() == 0
    assert set(redis_client.hvals("ran")) == {b"1"}
    assert len(pool.events("child.recycle")) >= 5
    assert {record["outcome"] for record in pool.events("child.exit")} == {"clean"}
    assert most_at_once(pool) == 1


def most_at_once(pool: Pool) -> int:
    """Workers between the start of their successor and their end, at the worst moment."""
    changes = [(record["ts"], 1) for record in pool.events("child.spawn", reason="recycle")]
    stopped = pool.events("stop.start")[0]["ts"]
    ends = [record["ts"] for record in pool.events("child.exit", role="worker") if record["ts"] < stopped]
    changes += [(ts, -1) for ts in ends]
    count = most = 0
    for _, by in sorted(changes):
        count += by
        most = max(most, count)
    return most
