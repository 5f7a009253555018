"""Workers that are killed or stopped around a try: no try is lost, none is forgotten."""

from __future__ import annotations

import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.eventually import wait_until
from tests.support.programs import ROOT, Program, program_starter
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes

SETTINGS = """
import os, signal
from arq import Backoff, Snooze, func
from arq.connections import RedisSettings

async def note(ctx):
    await ctx["redis"].rpush("tries", ctx["job_try"])
    await ctx["redis"].expire("tries", 600)
    return await ctx["redis"].llen("tries")

async def flaky(ctx):
    await note(ctx)
    raise ConnectionError("gone")

async def sleepy(ctx):
    if await note(ctx) < 3:
        raise Snooze(0)

class Deadly(Snooze):
    @property
    def defer_score(self):  # asked when the run is over and nothing is written
        os.kill(os.getpid(), signal.SIGKILL)

    @defer_score.setter
    def defer_score(self, value):
        pass

async def deadly(ctx):
    if await note(ctx) == 1:
        raise Deadly(0)

def kills_at_first(tries, exc):
    if tries == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0

class Settings:
    functions = [
        func(flaky, retry_on=ConnectionError, backoff=kills_at_first, max_tries=3),
        func(flaky, name="later", retry_on=ConnectionError, backoff=lambda tries, exc: 3600, max_tries=2),
        sleepy,
        deadly,
    ]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_DSN"])
    poll_delay = 0.05
    job_timeout = 5
"""


@pytest.fixture
def start(
    tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis
) -> Iterator[Callable[[], Program]]:
    (tmp_path / "kills.py").write_text(SETTINGS)
    environment = {"REDIS_DSN": redis_server.dsn, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with program_starter(tmp_path, environment) as program:
        yield lambda: program("-m", "arq", "kills.Settings")


def put(client: redis.Redis, function: str) -> str:
    payload: dict[str, Any] = {"t": None, "f": function, "a": (), "k": {}, "et": int(time.time() * 1000)}
    client.set(f"arq:job:{function}-1", pickle.dumps(payload), ex=86_400)
    client.zadd("arq:queue", {f"{function}-1": time.time() * 1000})
    return f"{function}-1"


def tries(client: redis.Redis) -> list[int]:
    return [int(number) for number in client.lrange("tries", 0, -1)]


def forget_the_dead(client: redis.Redis) -> None:
    """Let all leases be over, as they are a while after a death."""
    for register in ("arq:members", "arq:leases"):
        workers: Any = client.zrange(register, 0, -1)
        for worker in workers:
            client.zadd(register, {worker: 1})


def killed(start: Callable[[], Program], client: redis.Redis) -> Program:
    """Have a worker killed by its job, and start another one in its place."""
    first = start()
    assert first.ended() == -signal.SIGKILL, first.stderr
    forget_the_dead(client)
    return start()


def over(client: redis.Redis, job_id: str) -> None:
    wait_until(lambda: client.exists(f"arq:result:{job_id}"), what="the job is over")
    assert not client.exists(f"arq:job:{job_id}", f"arq:retry:{job_id}", f"arq:in-progress:{job_id}")
    assert client.zcard("arq:queue") == 0


def test_a_kill_between_the_end_of_a_try_and_its_writing(
    start: Callable[[], Program], redis_client: redis.Redis
) -> None:
    """The try counts, and the next one comes at once, by another worker."""
    job_id = put(redis_client, "flaky")
    second = killed(start, redis_client)
    over(redis_client, job_id)
    assert tries(redis_client) == [1, 2, 3]
    assert "flaky retrying job in 0.00s: try 2 of 3, ConnectionError: gone" in second.stderr
    assert second.stop() == 0


def test_a_kill_before_a_snooze_is_written(start: Callable[[], Program], redis_client: redis.Redis) -> None:
    """Nobody knows that it would not count."""
    job_id = put(redis_client, "deadly")
    second = killed(start, redis_client)
    over(redis_client, job_id)
    assert tries(redis_client) == [1, 2]
    assert second.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_of_the_worker_during_a_pause(
    start: Callable[[], Program], redis_client: redis.Redis, how: signal.Signals
) -> None:
    job_id = put(redis_client, "later")
    first = start()
    wait_until(
        lambda: (redis_client.zscore("arq:queue", job_id) or 0) > (time.time() + 3000) * 1000, what="it waits"
    )
    first.stop(how)
    assert redis_client.get(f"arq:retry:{job_id}") == b"1"
    assert not redis_client.exists(f"arq:in-progress:{job_id}")
    redis_client.zadd("arq:queue", {job_id: 1000}, xx=True)  # an hour later
    second = start()
    over(redis_client, job_id)
    assert tries(redis_client) == [1, 2]
    assert second.stop() == 0


def test_snoozes_of_the_command(start: Callable[[], Program], redis_client: redis.Redis) -> None:
    job_id = put(redis_client, "sleepy")
    worker = start()
    over(redis_client, job_id)
    assert tries(redis_client) == [1, 1, 1]
    assert worker.stderr.count("sleepy retrying job in 0.00s: snoozed, this try does not count") == 2
    assert worker.stop() == 0
