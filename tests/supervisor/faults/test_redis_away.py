"""Redis goes and comes back while the pool works: F18, F19, F55."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.supervisor.harness import Pool, Queue, owner_of, pool_in
from tests.support.eventually import wait_until
from tests.support.servers import RedisServer, read_only, running_server, without_replicas

pytestmark = pytest.mark.processes


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with running_server(durable=True) as one:
        yield one


@pytest.fixture
def away(tmp_path: Path, server: RedisServer) -> Iterator[Pool]:
    """A pool on that server."""
    with pool_in(tmp_path, server.port) as one:
        yield one


def test_f18_redis_restarts(away: Pool, server: RedisServer) -> None:
    queue = Queue(server.port)
    away.start("--procs", "2").ready()
    before = away.workers()
    with redis.Redis(port=server.port) as client:
        ids = [queue.put("until", "gate") for _ in range(4)]
        for job_id in ids:
            owner_of(client, job_id)
    server.stop()
    away.wait_event("redis.lost")
    away.open_gate()
    server.start()
    away.wait_event("redis.back")
    assert all(queue.result(job_id, 30) for job_id in ids)
    assert {queue.tries(job_id) for job_id in ids} == {1}
    assert away.workers() == before
    assert away.stop() == 0


def test_f55_a_release_that_has_to_wait_for_redis(away: Pool, server: RedisServer) -> None:
    queue = Queue(server.port)
    away.start("--procs", "2").ready()
    job_id = queue.put("until", "gate")
    with redis.Redis(port=server.port) as client:
        owner = owner_of(client, job_id)
    server.stop()
    away.kill(away.worker_of(owner))
    away.wait_event("jobs.release_failed", worker=owner)
    away.wait_event("child.spawn", reason="crash")
    server.start()
    assert away.wait_event("jobs.released", worker=owner)["ids"] == [job_id]
    away.open_gate()
    assert queue.result(job_id, 30)
    assert away.stop() == 0


def test_f19_redis_answers_nothing_for_a_while(away: Pool, server: RedisServer) -> None:
    queue = Queue(server.port)
    away.start("--procs", "2", script=away.script_with({"children.steward.COMMAND_S": 1.5})).ready()
    before = away.workers()
    server.pause()
    try:
        away.wait_event("redis.lost")
    finally:
        server.resume()
    away.wait_event("redis.back")
    assert queue.result(queue.put("echo", 1)) == 1
    assert away.workers() == before
    assert away.stop() == 0


@pytest.mark.parametrize("refuse", [read_only, without_replicas])
def test_f20_redis_refuses_to_write_for_a_while(
    away: Pool, server: RedisServer, refuse: Callable[[Any, bool], None]
) -> None:
    queue = Queue(server.port)
    away.start("--procs", "2").ready()
    away.wait_event("child.ready", role="steward")
    with redis.Redis(port=server.port) as client:
        running = queue.put("until", "gate")
        away.wait_started(running)
        refuse(client, True)
        away.open_gate()
        try:
            wait_until(lambda: "redis trouble" in away.text(), what="the workers notice")
        finally:
            refuse(client, False)
    assert queue.result(running)
    assert queue.tries(running) == 1
    assert queue.result(queue.put("echo", 1)) == 1
    assert not away.events("child.exit")
    assert away.stop() == 0


def test_a_stop_while_redis_is_away(away: Pool, server: RedisServer) -> None:
    away.start("--procs", "2").ready()
    server.stop()
    away.wait_event("redis.lost")
    assert away.stop() in (0, 6)
    wait_until(lambda: not away.survivors(), what="nobody left")
