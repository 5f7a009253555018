"""Retry policies beside workers of arq 0.28: these ignore them, and take over what ours have begun."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compat.harness import Client, Implementation, Place, Worker, connected, running
from tests.support.eventually import wait_until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.processes,
    pytest.mark.skipif(
        os.environ.get("ARQ_TEST_INTEROP_CONTROL") == "1", reason="the original has no policies"
    ),
]

Start = Callable[[str], Worker]


@pytest.fixture
def start(implementations: dict[str, Implementation], place: Place, logs: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(running(implementations[name], place, logs, max_tries=4))


@pytest.fixture
def client(implementations: dict[str, Implementation], place: Place) -> Iterator[Client]:
    with connected(implementations["original"], place) as found:
        yield found


def tries(place: Place, job_id: str) -> list[tuple[int, str]]:
    """The starts of a job: number, and whose worker it was."""
    return [(tried, worker.split("-")[0]) for job, tried, worker, _ in place.runs() if job == job_id]


def waits(place: Place, job_id: str) -> bool:
    """Whether a job is in the queue and nobody holds it."""
    return place.redis.zscore(place.queue, job_id) is not None and job_id not in place.locks()


def test_an_old_worker_takes_over_in_the_middle(start: Start, client: Client, place: Place) -> None:
    """It knows which try it is; an error is the end there, as ever."""
    fails, returns = jobs = client.enqueue("flaky_later", 99), client.enqueue("flaky_later", 2)
    ours = start("ours")
    wait_until(
        lambda: all(tries(place, job_id) and waits(place, job_id) for job_id in jobs), what="one try each"
    )
    assert ours.stop() == 0
    for job_id in jobs:
        place.redis.zadd(place.queue, {job_id: 1000}, xx=True)  # an hour later
    start("original")
    assert client.result(fails)["error"] == "builtins.ConnectionError"
    assert client.result(returns).value == 2
    assert tries(place, fails) == tries(place, returns) == [(1, "ours"), (2, "original")]
    wait_until(lambda: not place.locks(), what="all locks gone")
    assert not place.redis.exists(*(f"arq:{kind}:{job_id}" for kind in ("job", "retry") for job_id in jobs))


def test_a_snooze_is_no_try_for_an_old_worker_either(start: Start, client: Client, place: Place) -> None:
    job_id = client.enqueue("sleepy", 10_000)
    ours = start("ours")
    wait_until(lambda: len(tries(place, job_id)) > 5, what="more starts than there may be tries")
    assert ours.stop() == 0
    assert waits(place, job_id)
    start("original")
    assert client.result(job_id).value == 1
    assert {tried for tried, _ in tries(place, job_id)} == {1}


def test_nothing_is_lost_where_both_are(start: Start, client: Client, place: Place) -> None:
    """Each job ends once, by a result or, where an old worker met the error, by that; no try runs twice."""
    names = ["original", "ours", "original", "ours"]
    jobs = [client.enqueue("flaky", 3) for _ in range(60)] + [client.enqueue("sleepy", 3) for _ in range(30)]
    for name in names:
        start(name)
    wait_until(lambda: place.queued() == 0, 120, "queue empty")
    for job_id in jobs:
        answer = client.result(job_id)
        starts = tries(place, job_id)
        if "ok" in answer:
            continue
        assert answer["error"] == "builtins.ConnectionError"
        assert starts[-1][1] == "original"
    for job_id in jobs[:60]:
        assert [tried for tried, _ in tries(place, job_id)] == list(range(1, len(tries(place, job_id)) + 1))
    wait_until(lambda: not place.locks(), what="all locks gone")
    assert not place.redis.exists(*(f"arq:{kind}:{job_id}" for kind in ("job", "retry") for job_id in jobs))
