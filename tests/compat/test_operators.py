"""Operators on a queue that workers and producers of the original share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from arq.admin import Admin, Deed, JobState
from tests.compat.harness import Client, Implementation, Place, Worker, connected
from tests.support.eventually import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.processes]

Answer = TypeVar("Answer")
Fleet = Callable[..., list[Worker]]
Ask = Callable[[Callable[[Admin], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def producer(implementations: dict[str, Implementation], place: Place) -> Iterator[Client]:
    """A producer of the original."""
    with connected(implementations["original"], place) as client:
        yield client


@pytest.fixture
def ask(place: Place) -> Ask:
    """Ask an admin something."""

    async def with_admin(do: Callable[[Admin], Coroutine[Any, Any, Any]]) -> Any:
        async with Admin.connect(place.dsn) as admin:
            return await do(admin)

    return lambda do: asyncio.run(with_admin(do))


def test_jobs_of_the_original_are_seen_and_mended(producer: Client, place: Place, ask: Ask) -> None:
    for job_id, options in {"now": {}, "later": {"_defer_by": 3600}, "gone": {}}.items():
        producer.enqueue("echo", 1, key="x", _job_id=job_id, **options)
    page = ask(lambda admin: admin.jobs(place.queue))
    assert [(job.job_id, job.state, job.arguments) for job in page.jobs if job.job_id == "later"] == [
        ("later", JobState.deferred, "1, key='x'")
    ]
    assert ask(lambda admin: admin.delete(["gone"], place.queue)) == [Deed.done]
    assert ask(lambda admin: admin.run_now(["later"], place.queue)) == [Deed.done]
    assert ask(lambda admin: admin.abort("now", place.queue)) == Deed.done
    assert "CancelledError" in str(producer.ask("result", job_id="now").get("error"))
    assert place.queued() == 1


def test_what_the_original_runs_is_seen_and_left_alone(
    fleet: Fleet, producer: Client, place: Place, ask: Ask
) -> None:
    fleet("original")
    producer.enqueue("until_told", _job_id="held")
    wait_until(lambda: "held" in place.locks())
    (job,) = ask(lambda admin: admin.jobs(place.queue, state="running")).jobs
    assert (job.job_id, job.worker) == ("held", "1")
    found = ask(lambda admin: admin.workers(place.queue))
    assert ([one.function for one in found.old_jobs], found.has_old) == (["until_told"], True)
    assert ask(lambda admin: admin.delete(["held"], place.queue)) == [Deed.running]
    place.open_gate()
    wait_until(lambda: place.queued() == 0)
    assert [run[0] for run in place.runs()] == ["held"]


def test_the_original_ignores_a_pause_and_ours_obeys_it(
    fleet: Fleet, producer: Client, place: Place, ask: Ask
) -> None:
    (ours,) = fleet("ours")
    ask(lambda admin: admin.pause(place.queue))
    for number in range(20):
        producer.enqueue("add", number, _job_id=f"job{number}")
    wait_until(lambda: place.queued() == 20)
    assert ask(lambda admin: admin.workers(place.queue)).ignore_pauses == 0
    (original,) = fleet("original")
    wait_until(lambda: place.queued() == 0)
    assert {worker for _, _, worker, _ in place.runs()} == {original.name}
    producer.enqueue("until_told", _job_id="held while paused")
    wait_until(lambda: "held while paused" in place.locks())
    assert ask(lambda admin: admin.workers(place.queue)).ignore_pauses == 1
    place.open_gate()
    wait_until(lambda: place.queued() == 0)
    original.stop()
    producer.enqueue("add", 1, _job_id="after")
    ask(lambda admin: admin.resume(place.queue))
    wait_until(lambda: place.queued() == 0)
    assert place.runs()[-1][2] == ours.name


def test_statistics_have_what_ours_runs_whoever_enqueued_it_and_not_what_the_original_runs(
    fleet: Fleet, producer: Client, place: Place, ask: Ask
) -> None:
    for name, function in (("original", "add"), ("ours", "echo")):
        (worker,) = fleet(name)
        for number in range(3):
            producer.enqueue(function, number, _job_id=f"{function}{number}")
        wait_until(lambda: place.queued() == 0)
        worker.stop()
    wait_until(lambda: bool(ask(lambda admin: admin.stats(place.queue)).functions))
    found = ask(lambda admin: admin.stats(place.queue)).functions
    assert [(one.function, one.done, one.wait.count) for one in found] == [("echo", 3, 3)]


def test_a_claim_of_the_original_and_a_deletion_meet(
    fleet: Fleet, producer: Client, place: Place, ask: Ask
) -> None:
    """Each job is run or deleted, and none half."""
    fleet("original", max_jobs=5, poll_delay=0.01)
    producer.send("enqueue_many", function="add", count=200, args=[1], prefix="job")
    assert producer.receive().value == 200
    deeds = ask(lambda admin: admin.delete([f"job-{number}" for number in range(200)], place.queue))
    wait_until(
        lambda: place.queued() == 0 and not [job_id for job_id in place.locks() if job_id.startswith("job-")]
    )
    deleted = {f"job-{number}" for number, deed in enumerate(deeds) if deed is Deed.done}
    ran = [job_id for job_id, _, _, _ in place.runs()]
    kept = set(ran) - deleted
    assert len(ran) == len(set(ran))
    assert len(deleted | kept) == 200
