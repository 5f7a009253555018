"""Pools and queues for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.deploy.container import Container, container_in
from tests.supervisor.harness import Queue
from tests.support.servers import RedisServer


@pytest.fixture
def container(tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Container]:
    """Not started yet. No process of it may survive the test."""
    with container_in(tmp_path, redis_server.port, Container) as one:
        yield one


@pytest.fixture
def queue(redis_server: RedisServer, redis_client: redis.Redis) -> Queue:
    """A producer for the session's server."""
    return Queue(redis_server.port)
