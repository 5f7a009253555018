"""Fixtures of the queue's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from arq._redis import script_loader
from arq._worker import periodic_tasks, reconnect_backoff, wake_tokens
from arq.connections import ArqRedis, RedisSettings
from tests.arq.redis import inside
from tests.arq.redis.engines import interpret
from tests.arq.redis.harness import CONNECT_S
from tests.arq.redis.programs import SETTINGS
from tests.support.flaky import FlakyProxy, flaky_proxy
from tests.support.programs import Program, program_starter
from tests.support.servers import HOST, RedisServer, running_server

SCRIPTS = (
    "enqueue",
    "claim",
    "reclaim",
    "finish",
    "extend",
    "lease",
    "release",
    "sweep",
    "abort",
    "aborted",
    "inspect",
    "health",
)


@pytest.fixture
async def proxy(redis_server: RedisServer, arq_redis: ArqRedis) -> AsyncIterator[FlakyProxy]:
    """A proxy in front of the session's server, which knows all scripts already."""
    for name in SCRIPTS:
        await arq_redis.script_load(script_loader.load(name).text)
    async with flaky_proxy(redis_server) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: FlakyProxy) -> RedisSettings:
    """Settings that lead through the proxy."""
    return RedisSettings(host=HOST, port=proxy.port, conn_retries=0, conn_timeout=CONNECT_S)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has lost a connection makes a new one almost at once."""
    monkeypatch.setattr(reconnect_backoff, "_FIRST_S", 0.01)
    monkeypatch.setattr(wake_tokens, "_RETRY_S", 0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, restless: None) -> None:
    """Workers take an answer that does not come within 0.3 s for lost.

    When the machine stands still for as long, more than the test lost is lost: nothing may come of that, either.
    """
    inside.wait_for_answers(monkeypatch, 0.3)
    monkeypatch.setattr(periodic_tasks, "REPLY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(wake_tokens, "BLOCK_S", 1)
    monkeypatch.setattr(wake_tokens, "_GRACE_S", 0.3)


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server for one test, which may stop, pause and kill it."""
    with running_server(durable=True) as server:
        yield server


@pytest.fixture
def own_settings(own_server: RedisServer) -> RedisSettings:
    return RedisSettings(host=HOST, port=own_server.port, conn_retries=0, conn_timeout=CONNECT_S)


@pytest.fixture
def program(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts Python with these arguments; modules in `tmp_path` can be imported."""
    environment = {"REDIS_DSN": redis_server.dsn, "PYTHONPATH": f"{Path(__file__).parents[3]}:{tmp_path}"}
    with program_starter(tmp_path, environment) as start:
        yield start


@pytest.fixture
def arq(program: Callable[..., Program]) -> Callable[..., Program]:
    """Starts the command `arq` with these arguments."""
    return lambda *arguments: program("-m", "arq", *arguments)


@pytest.fixture
async def gate() -> asyncio.Event:
    """Holds jobs until it is set."""
    return asyncio.Event()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    def write(text: str, name: str = "app.py") -> None:
        (tmp_path / name).write_text(text)

    return write


@pytest.fixture
def app(write: Callable[..., None]) -> None:
    write(SETTINGS)


@pytest.fixture(params=["scripts", "single_commands"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of scripts: the test runs twice, by the server and by arq's interpreter."""
    if request.param == "single_commands":
        interpret(monkeypatch)
