"""Commands for operators that are killed in the middle: no job is done by half, and the command can be run again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from arq.connections import ArqRedis, JobCall
from tests.arq.redis.harness import QUEUE
from tests.support.eventually import wait_until
from tests.support.programs import ROOT
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.processes, pytest.mark.slow]
JOBS = 20_000


@pytest.fixture
async def jobs(arq_redis: ArqRedis) -> None:
    calls = [JobCall("f", _job_id=f"job{number}", _defer_by=3600) for number in range(JOBS)]
    await arq_redis.enqueue_jobs(calls)


def kill_when(begun: Callable[[], bool], server: RedisServer, *words: str) -> int:
    """Start a command and kill it when it has begun; its exit code."""
    process = subprocess.Popen([sys.executable, "-m", "arq", *words, "--redis", server.dsn], cwd=ROOT)
    try:
        wait_until(lambda: begun() or process.poll() is not None, 60, "the command has begun")
    finally:
        process.kill()
        process.wait()
    return process.returncode


def run(server: RedisServer, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "arq", *words, "--redis", server.dsn],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.usefixtures("jobs")
def test_rm(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    code = kill_when(lambda: redis_client.zcard(QUEUE) < JOBS, redis_server, "rm", "--all", "--yes")
    assert code == -signal.SIGKILL
    ids: Any = redis_client.zrange(QUEUE, 0, -1)
    left = {job_id.decode() for job_id in ids}
    payloads = {key.decode().removeprefix("arq:job:") for key in redis_client.scan_iter("arq:job:*", 1000)}
    assert 0 < len(left) < JOBS
    assert left == payloads
    run(redis_server, "rm", "--all", "--yes")
    assert redis_client.keys("*") == [b"arq:audit"]


@pytest.mark.usefixtures("jobs")
def test_abort(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    code = kill_when(lambda: redis_client.zcard(QUEUE) < JOBS, redis_server, "abort", "--all", "--yes")
    assert code == -signal.SIGKILL
    left = redis_client.zcard(QUEUE)
    results = sum(1 for _ in redis_client.scan_iter("arq:result:*", 1000))
    assert left + results == JOBS
    assert sum(1 for _ in redis_client.scan_iter("arq:job:*", 1000)) == left


@pytest.mark.usefixtures("jobs")
def test_retry(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    in_half_an_hour = (time.time() + 1800) * 1000
    kill_when(
        lambda: redis_client.zcount(QUEUE, "-inf", in_half_an_hour) > 0,
        redis_server,
        "retry",
        "--all",
        "--yes",
    )
    assert redis_client.zcard(QUEUE) == JOBS
    run(redis_server, "retry", "--all", "--yes")
    assert redis_client.zcount(QUEUE, "-inf", in_half_an_hour) == JOBS
    assert redis_client.dbsize() == JOBS + 2  # the queue, and the audit trail


@pytest.mark.usefixtures("jobs")
def test_pause(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    kill_when(lambda: redis_client.exists(f"arq:paused:{QUEUE}") == 1, redis_server, "pause", QUEUE)
    assert "is paused" in run(redis_server, "pause", QUEUE)
    assert "is resumed" in run(redis_server, "resume", QUEUE)
    assert redis_client.zcard(QUEUE) == JOBS
