"""Settings and servers at their limits: no end of a wait, no writes to Redis, names that nobody has heard of."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from tests.supervisor.endpoints import get
from tests.supervisor.harness import Pool, Queue, pool_in
from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import read_only, running_server, without_replicas

pytestmark = pytest.mark.processes

ENDLESS = """import math, app
class Settings(app.Settings):
    job_completion_wait = math.inf
"""


@pytest.mark.parametrize("refuse", [read_only, without_replicas])
def test_a_pool_that_starts_while_redis_refuses_to_write_waits(
    tmp_path: Path, refuse: Callable[[Any, bool], None]
) -> None:
    with running_server() as server, pool_in(tmp_path, server.port) as pool:
        with redis.Redis(port=server.port) as client:
            refuse(client, True)
            pool.start("--procs", "1", "--boot-timeout", "3", "--boot-retries", "0")
            pool.wait_event("child.exit", n=2, outcome="tempfail")
            refuse(client, False)
        pool.ready()
        assert Queue(server.port).result(Queue(server.port).put("echo", 1)) == 1
        assert pool.stop() == 0


def test_endless_patience_with_jobs_does_not_make_an_orphan(pool: Pool) -> None:
    (pool.directory / "endless.py").write_text(ENDLESS)
    pool.start("--procs", "1", settings="endless.Settings").ready()
    (worker,) = pool.workers()
    assert pool.process is not None
    os.kill(pool.process.pid, signal.SIGKILL)
    pool.process.wait(PATIENCE_S)
    wait_until(lambda: not psutil.pid_exists(worker), what="the worker ends, too")


def test_endless_patience_with_jobs_is_that_of_their_supervisor_too(pool: Pool) -> None:
    (pool.directory / "endless.py").write_text(ENDLESS)
    pool.start("--procs", "1", settings="endless.Settings").ready()
    pool.signal(signal.SIGTERM)
    assert pool.wait_event("stop.start")["budget_s"] > 365 * 86_400
    assert pool.wait() == 0


def test_names_of_functions_that_nobody_has_do_not_blind_the_probes(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "1", "--metrics", "127.0.0.1:0").ready()
    address = pool.wait_event("metrics.listening")["address"]
    names = ["ä" * 100 + str(number) for number in range(600)] + ["\ud800"]
    queue.put_each(names)
    wait_until(lambda: redis_client.zcard("arq:queue") == 0, what="all have failed")
    queue.result(queue.put("echo"))
    wait_until(lambda: 'function="echo"' in get(address, "/metrics")[1], what="the known one is shown")
    status, text = get(address, "/metrics")
    assert status == 200
    assert 'arq_jobs_total{function="<unknown>",outcome="failed",pool="app.Settings"} 601.0' in text
    assert get(address, "/livez")[0] == get(address, "/readyz")[0] == 200
    assert pool.stop() == 0
