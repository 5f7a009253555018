"""Pools for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.supervisor.harness import Pool, Queue, pool_in
from tests.support.servers import RedisServer


@pytest.fixture
def pool(tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Pool]:
    """A pool on the session's (empty) server, not started yet. No process of it may survive the test."""
    with pool_in(tmp_path, redis_server.port) as one:
        yield one


@pytest.fixture
def queue(redis_server: RedisServer, redis_client: redis.Redis) -> Queue:
    """A producer for that server."""
    return Queue(redis_server.port)
