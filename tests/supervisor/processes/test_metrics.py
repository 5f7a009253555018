"""The metrics endpoint against what really happened."""

import json
import re
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
import redis

from supervisor.exit_codes import ExitCause
from tests.supervisor.endpoints import Samples, get, scrape, value
from tests.supervisor.harness import ROOT, Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def start(pool: Pool, *more: str) -> str:
    pool.start("--procs", "2", "--name", "shop", "--metrics", "127.0.0.1:0", *more).ready()
    address: str = pool.wait_event("metrics.listening")["address"]
    return address


def test_counts_are_those_of_the_jobs(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    address = start(pool)
    ids = queue.put_many("slow", 30, 0.01)
    for job_id in ids:
        queue.result(job_id)
    broken = queue.put("slow", "no number")
    with pytest.raises(TypeError):
        queue.result(broken)
    wait_until(lambda: counted(scrape(address)) == (30, 1, 31, 30), what="every job is counted")
    samples = scrape(address)
    assert value(samples, "arq_job_duration_seconds_bucket", function="slow", le="0.005") in (0, 1)
    assert value(samples, "arq_redis_up") == 1
    assert value(samples, "arq_pool_workers_ready", pool="shop") == 2
    assert (value(samples, "arq_worker_resident_memory_bytes", slot="0") or 0) > 1e6
    assert pool.stop() == 0


def counted(samples: Samples) -> tuple[float | None, ...]:
    """Complete and failed jobs, those in the histogram, and what the workers' own beats add up to."""
    jobs = [
        value(samples, "arq_jobs_total", function="slow", outcome=name) for name in ("complete", "failed")
    ]
    timed = value(samples, "arq_job_duration_seconds_count", function="slow")
    assert value(samples, "arq_job_waiting_seconds_count", function="slow") == timed
    assert value(samples, "arq_jobs_total", function="slow", outcome="waited") is None
    by_slot = [value(samples, "arq_worker_jobs_total", slot=slot, outcome="complete") for slot in ("0", "1")]
    return (*jobs, timed, sum(number or 0 for number in by_slot))


def are_stopped(pids: Iterable[int]) -> bool:
    return {psutil.Process(pid).status() for pid in pids} == {psutil.STATUS_STOPPED}


def test_the_queue_and_its_oldest_job(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    address = start(pool)
    for pid in pool.workers().values():  # nobody takes a job away
        pool.kill(pid, signal.SIGSTOP)
    wait_until(lambda: are_stopped(pool.workers().values()), what="the workers stand still")
    for _ in range(3):
        queue.put("echo", _defer_by=-5)
    queue.put("echo", _defer_by=1000)
    seen = scrape(address)
    assert redis_client.zcard("arq:queue") == 4
    assert value(seen, "arq_queue_depth") == 4
    assert (value(seen, "arq_queue_oldest_due_seconds") or 0) >= 5
    assert pool.stop() == 0


def test_counts_survive_the_end_of_a_worker(pool: Pool, queue: Queue) -> None:
    address = start(pool)
    for job_id in queue.put_many("slow", 10, 0.01):
        queue.result(job_id)
    wait_until(lambda: value(scrape(address), "arq_jobs_total", function="slow", outcome="complete") == 10)
    # from the start: Prometheus sees no increase in a series that begins with 1
    assert {value(scrape(address), "arq_pool_exits_total", cause=cause) for cause in ExitCause} == {0}
    pool.kill(pool.workers()[0])
    pool.wait_event("child.ready", n=3, role="worker")
    wait_until(
        lambda: value(scrape(address), "arq_pool_exits_total", cause="crash") == 1,
        what="the crash is counted",
    )
    assert value(scrape(address), "arq_jobs_total", function="slow", outcome="complete") == 10
    assert pool.stop() == 0


def test_counts_do_not_wait_for_a_beat(pool: Pool, queue: Queue) -> None:
    """A worker that is killed takes hardly any of them with it."""
    address = start(pool, "--heartbeat", "30")
    for job_id in queue.put_many("echo", 20):
        queue.result(job_id)
    wait_until(lambda: value(scrape(address), "arq_jobs_total", function="echo", outcome="complete") == 20)
    assert pool.stop() == 0


def test_live_and_ready(pool: Pool, queue: Queue) -> None:
    address = start(pool)
    wait_until(lambda: get(address, "/readyz")[0] == 200, what="ready")
    assert get(address, "/livez") == (200, "running 2/2 workers ready\n")
    assert get(address, "/elsewhere")[0] == 404
    assert pool.stop() == 0


def test_an_address_that_is_taken_is_said_and_nothing_else(
    pool: Pool, queue: Queue, redis_server: object
) -> None:
    pool.start("--procs", "1", "--metrics", f"127.0.0.1:{pool.port}").ready()
    assert "address already in use" in pool.wait_event("metrics.failed")["error"]
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


def test_the_dashboard_names_only_metrics_that_exist(pool: Pool, queue: Queue) -> None:
    dashboard = json.loads((ROOT / "examples" / "grafana-dashboard.json").read_text())
    wanted = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        for name in re.findall(r"\barq_[a-z_]+", target["expr"])
    }
    address = start(pool)
    queue.result(queue.put("echo", 1))
    wait_until(lambda: value(scrape(address), "arq_jobs_total", function="echo") == 1)
    pool.kill(pool.workers()[1])
    wait_until(lambda: value(scrape(address), "arq_pool_exits_total", cause="crash") == 1)
    names = {name for name, _ in scrape(address)}
    assert len(wanted) >= 10
    assert wanted <= names
    assert pool.stop() == 0
    assert Path(pool.log).exists()
