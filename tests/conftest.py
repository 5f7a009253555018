"""Fixtures for everybody: a real server, a pool on an empty database, workers, leak checks."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.support import leaks, skips, sweeper, turns
from tests.support.servers import HOST, RedisServer, running_server

if TYPE_CHECKING:
    from arq.connections import ArqRedis, RedisSettings
    from arq.worker import Worker

# A machine may be slow, or stand still for seconds: how long one example takes says nothing. The examples are the same
# each time, so that who breaks nothing finds nothing broken; ARQ_TEST_RANDOM=1 looks at others.
settings.register_profile(
    "arq",
    deadline=None,
    max_examples=60,
    derandomize=os.environ.get("ARQ_TEST_RANDOM") != "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("arq")
#: seconds that a connection may take to be opened
CONNECT_S = 30
# a socket's path may have 104 bytes, and the directory of a test takes up to 80 of them
LONGEST_TEMPORARY, SHORT_TEMPORARY = 24, "/tmp"


class WorkerFactory(Protocol):
    """Build a Worker on the test's database; it is closed after the test."""

    def __call__(self, functions: Sequence[Any] = (), **kwargs: Any) -> Worker: ...


def pytest_configure(config: pytest.Config) -> None:
    # examples and children read it: a developer's own address must not reach them
    os.environ.pop("REDIS_DSN", None)
    for plugin in (skips, sweeper, turns):
        if not config.pluginmanager.has_plugin(plugin.__name__):
            config.pluginmanager.register(plugin, plugin.__name__)
    if len(tempfile.gettempdir()) > LONGEST_TEMPORARY and os.access(SHORT_TEMPORARY, os.W_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = SHORT_TEMPORARY


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return turns.processes()


def pytest_collection_finish() -> None:
    # a hundred thousand objects that stay to the end: no collection of garbage has to look at them again
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server_and_client() -> Iterator[tuple[RedisServer, redis.Redis]]:
    """One of each for all tests: to make a client takes longer than many a test."""
    with running_server() as server, redis.Redis(HOST, server.port, socket_timeout=CONNECT_S) as client:
        client.ping()  # its connection is there before the first test that must not leave one
        yield server, client


@pytest.fixture(scope="session")
def redis_server(server_and_client: tuple[RedisServer, redis.Redis]) -> RedisServer:
    """The session's server. Do not stop, pause or kill it: take `running_server()` for that."""
    return server_and_client[0]


@pytest.fixture
def redis_client(server_and_client: tuple[RedisServer, redis.Redis]) -> redis.Redis:
    """A plain synchronous client on database 0, which it finds empty."""
    server_and_client[1].flushall()
    return server_and_client[1]


@pytest.fixture
def redis_settings(redis_server: RedisServer, redis_client: redis.Redis) -> RedisSettings:
    """Settings for the session's server, whose databases are all empty."""
    from arq.connections import RedisSettings

    return RedisSettings(host=HOST, port=redis_server.port, conn_timeout=CONNECT_S, conn_retries=0)


@pytest.fixture
async def arq_redis(redis_settings: RedisSettings) -> AsyncIterator[ArqRedis]:
    """A pool on an empty database."""
    from arq.connections import create_pool

    pool = await create_pool(redis_settings)
    yield pool
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
async def worker(arq_redis: ArqRedis) -> AsyncIterator[WorkerFactory]:
    """Factory of workers: burst mode, no signal handlers, no pause between polls unless asked for."""
    from arq.worker import Worker

    made: list[Worker] = []

    def make(functions: Sequence[Any] = (), **kwargs: Any) -> Worker:
        defaults: dict[str, Any] = {"burst": True, "poll_delay": 0, "handle_signals": False}
        if "redis_settings" not in kwargs:
            defaults["redis_pool"] = arq_redis
        made.append(Worker(functions=functions, **{**defaults, **kwargs}))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """No test leaves a process or an open file behind."""
    children, files = leaks.child_pids(), leaks.open_files()
    yield
    survivors = leaks.leftover_children(children)
    assert not survivors, f"processes left behind: {survivors}"
    leaked = leaks.files_left_open(files)
    assert not leaked, f"files left open: {leaked}"


@pytest.fixture(autouse=True)
def every_key_expires(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a key without TTL in Redis but queues and what it marks with `keeps_keys`."""
    if "redis_server" not in request.fixturenames:
        yield
        return
    client: redis.Redis = request.getfixturevalue("server_and_client")[1]
    yield
    mark = request.node.get_closest_marker("keeps_keys")
    immortal = leaks.immortal_keys(client, mark.args if mark else ())
    client.flushall()
    assert not immortal, f"keys that never expire: {immortal}"
