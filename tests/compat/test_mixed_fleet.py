"""Workers of both implementations on one queue: every job runs as often as it should, by whomever."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compat.harness import PEERS, Client, Implementation, Place, Worker, connected, running
from tests.support.eventually import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.processes]

BOTH = ("ours", "original")
HEALTH_LINE = r"\w{3}-\d\d \d\d:\d\d:\d\d j_complete=0 j_failed=0 j_retried=0 j_ongoing=0 queued=0"
Fleet = Callable[..., list[Worker]]


@pytest.fixture
def clients(implementations: dict[str, Implementation], place: Place) -> Iterator[dict[str, Client]]:
    """A client of each implementation."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(connected(implementations[name], place)) for name in BOTH}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_job_runs_exactly_as_often_as_it_should(
    fleet: Fleet, clients: dict[str, Client], place: Place
) -> None:
    """2700 jobs of five kinds, two workers of each implementation: each (job, try) that is due runs once."""
    workers = fleet("ours", "original", "ours", "original", max_jobs=20, poll_delay=0.02)
    for name, client in clients.items():
        client.send("enqueue_many", function="add", count=700, args=[1], prefix=f"{name}-add")
        client.send("enqueue_many", function="nap", count=300, args=[0.02], prefix=f"{name}-nap")
        client.send("enqueue_many", function="again", count=200, args=[3, 0.05], prefix=f"{name}-again")
        client.send("enqueue_many", function="fail", count=100, args=["x"], prefix=f"{name}-fail")
        client.send("enqueue_many", function="nap", count=50, args=[60], prefix=f"{name}-abort")
    for client in clients.values():
        assert [client.receive().value for _ in range(5)] == [700, 300, 200, 100, 50]
    for name, client in clients.items():
        for number in range(50):
            answer = client.ask("abort", job_id=f"{name}-abort-{number}", timeout=60)
            assert answer.value is True, answer

    wait_until(lambda: place.queued() == 0, 240, "queue empty")
    runs = place.runs()
    seen = Counter((job, tried) for job, tried, _worker, _what in runs)
    assert [twice for twice, times in seen.items() if times > 1] == []
    assert set(seen) - _expected_runs() == set()
    # an aborted job may or may not have begun before it was aborted; all others must have run
    assert {run for run in _expected_runs() - set(seen) if "abort" not in run[0]} == set()
    for prefix in BOTH:
        assert sum(worker.startswith(prefix) for _job, _try, worker, _what in runs) > 0, (
            f"{prefix} ran nothing"
        )
    _assert_nothing_left(place)
    _assert_results(place)
    assert [worker.stop() for worker in workers] == [0, 0, 0, 0]


def _expected_runs() -> set[tuple[str, int]]:
    once = {"add": 700, "nap": 300, "fail": 100, "abort": 50}
    expected = {
        (f"{name}-{kind}-{n}", 1) for name in BOTH for kind, count in once.items() for n in range(count)
    }
    return expected | {
        (f"{name}-again-{n}", tried) for name in BOTH for n in range(200) for tried in (1, 2, 3)
    }


def _assert_nothing_left(place: Place) -> None:
    wait_until(lambda: not place.locks(), what="all locks gone")
    left = [
        key for kind in ("job", "retry") for key in place.redis.scan_iter(f"arq:{kind}:*-*-*", count=1000)
    ]
    assert left == []


def _assert_results(place: Place) -> None:
    results = {str(key) for key in place.redis.scan_iter("arq:result:*-*-*", count=1000)}
    assert results >= {f"arq:result:{job}" for job, _try in _expected_runs()}


@pytest.mark.parametrize(("first", "second"), [BOTH, BOTH[::-1]])
def test_job_of_a_stopped_worker_goes_to_the_other(
    fleet: Fleet, clients: dict[str, Client], place: Place, first: str, second: str
) -> None:
    """A SIGTERM cancels the job; a worker of the other implementation runs it again, once."""
    (stopped,) = fleet(first)
    job_id = clients[first].enqueue("until_told")
    wait_until(place.runs, what="started")
    assert stopped.stop() == 0
    assert place.redis.exists(f"stopped:{stopped.name}")
    assert not place.locks()
    fleet(second)
    place.open_gate()
    assert clients[second].result(job_id).value == "rested"
    assert [(job, tried) for job, tried, *_ in place.runs()] == [(job_id, 1), (job_id, 2)]


