"""Jobs of a pool that start workers themselves: each is a worker of its own, and the pool goes on."""

import pytest
import redis

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

NESTING = """
import asyncio, os, subprocess, sys
import app
from arq.worker import Worker, create_worker

REDIS = app.Settings.redis_settings

async def quick(ctx):
    return os.environ["ARQ_WORKER_ID"]

async def end_of(process):
    while process.poll() is None:
        await asyncio.sleep(0.02)
    return process.returncode

async def by_command(ctx):
    return await end_of(subprocess.Popen([sys.executable, "-m", "arq", "nesting.Inner", "--burst"]))

async def by_pool(ctx):
    command = ["-m", "supervisor", "nesting.Inner", "--burst", "--name", "inner", "--control", "off"]
    return await end_of(subprocess.Popen([sys.executable, *command]))

async def beside(ctx):
    other = create_worker(Inner, burst=True)
    await other.main()
    await other.close()
    return 0

class Settings:
    functions = [app.until, by_command, by_pool, beside]
    redis_settings = REDIS
    job_completion_wait = 30

class Inner:
    functions = [quick]
    queue_name = "inner"
    redis_settings = REDIS
"""


@pytest.mark.parametrize("way", ["by_command", "by_pool", "beside"])
def test_a_worker_that_a_job_starts_takes_nothing_of_its_parents(
    pool: Pool, queue: Queue, redis_client: redis.Redis, way: str
) -> None:
    """The neighbour of that job is run once, and its worker drains as ever afterwards."""
    (pool.directory / "nesting.py").write_text(NESTING)
    pool.start("--procs", "1", settings="nesting.Settings").ready()
    neighbour = queue.put("until", "go")
    wait_until(lambda: redis_client.exists(f"arq:in-progress:{neighbour}"), what="it runs")
    owner = redis_client.get(f"arq:in-progress:{neighbour}")
    inner = queue.put("quick", _queue_name="inner")
    assert queue.result(queue.put(way)) == 0
    assert redis_client.exists(f"arq:result:{inner}")
    assert redis_client.get(f"arq:in-progress:{neighbour}") == owner
    pool.check_tidy()
    pool.signal(15)
    pool.wait_event("stop.start")
    (pool.directory / "go").touch()
    assert pool.wait() == 0
    assert queue.result(neighbour)
    assert queue.tries(neighbour) == 1
    assert not pool.events("jobs.released")
