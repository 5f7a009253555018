"""The dashboard on a queue that workers and producers of the original share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest

from arq.web import dashboard
from tests.compat.harness import Client, Implementation, Place, Worker, connected
from tests.support.eventually import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.processes]


@pytest.fixture
def producer(implementations: dict[str, Implementation], place: Place) -> Iterator[Client]:
    """A producer of the original."""
    with connected(implementations["original"], place) as client:
        yield client


def look(place: Place, *paths: str, form: dict[str, str] | None = None) -> list[str]:
    """Pages, one after the other; or what a form is answered with."""

    async def ask() -> list[str]:
        board = dashboard(place.dsn, queues=[place.queue], authorize=lambda _: "all")
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        transport = httpx.ASGITransport(board)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as web:
            found = [(await web.get(path)).text for path in paths]
            if form is not None:
                found.append((await web.post("/act", data={**form, "confirm": "yes"})).text)
        await board.aclose()
        return found

    return asyncio.run(ask())


def test_what_the_original_enqueues_runs_and_leaves(
    fleet: Callable[..., list[Worker]], producer: Client, place: Place
) -> None:
    producer.enqueue("echo", "<b>", _job_id="later", _defer_by=3600)
    producer.enqueue("echo", 1, _job_id="done")
    producer.enqueue("until_told", _job_id="held")
    fleet("original")
    wait_until(lambda: "held" in place.locks() and "done" in " ".join(look(place, "/jobs?state=done")))
    overview, workers, running, deferred, job, done = look(
        place, "/", "/workers", "/jobs?state=running", "/jobs?state=deferred", "/jobs/held", "/jobs/done"
    )
    assert "workers of python-arq look at it" in overview
    assert "python-arq" in workers
    assert "/jobs/held?" in workers
    assert "until_told" in running
    assert "&lt;b&gt;" in deferred
    assert "try 1 on a worker of python-arq" in job
    assert "finished" in done
    (answer,) = look(place, form={"action": "run_now", "job": "later", "queue": place.queue})
    assert "1 due now" in answer
    (answer,) = look(place, form={"action": "delete", "job": "held", "queue": place.queue})
    assert "runs, and was left alone" in answer
    place.open_gate()
    wait_until(lambda: place.queued() == 0)


def test_a_pause_that_the_original_ignores_is_told(
    fleet: Callable[..., list[Worker]], producer: Client, place: Place
) -> None:
    look(place, form={"action": "pause", "name": place.queue})
    producer.enqueue("until_told", _job_id="held while paused")
    fleet("original")
    wait_until(lambda: "held while paused" in place.locks())
    overview, queues = look(place, "/", "/queues")
    assert "is paused, but at least 1 workers of python-arq" in overview
    assert "ignore that" in queues
    place.open_gate()
    wait_until(lambda: place.queued() == 0)
    look(place, form={"action": "resume", "name": place.queue})