@pytest.mark.parametrize(("holder", "other"), [BOTH, BOTH[::-1]])
def test_a_running_job_is_not_taken_by_the_other(
    fleet: Fleet, clients: dict[str, Client], place: Place, holder: str, other: str
) -> None:
    """While one implementation runs a job, the other works through later ones and leaves it alone."""
    fleet(holder, max_jobs=1)
    held = clients[holder].enqueue("until_told")
    wait_until(place.runs, what="held job started")
    (worker,) = fleet(other)
    later = [clients[other].enqueue("add", n) for n in range(20)]
    for job_id in later:
        clients[holder].result(job_id)
    place.open_gate()
    assert clients[other].result(held).value == "rested"
    assert Counter(job for job, *_ in place.runs()) == Counter([held, *later])
    assert {who for job, _try, who, _what in place.runs() if job in later} == {worker.name}


@pytest.mark.parametrize("aborter", BOTH)
@pytest.mark.parametrize("runner", BOTH)
def test_abort_across(
    fleet: Fleet, clients: dict[str, Client], place: Place, aborter: str, runner: str
) -> None:
    """The client that aborts need not be the one that enqueued, nor of the worker's kind."""
    fleet(runner)
    other = BOTH[aborter == BOTH[0]]
    job_id = clients[other].enqueue("nap", 60)
    wait_until(place.runs, what="started")
    assert clients[aborter].ask("abort", job_id=job_id).value is True
    assert clients[other].result(job_id)["error"] == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize("other", BOTH)
def test_a_queued_job_is_aborted_without_a_worker(
    clients: dict[str, Client], place: Place, other: str
) -> None:
    """Whoever enqueued it, and whoever asks, reads what a worker would have written."""
    for number, when in enumerate(({}, {"_defer_by": 3600})):
        job_id = clients[other].enqueue("add", 1, b=2, _job_id=f"{place.queue}-{number}", **when)
        assert clients["ours"].ask("abort", job_id=job_id).value is True
        assert clients[other].result(job_id)["error"] == "asyncio.exceptions.CancelledError"
        assert clients[other].ask("status", job_id=job_id).value == "complete"
        told = clients[other].ask("result_info", job_id=job_id).value
        assert (told["function"], told["args"], told["kwargs"]) == ("add", [1], {"b": 2})
        assert (told["success"], told["job_try"], told["queue_name"]) == (False, 1, place.queue)
    _assert_nothing_left(place)


@pytest.mark.parametrize("runner", BOTH)
def test_an_abort_that_races_with_the_start(
    fleet: Fleet, clients: dict[str, Client], place: Place, runner: str
) -> None:
    """Each job has run, or was aborted: what its producer is told is what has happened, and what the result says."""
    fleet(runner, runner, poll_delay=0.005)
    ids = [f"{place.queue}-{number}" for number in range(150)]
    told = {}
    for job_id in ids:
        assert clients["ours"].enqueue("add", 1, _job_id=job_id) == job_id
        told[job_id] = clients["ours"].ask("abort", job_id=job_id, timeout=60).value
    wait_until(lambda: place.queued() == 0, what="queue empty")
    ran = {job for job, *_ in place.runs()}
    for job_id in ids:
        info = clients["original"].ask("result_info", job_id=job_id).value
        assert info["success"] is (not told[job_id])
        assert not (told[job_id] and job_id in ran) or info["result"]["exception"].endswith("CancelledError")


def test_ids_are_unique_across(clients: dict[str, Client], place: Place) -> None:
    """Of two clients that enqueue one id, one gets the job and the other None."""
    for number, (one, other) in enumerate([BOTH, BOTH[::-1]]):
        assert clients[one].enqueue("add", 1, _job_id=f"id-{number}") == f"id-{number}"
        assert clients[other].enqueue("add", 2, _job_id=f"id-{number}") is None
    infos = {name: client.ask("info", job_id="id-0").value for name, client in clients.items()}
    assert infos["original"].pop("job_id") is None  # the original leaves it out
    assert infos["ours"].pop("job_id") == "id-0"
    assert infos["ours"] == infos["original"]
    assert place.queued() == 2


