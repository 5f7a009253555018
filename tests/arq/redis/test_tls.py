"""Producer, worker, supervisor and health check over TLS, against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from arq._connect import _told_of
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker
from tests.arq.redis.harness import CONNECT_S, quick, running
from tests.supervisor.harness import Pool, Queue, pool_in
from tests.support.eventually import wait_until, wait_until_async
from tests.support.servers import HOST, RedisServer
from tests.support.tls import Certificates, binary_with_tls, make_certificates, tls_server

pytestmark = pytest.mark.skipif(binary_with_tls() is None, reason="no server that was built with TLS")

SETTINGS = """
import os
from app import echo, slow
from arq.connections import RedisSettings

class Settings:
    functions = [echo, slow]
    redis_settings = RedisSettings(
        host="127.0.0.1", port=int(os.environ["TLS_PORT"]), ssl=True, ssl_check_hostname=True,
        ssl_ca_certs=os.environ["TLS_AUTHORITY"], conn_retries=0, conn_timeout=20,
    )
    job_completion_wait = 3
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[tuple[RedisServer, int]]:
    """A server, and its second port, at which it speaks TLS."""
    with tls_server(certificates) as both:
        yield both


@pytest.fixture
def settings(server: tuple[RedisServer, int], certificates: Certificates) -> RedisSettings:
    """For that port; the server's certificate is checked, its name, too."""
    authority = str(certificates.authority)
    return RedisSettings(
        HOST,
        server[1],
        ssl=True,
        ssl_ca_certs=authority,
        ssl_check_hostname=True,
        conn_retries=0,
        conn_timeout=CONNECT_S,
    )


async def goodbyes() -> None:
    """Until TLS has said goodbye on connections that nobody waits for: the event loop is closed after the test."""
    selector = getattr(asyncio.get_running_loop(), "_selector", None)
    if selector is not None:  # that of asyncio; its own pipe stays
        await wait_until_async(lambda: len(selector.get_map()) <= 1, what="connections are closed")


async def result_of_a_job(settings: RedisSettings) -> str:
    """Enqueue, run, fetch."""
    pool = await create_pool(settings)
    try:
        job = await pool.enqueue_job("quick", "over TLS")
        assert job is not None
        async with running(Worker([quick], redis_settings=settings, handle_signals=False)):
            return str(await job.result(timeout=30))
    finally:
        await pool.aclose()
        await goodbyes()


async def refusal(settings: RedisSettings) -> str:
    """What `create_pool` says when it fails."""
    with pytest.raises(redis.ConnectionError) as caught:
        await create_pool(settings)
    await goodbyes()
    return str(caught.value)


async def test_producer_and_worker(settings: RedisSettings) -> None:
    assert await result_of_a_job(settings) == "over TLS"


async def test_an_authority_as_text(settings: RedisSettings, certificates: Certificates) -> None:
    text = certificates.authority.read_text()
    assert await result_of_a_job(replace(settings, ssl_ca_certs=None, ssl_ca_data=text)) == "over TLS"


async def test_a_server_that_nobody_vouches_for_is_refused(
    settings: RedisSettings, certificates: Certificates
) -> None:
    foreign = replace(settings, ssl_ca_certs=str(certificates.foreign))
    assert "certificate verify failed" in await refusal(foreign)
    careless = replace(foreign, ssl_cert_reqs="none", ssl_check_hostname=False)
    assert await result_of_a_job(careless) == "over TLS"


async def test_the_name_is_checked_if_wanted(settings: RedisSettings) -> None:
    other_name = replace(settings, host="localhost")
    assert "not valid for 'localhost'" in await refusal(other_name)
    assert await result_of_a_job(replace(other_name, ssl_check_hostname=False)) == "over TLS"


async def test_a_certificate_of_the_client(settings: RedisSettings, certificates: Certificates) -> None:
    with tls_server(certificates, clients_need_one=True) as (_, port):
        without = replace(settings, port=port)
        assert await refusal(without)
        client = str(certificates.client)
        assert await result_of_a_job(replace(without, ssl_certfile=client, ssl_keyfile=client)) == "over TLS"


@pytest.fixture
def pool(tmp_path: Path, settings: RedisSettings) -> Iterator[Pool]:
    """A pool for that server, not started yet."""
    (tmp_path / "secure.py").write_text(SETTINGS)
    with pool_in(tmp_path, settings.port) as one:
        yield one


def check(pool: Pool, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor", "--check", "--control", "off", *arguments]
    environ = pool.environ | environ
    return subprocess.run(
        command, env=environ, cwd=pool.directory, capture_output=True, text=True, check=False
    )


@pytest.mark.processes
def test_a_pool_its_steward_and_its_health(
    pool: Pool, settings: RedisSettings, certificates: Certificates, server: tuple[RedisServer, int]
) -> None:
    environ: dict[str, Any] = {"TLS_PORT": str(settings.port), "TLS_AUTHORITY": str(certificates.authority)}
    pool.start("--procs", "1", "--name", "shop", settings="secure.Settings", **environ).ready()
    queue = Queue(server[0].port)
    running_job = queue.put("slow", 1.0)
    pool.wait_started(running_job)
    pool.kill(pool.workers()[0])
    assert pool.wait_event("jobs.released")["ids"] == [running_job]
    assert queue.result(running_job) > 1
    with redis.Redis(HOST, settings.port, ssl=True, ssl_ca_certs=str(certificates.authority)) as client:
        wait_until(lambda: client.exists("arq:queue:health-check"), what="the steward writes health")
    assert check(pool, environ, "secure.Settings", "--name", "shop").returncode == 0
    url = ("--name", "shop", "--redis-url", f"rediss://{HOST}:{settings.port}")
    outcome = check(pool, {"SSL_CERT_FILE": str(certificates.authority)}, *url)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "certificate verify failed" in check(pool, {}, *url).stdout
    assert pool.stop() == 0


@pytest.mark.processes
def test_a_pool_says_why_it_does_not_connect(
    pool: Pool, settings: RedisSettings, certificates: Certificates
) -> None:
    environ: dict[str, Any] = {"TLS_PORT": str(settings.port), "TLS_AUTHORITY": str(certificates.foreign)}
    pool.start("--procs", "1", settings="secure.Settings", **environ)
    assert "certificate verify failed" in pool.wait_event("tempfail")["error"]
    assert pool.stop() == 0


async def test_a_name_that_is_not_checked_is_told_of_once(
    settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect(**changes: Any) -> int:
        pool = await create_pool(replace(settings, **changes))
        await pool.aclose()
        await goodbyes()
        return caplog.text.count("set ssl_check_hostname=True")

    _told_of.clear()
    assert await connect() == 0
    assert await connect(ssl_cert_reqs="none", ssl_check_hostname=False) == 0  # that is meant so
    assert await connect(ssl_check_hostname=False) == 1
    assert await connect(ssl_check_hostname=False) == 1
