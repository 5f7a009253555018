"""A cluster needs settings of its own: whoever tries without hears at once what to do, in one line.

Clusters of several nodes are the business of `tests/cluster`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from arq.worker import Worker
from tests.arq.redis.harness import CONNECT_S, quick
from tests.supervisor.harness import pool_in
from tests.support.eventually import wait_until
from tests.support.programs import program_starter
from tests.support.servers import HOST, RedisServer, running_server

SLOTS = 16384
UNSUPPORTED = "this is a node of a Redis Cluster: use RedisSettings"


@pytest.fixture
def node() -> Iterator[RedisServer]:
    """The only node of a cluster, which has all slots."""
    with running_server(arguments=("--cluster-enabled", "yes")) as server:
        with redis.Redis(HOST, server.port) as client:
            for first in range(0, SLOTS, 4096):
                client.cluster("ADDSLOTS", *range(first, first + 4096))
            wait_until(lambda: is_ready(client), what="the cluster is ready")
        yield server


def is_ready(client: redis.Redis) -> bool:
    info: Any = client.cluster("INFO")
    return bool(info["cluster_state"] == "ok")


@pytest.fixture
def settings(node: RedisServer) -> RedisSettings:
    return RedisSettings(HOST, node.port, conn_retries=5, conn_retry_delay=30, conn_timeout=CONNECT_S)


async def test_create_pool_refuses_it_without_another_try(
    settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ResponseError, match=f"^{UNSUPPORTED}[^\n]*$"):
        await create_pool(settings)
    assert caplog.text == ""


async def test_a_worker_refuses_it(settings: RedisSettings) -> None:
    worker = Worker([quick], redis_settings=settings, handle_signals=False)
    with pytest.raises(ResponseError, match=f"^{UNSUPPORTED}"):
        await worker.main()
    await worker.close()


async def test_a_client_that_was_not_made_by_create_pool_finds_out_at_its_first_call(
    node: RedisServer,
) -> None:
    pool = ArqRedis(host=HOST, port=node.port)
    calls = pool.enqueue_job("quick"), pool.enqueue_jobs(["quick", "quick"]), Job("some", pool).abort()
    for call in calls:
        with pytest.raises(ResponseError, match=UNSUPPORTED):
            await call
    worker = Worker([quick], redis_pool=pool, handle_signals=False)
    with pytest.raises(ResponseError, match=UNSUPPORTED):
        await worker.main()
    await worker.close()
    await pool.aclose()


async def test_a_node_without_slots(node: RedisServer) -> None:
    with redis.Redis(HOST, node.port) as client:
        client.cluster("FLUSHSLOTS")
    pool = ArqRedis(host=HOST, port=node.port)
    with pytest.raises(ResponseError, match=UNSUPPORTED):
        await pool.enqueue_job("quick")
    await pool.aclose()


async def test_clients_of_a_cluster_and_clients_that_block(node: RedisServer) -> None:
    cluster = RedisCluster(host=HOST, port=node.port)
    blocking = redis.Redis(HOST, node.port)
    for given, text in (
        (cluster, "RedisCluster can't be used: use RedisSettings"),
        (blocking, "needs a connection pool of redis.asyncio, not redis"),
        (blocking.connection_pool, "needs a connection pool of redis.asyncio, not redis"),
    ):
        unsuitable: Any = given
        with pytest.raises(TypeError, match=text):
            ArqRedis(unsuitable)
        with pytest.raises(TypeError, match=text):
            Worker([quick], redis_pool=unsuitable)
    blocking.close()
    await cluster.aclose()


# --- with these settings ------------------------------------------------------------------------------------------


async def test_a_job(node: RedisServer) -> None:
    address = f"redis+cluster://{HOST}:{node.port}?key_prefix={{app}}:"
    settings = RedisSettings.from_dsn(address)
    pool = await create_pool(settings)
    worker = Worker([quick], redis_settings=settings, handle_signals=False, burst=True, poll_delay=0)
    job = await pool.enqueue_job("quick")
    assert job
    await worker.main()
    assert await job.result() == "quick"
    await pool.set("mine", 1, ex=60)
    assert await pool.keys() == [b"mine"] or await pool.exists("mine")
    await worker.close()
    await pool.aclose()


async def test_a_server_that_is_no_node(redis_server: RedisServer) -> None:
    for try_again in (0, 5):
        settings = RedisSettings(
            HOST,
            redis_server.port,
            cluster=True,
            key_prefix="{a}:",
            conn_retries=try_again,
            conn_retry_delay=30,
        )
        with pytest.raises(ResponseError, match="is no node of a cluster: leave out cluster=True"):
            await create_pool(settings)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs a key_prefix with a hash tag"),
        ({"key_prefix": "app:"}, "needs a key_prefix with a hash tag"),
        ({"key_prefix": "{a}:", "database": 1}, "does not go with database"),
        ({"key_prefix": "{a}:", "sentinel": True}, "does not go with sentinel"),
        ({"key_prefix": "{a}:", "unix_socket_path": "/s"}, "does not go with unix_socket_path"),
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        RedisSettings(cluster=True, **options)


def test_addresses() -> None:
    found = RedisSettings.from_dsn("rediss+cluster://me:p%2Fw@a:7000,b,[::1]:7002/0?key_prefix={x}:")
    assert found == RedisSettings(
        [("a", 7000), ("b", 6379), ("::1", 7002)],
        cluster=True,
        key_prefix="{x}:",
        ssl=True,
        username="me",
        password="p/w",
    )
    for wrong in (
        "redis+cluster://h",
        "redis+cluster://h:x?key_prefix={a}:",
        "redis+cluster://h/1?key_prefix={a}:",
    ):
        with pytest.raises(ValueError, match="cluster|redis DSN"):
            RedisSettings.from_dsn(wrong)


# --- commands ---------------------------------------------------------------------------------------------------------

APP = """
import os
import redis.asyncio.cluster
from arq.connections import RedisSettings

async def quick(ctx):
    pass

class Settings:
    functions = [quick]
    redis_settings = RedisSettings(port=int(os.environ["TEST_PORT"]), conn_timeout=30)

class OwnClient:
    functions = [quick]
    redis_pool = redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=int(os.environ["TEST_PORT"]))
"""
USED = f"arq: redis can't be used: ResponseError: {UNSUPPORTED}"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["shop.Settings"], USED),
        (["shop.Settings", "--check"], USED),
        (["shop.OwnClient"], "arq: shop.OwnClient are no settings of a worker: RedisCluster can't be used"),
    ],
)
async def test_the_command(node: RedisServer, tmp_path: Path, arguments: list[str], line: str) -> None:
    (tmp_path / "shop.py").write_text(APP)
    environment = {"TEST_PORT": str(node.port), "PYTHONPATH": f"{Path(__file__).parents[3]}:{tmp_path}"}
    with program_starter(tmp_path, environment) as start:
        program = start("-W", "ignore", "-m", "arq", *arguments)
        assert await asyncio.to_thread(program.ended) == 1
    assert program.stderr.count("\n") == 1, program.stderr
    assert program.stderr.startswith(line)


@pytest.mark.processes
@pytest.mark.parametrize("name", ["Settings", "OwnClient"])
def test_a_supervised_pool(node: RedisServer, tmp_path: Path, name: str) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with pool_in(tmp_path, node.port) as pool:
        assert pool.start("--procs", "2", settings=f"shop.{name}").wait() == 4
        assert f"cannot use 'shop.{name}'" in pool.text()
        assert "use RedisSettings(cluster=True" in pool.text()
        assert "Traceback" not in pool.text()
        assert len(pool.events("child.spawn")) == 1
