"""A worker whose event loop does not go on looks like that, wherever somebody looks, for as long as it lasts."""

import pytest

from supervisor.commands.status_table import status_table
from supervisor.pool.status import read_status
from tests.supervisor.commands import ON, check, run, status
from tests.supervisor.endpoints import get, scrape, value
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

LAG = "arq_worker_loop_lag_seconds"


@pytest.fixture
def address(pool: Pool, queue: Queue) -> str:
    """Of the metrics of a pool whose only worker is being blocked, and has been for a while."""
    pool.start("--procs", "1", "--name", "shop", "--metrics", "127.0.0.1:0", *ON).ready()
    found: str = pool.wait_event("metrics.listening")["address"]
    queue.put("block", 10)
    wait_until(lambda: status(pool)["workers"][0]["state"] == "blocked", what="the worker looks blocked")
    return found


def test_a_blocked_worker_looks_blocked_everywhere(pool: Pool, queue: Queue, address: str) -> None:
    told = status(pool)
    worker = told["workers"][0]
    assert worker["blocked_s"] >= 2
    assert worker["lag_ms"] >= 2000
    assert worker["jobs"]["ongoing"] == 1
    assert [job.split(":")[1] for job in worker["running"]] == ["block"]
    assert (told["supervisor"]["ready"], told["supervisor"]["state"]) == (0, "running")
    assert " blocked " in status_table(read_status(told))

    wait_until(lambda: get(address, "/readyz")[0] == 503, what="nobody is ready")
    assert "0/1 workers ready, 1 blocked" in get(address, "/readyz")[1]
    assert get(address, "/livez")[0] == 200
    samples = scrape(address)
    assert (value(samples, LAG, slot="0") or 0) > 1
    assert value(samples, "arq_worker_ready", slot="0") == value(samples, "arq_pool_workers_ready") == 0
    assert value(samples, "arq_worker_jobs_ongoing", slot="0") == 1

    code, report = check(pool, "--local")
    assert code == 1
    assert report["problems"][0].startswith("slot 0: its event loop has been blocked for")
    assert " FAIL slot 0 " in run(pool, "app.Settings", *ON, "--check", "--local").stdout


def test_what_is_over_is_seen_by_those_who_look_later(pool: Pool, address: str) -> None:
    wait_until(lambda: status(pool)["workers"][0]["state"] == "ready", what="the worker goes on")
    wait_until(lambda: get(address, "/readyz")[0] == 200, what="and is ready")
    wait_until(lambda: status(pool)["workers"][0]["lag_ms"] < 1000, what="beats come again")
    assert (value(scrape(address), LAG, slot="0") or 0) > 1
