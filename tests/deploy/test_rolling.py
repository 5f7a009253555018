"""A rolling update, as Kubernetes does it: the new pod is ready, then the old one gets TERM, under load."""

import asyncio
import signal
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import redis

from arq.connections import RedisSettings, create_pool
from arq.jobs import JobResult
from supervisor.exit_codes import ExitCode
from tests.deploy.container import Container, container_in, why_not
from tests.supervisor.harness import Queue
from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.processes, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

APPLICATION = """
import asyncio
from app import Settings as Base

async def work(ctx, number):
    await asyncio.sleep(0.05)
    return "VERSION"

class Settings(Base):
    functions = [work]
    max_jobs = 4
"""
JOBS = 400


@pytest.fixture
def pods(
    tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis
) -> Iterator[dict[str, Container]]:
    """Version -> a pod of it, not started yet. All have the pool's name, each a host name of its own."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with (
        container_in(tmp_path / "old", redis_server.port, Container) as old,
        container_in(tmp_path / "new", redis_server.port, Container) as new,
    ):
        yield {"old": old, "new": new}


def is_ready(pod: Container) -> bool:
    address = pod.wait_event("metrics.listening")["address"]
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=20):
            return True
    except OSError:
        return False


def start(pod: Container, version: str) -> None:
    (pod.directory / "rolling.py").write_text(APPLICATION.replace("VERSION", version))
    pod.boot("--procs", "2", "--name", "shop", "--metrics", "127.0.0.1:0", settings="rolling.Settings")


def are_registered(redis_client: redis.Redis, pods: Iterable[Container]) -> bool:
    register = str(redis_client.zrange("arq:leases", 0, -1))
    return all(f"shop:{pod.host}:" in register for pod in pods)


async def all_results(settings: RedisSettings) -> list[JobResult]:
    pool = await create_pool(settings)
    try:
        return await pool.all_job_results()
    finally:
        await pool.aclose()


def test_every_job_runs_once(
    pods: dict[str, Container], queue: Queue, redis_client: redis.Redis, redis_settings: RedisSettings
) -> None:
    old, new = pods["old"], pods["new"]
    start(old, "old")
    wait_until(lambda: is_ready(old), what="the old pod is ready")
    queue.put_numbered("work", range(JOBS // 2))
    start(new, "new")
    wait_until(lambda: is_ready(new), what="the new pod is ready")
    wait_until(lambda: are_registered(redis_client, pods.values()), what="both pods have their leases")
    queue.put_numbered("work", range(JOBS // 2, JOBS))
    old.signal(signal.SIGTERM)
    assert old.wait(2 * PATIENCE_S) == ExitCode.OK
    wait_until(lambda: redis_client.zcard("arq:queue") == 0, 2 * PATIENCE_S, "every job is done")
    results = asyncio.run(all_results(redis_settings))
    assert len(results) == JOBS
    assert {result.result for result in results} == {"old", "new"}
    assert {result.job_try for result in results} == {1}
    assert new.stop() == ExitCode.OK