def test_ids_stay_unique_in_a_race(clients: dict[str, Client], place: Place) -> None:
    """Both clients enqueue the same 300 ids at the same time: 300 jobs come of it, not one more."""
    for client in clients.values():
        client.send("enqueue_many", function="add", count=300, args=[1], prefix="race")
    made = [client.receive().value for client in clients.values()]
    assert sum(made) == 300
    assert place.queued() == 300


def test_cron_ticks_run_once_in_a_mixed_fleet(fleet: Fleet, place: Place) -> None:
    """A cron job of both kinds of worker makes one job a tick, under the id the original gives it."""
    fleet(*BOTH, cron="seconds")

    def ticked() -> list[str]:
        return [job for job, _try, _worker, what in place.runs() if what == "tick"]

    # a machine that stands still for seconds makes none for these seconds
    wait_until(lambda: most_in_a_row(ticked()) >= 4, what="four ticks, one each second")
    ids = ticked()
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"cron:tick:\d{10}123", job_id) for job_id in ids)


def test_queues_of_both_take_no_tick_from_each_other(
    implementations: dict[str, Implementation], place: Place, logs: Path
) -> None:
    """The id of a tick is the same in all queues for the original: ours leaves it to workers that know no other."""
    other = Place(place.dsn)
    try:
        with (
            running(implementations["original"], place, logs, cron="seconds"),
            running(implementations["ours"], other, logs, cron="seconds"),
        ):
            wait_until(lambda: most_in_a_row(ticks_of(place)) >= 6, what="six ticks of the original")
            wait_until(lambda: most_in_a_row(ticks_of(other)) >= 6, what="six ticks of ours")
        for queue in (place, other):
            assert len(ticks_of(queue)) == len(set(ticks_of(queue)))
    finally:
        other.redis.close()


def ticks_of(place: Place) -> list[str]:
    """The ids of ticks that have run, as the original makes them."""
    return [job.removesuffix(f":{place.queue}") for job, *_, what in place.runs() if what == "tick"]


def most_in_a_row(ids: list[str]) -> int:
    """The longest series of ticks that follow each other by a second."""
    moments_ms = {int(job_id.rsplit(":", 1)[1]) for job_id in ids}
    most = 0
    for start_ms in moments_ms:
        n = 1
        while start_ms + 1000 * n in moments_ms:
            n += 1
        most = max(most, n)
    return most


def test_cron_at_startup_with_an_id_runs_once(fleet: Fleet, place: Place) -> None:
    """`run_at_startup` with a job id: the second worker finds the first one's job."""
    fleet(*BOTH, cron="startup")
    wait_until(place.runs, what="ran at startup")
    wait_until(lambda: place.queued() == 0, what="queue empty")
    assert [(job, tried) for job, tried, *_ in place.runs()] == [("at-startup", 1)]


@pytest.mark.parametrize("checker", BOTH)
@pytest.mark.parametrize("worker", BOTH)
def test_check_command_reads_the_line(
    implementations: dict[str, Implementation], fleet: Fleet, place: Place, worker: str, checker: str
) -> None:
    """`arq --check` of either finds the line of either, and misses it when the worker has gone."""
    (process,) = fleet(worker, name=f"checked-{worker}", health_check_interval=100)
    healthy = _check(implementations[checker], place, process.name)
    assert healthy.returncode == 0
    assert re.search(rf"Health check successful: b'{HEALTH_LINE}'", healthy.stderr)
    process.stop()
    gone = _check(implementations[checker], place, process.name)
    assert gone.returncode == 1
    assert "Health check failed: no health check sentinel value found" in gone.stderr


def _check(implementation: Implementation, place: Place, name: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [implementation.python, "-m", "arq", "--check", "jobs.WorkerSettings"],
        cwd=PEERS,
        env=implementation.environment(COMPAT_DSN=place.dsn, COMPAT_QUEUE=place.queue, COMPAT_NAME=name),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
