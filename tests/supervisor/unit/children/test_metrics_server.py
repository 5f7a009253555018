"""The port of the metrics, with clients that mean no good: the leases live in the same process."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from supervisor.children import metrics_server
from supervisor.children.metrics_server import MetricsServer
from supervisor.ipc.job_stats import JobRow, JobStats, read_rows
from supervisor.ipc.redis_report import QueueReport
from supervisor.pool.status import Headcount, PoolStatus, SupervisorStatus
from tests.support.eventually import PATIENCE_S, wait_until_async

STATUS = PoolStatus("shop", supervisor=SupervisorStatus(state="running", procs=1, ready=1, generation=1))


class Server(MetricsServer):
    """Counts how often Redis is asked."""

    def __init__(self) -> None:
        super().__init__(self._count)
        self.looks = 0
        self.reports = [QueueReport(is_up=True, queue="q", depth=7)]
        self.address = ("127.0.0.1", 0)

    async def _count(self) -> list[QueueReport]:
        self.looks += 1
        return self.reports

    @property
    def connections(self) -> int:
        return len(self._connections)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    host, port = (await one.listen("127.0.0.1", 0)).rsplit(":", 1)
    one.address = (host, int(port))
    one.take_headcount(Headcount("running", ready=1, blocked=0, procs=1, quiet=False))
    one.take(STATUS, [])
    yield one
    await one.close()


async def ask(server: Server, path: str) -> str:
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return (await asyncio.wait_for(reader.read(), PATIENCE_S)).decode()
    finally:
        writer.close()


async def test_answers(server: Server) -> None:
    assert (await ask(server, "/livez")).startswith("HTTP/1.1 200 OK")
    assert "arq_queue_depth" in await ask(server, "/metrics")
    assert (await ask(server, "/nothing")).startswith("HTTP/1.1 404")


async def test_several_servers_have_a_label(server: Server) -> None:
    assert 'arq_queue_depth{queue="q"} 7.0' in (await ask(server, "/metrics")).splitlines()
    server.reports = [
        QueueReport(is_up=True, queue="q", depth=7, server="a"),
        QueueReport(queue="q", server="b"),
    ]
    server._looked_s = 0.0
    lines = (await ask(server, "/metrics")).splitlines()
    assert 'arq_queue_depth{queue="q",server="a"} 7.0' in lines
    assert [line for line in lines if line.startswith("arq_redis_up")] == [
        'arq_redis_up{server="a"} 1.0',
        'arq_redis_up{server="b"} 0.0',
    ]
    assert not [line for line in lines if line.startswith("arq_queue_depth") and '"b"' in line]


async def test_a_request_that_never_ends_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly one header follows another."""
    monkeypatch.setattr(metrics_server, "REQUEST_S", 0.5)
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(b"GET /metrics HTTP/1.1\r\n")

    async def trickle() -> None:
        while True:
            writer.write(b"X: y\r\n")
            await asyncio.wait({gone}, timeout=0.05)

    gone = asyncio.ensure_future(reader.read())
    trickling = asyncio.create_task(trickle())
    await asyncio.wait_for(asyncio.wait({gone}), PATIENCE_S)
    trickling.cancel()
    writer.close()
    await asyncio.gather(gone, trickling, return_exceptions=True)
    await wait_until_async(lambda: server.connections == 0, what="nothing of it is left")


async def test_endless_headers_are_refused(server: Server) -> None:
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000)
    writer.write_eof()
    assert (await asyncio.wait_for(reader.read(), PATIENCE_S)).startswith(b"HTTP/1.1 431")
    writer.close()


async def test_many_silent_clients_take_few_descriptors_and_the_next_one_is_served(server: Server) -> None:
    opening = (asyncio.open_connection(*server.address) for _ in range(4 * metrics_server.MOST_CONNECTIONS))
    clients = await asyncio.gather(*opening)
    try:
        assert (await ask(server, "/livez")).startswith("HTTP/1.1 200 OK")
        assert server.connections <= metrics_server.MOST_CONNECTIONS
    finally:
        for _, writer in clients:
            writer.close()
    await wait_until_async(lambda: server.connections == 0, what="nothing of them is left")


async def test_many_scrapes_are_one_look_at_redis(server: Server) -> None:
    answers = await asyncio.gather(*(ask(server, "/metrics") for _ in range(20)))
    assert all("arq_queue_depth" in answer for answer in answers)
    assert server.looks == 1


async def test_what_can_not_be_shown_is_said(server: Server) -> None:
    server.take(STATUS, [JobRow("f", "complete", 1, 0.1, buckets=[1])])
    assert (await ask(server, "/metrics")).startswith("HTTP/1.1 500")
    assert (await ask(server, "/livez")).startswith("HTTP/1.1 200 OK")


async def test_names_that_are_no_text_are_shown(server: Server) -> None:
    stats = JobStats()
    stats.note("\ud800", "failed", 0.1)
    server.take(STATUS, stats.rows())
    assert 'function="\\\\ud800"' in await ask(server, "/metrics")


@pytest.mark.parametrize(
    "row",
    [
        ["f", "x", 1e999, 0, []],
        ["f", "x", 1, float("inf"), [0] * 15],
        ["f", "x", 1, 10**400, [0] * 15],
        ["f", "x", 1, 0.0, [0]],
        ["f"],
    ],
)
def test_rows_that_are_none_are_refused_whole(row: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        read_rows([["good", "complete", 1, 0.1, [0] * 15], row])
