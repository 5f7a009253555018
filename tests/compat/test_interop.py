"""Clients and workers of both implementations in every combination: what one writes the other understands.

Everything is seen from outside: processes started by their command lines, and Redis.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.harness import Client, Implementation, Place, Worker, connected, running
from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.interop, pytest.mark.processes]

PAIRS = [("ours", "original"), ("original", "ours"), ("ours", "ours"), ("original", "original")]


class Pair:
    """A client of one implementation, a worker of another, one queue between them."""

    def __init__(self, client: Client, worker: Worker, place: Place) -> None:
        self.client = client
        self.worker = worker
        self.place = place

    def runs_of(self, job_id: str) -> list[int]:
        """The tries in which this job ran."""
        return [tried for job, tried, _worker, _what in self.place.runs() if job == job_id]

    def wait_started(self, job_id: str) -> None:
        """Return when the job's function has begun."""
        wait_until(lambda: self.runs_of(job_id), what=f"{job_id} started")

    def left(self, job_id: str) -> list[str]:
        """Names of what Redis still holds for this job, without its result."""
        kinds = ("job", "in-progress", "retry")
        keys = [f"arq:{kind}:{job_id}" for kind in kinds if self.place.redis.exists(f"arq:{kind}:{job_id}")]
        sets = (self.place.queue, "arq:abort")
        return keys + [name for name in sets if self.place.redis.zscore(name, job_id) is not None]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"{pair[0]}-client_{pair[1]}-worker")
def pair(
    request: pytest.FixtureRequest,
    implementations: dict[str, Implementation],
    compat_server: RedisServer,
    logs: Path,
) -> Iterator[Pair]:
    """Both processes, started once for all tests of the combination."""
    client_name, worker_name = request.param
    place = Place(compat_server.dsn)
    with (
        running(implementations[worker_name], place, logs) as worker,
        connected(implementations[client_name], place) as client,
    ):
        yield Pair(client, worker, place)
    place.redis.close()


def test_result_comes_back(pair: Pair) -> None:
    job_id = pair.client.enqueue("add", 2, b=3)
    assert pair.client.result(job_id).value == 5
    assert pair.client.ask("status", job_id=job_id).value == "complete"


def test_arguments_arrive_as_they_were(pair: Pair) -> None:
    job_id = pair.client.enqueue("echo", "ünï", 1.5, None, [1, {"a": [True]}], named={"x": "→"})
    value = pair.client.result(job_id).value
    assert value["args"] == ["ünï", 1.5, None, [1, {"a": [True]}]]
    assert value["kwargs"] == {"named": {"x": "→"}}
    assert value["id"] == job_id
    assert value["try"] == 1


def test_exception_comes_back_with_type_and_text(pair: Pair) -> None:
    job_id = pair.client.enqueue("fail", "no such thing")
    answer = pair.client.result(job_id)
    assert answer == {"error": "builtins.ValueError", "message": "no such thing"}
    assert pair.client.ask("result_info", job_id=job_id).value["success"] is False


def test_exception_class_of_the_user(pair: Pair) -> None:
    job_id = pair.client.enqueue("fail_custom")
    assert pair.client.result(job_id)["error"] == "jobs.CustomError"
    info = pair.client.ask("result_info", job_id=job_id).value
    assert info["result"] == {"exception": "jobs.CustomError", "args": ["mine", 7]}


def test_result_that_can_not_be_written(pair: Pair) -> None:
    job_id = pair.client.enqueue("unpicklable")
    answer = pair.client.result(job_id)
    assert answer == {"error": "arq.jobs.SerializationError", "message": "unable to serialize result"}


def test_info_of_a_finished_job(pair: Pair) -> None:
    before_s = time.time()
    job_id = pair.client.enqueue("add", 20, b=22)
    pair.client.result(job_id)
    info = pair.client.ask("info", job_id=job_id).value
    times = {name: info.pop(name) for name in ("enqueue_time", "start_time", "finish_time")}
    assert info == {
        "type": "JobResult",
        "function": "add",
        "args": [20],
        "kwargs": {"b": 22},
        "job_try": 1,
        "score": None,
        "job_id": job_id,
        "success": True,
        "result": 42,
        "queue_name": pair.place.queue,
    }
    assert all(when["aware"] for when in times.values())
    assert (
        times["enqueue_time"]["datetime"]
        <= times["start_time"]["datetime"]
        <= times["finish_time"]["datetime"]
    )
    assert time.time() - before_s < 60


def test_info_of_a_deferred_job(pair: Pair) -> None:
    now_ms = time.time() * 1000
    job_id = pair.client.enqueue("add", 1, _defer_by=600)
    info = pair.client.ask("info", job_id=job_id).value
    assert info["type"] == "JobDef"
    assert info["function"] == "add"
    assert info["job_id"] in (None, job_id)
    assert info["job_try"] is None
    assert abs(info["score"] - now_ms - 600_000) < 30_000
    assert pair.client.ask("status", job_id=job_id).value == "deferred"
    queued = {job["job_id"]: job for job in pair.client.ask("queued_jobs").value}
    assert queued[job_id]["score"] == info["score"]
    assert pair.client.ask("abort", job_id=job_id).value is True


def test_status_of_a_running_job(pair: Pair) -> None:
    job_id = pair.client.enqueue("nap", 30)
    pair.wait_started(job_id)
    assert pair.client.ask("status", job_id=job_id).value == "in_progress"
    assert pair.client.ask("info", job_id=job_id).value["function"] == "nap"
    assert pair.client.ask("abort", job_id=job_id).value is True


def test_unknown_job(pair: Pair) -> None:
    assert pair.client.ask("status", job_id="nobody").value == "not_found"
    assert pair.client.ask("info", job_id="nobody").value is None
    assert pair.client.ask("result_info", job_id="nobody").value is None
    answer = pair.client.result("nobody")
    assert answer["error"] == "arq.jobs.ResultNotFound"
    assert answer["message"].startswith("Not waiting for job result because the job is not in queue.")


def test_waiting_for_a_result_has_its_timeout(pair: Pair) -> None:
    job_id = pair.client.enqueue("add", 1, _defer_by=600)
    assert pair.client.result(job_id, timeout=0.1)["error"].endswith("TimeoutError")
    assert pair.client.ask("abort", job_id=job_id).value is True


def test_abort_of_a_running_job(pair: Pair) -> None:
    job_id = pair.client.enqueue("nap", 60)
    pair.wait_started(job_id)
    assert pair.client.ask("abort", job_id=job_id).value is True
    assert pair.client.result(job_id)["error"] == "asyncio.exceptions.CancelledError"
    assert pair.runs_of(job_id) == [1]
    wait_until(lambda: not pair.left(job_id), what="nothing left of the aborted job")


def test_abort_of_a_deferred_job(pair: Pair) -> None:
    job_id = pair.client.enqueue("add", 1, _defer_by=600)
    assert pair.client.ask("abort", job_id=job_id).value is True
    assert pair.runs_of(job_id) == []
    wait_until(lambda: not pair.left(job_id), what="nothing left of the aborted job")


def test_abort_of_a_finished_job(pair: Pair) -> None:
    job_id = pair.client.enqueue("add", 1)
    pair.client.result(job_id)
    assert pair.client.ask("abort", job_id=job_id).value is False


def test_job_id_is_unique_while_queued_and_while_the_result_lasts(pair: Pair) -> None:
    job_id = f"unique-{pair.place.queue}"
    assert pair.client.enqueue("add", 1, _job_id=job_id, _defer_by=0.3) == job_id
    assert pair.client.enqueue("add", 2, _job_id=job_id) is None
    assert pair.client.result(job_id).value == 1
    assert pair.client.enqueue("add", 3, _job_id=job_id) is None
    assert pair.runs_of(job_id) == [1]


def test_job_id_is_free_again_without_a_result(pair: Pair) -> None:
    job_id = f"again-{pair.place.queue}"
    for count in (1, 2):
        assert pair.client.enqueue("forgotten_add", count, _job_id=job_id) == job_id
        wait_until(lambda: len(pair.runs_of(job_id)) == count, what="ran")  # noqa: B023 - used at once
        wait_until(lambda: not pair.left(job_id), what="nothing left")
    assert pair.client.result(job_id)["error"] == "arq.jobs.ResultNotFound"


@pytest.mark.parametrize("option", ["_defer_by", "_defer_until_in_s"])
def test_deferred_job_starts_when_due_and_not_before(pair: Pair, option: str) -> None:
    due_ms = time.time() * 1000 + 500  # a little later by the client's clock
    job_id = pair.client.enqueue("add", 1, **{option: 0.5})
    pair.client.result(job_id)
    done = pair.client.ask("info", job_id=job_id).value
    assert _ms(done["start_time"]) >= due_ms - 1
    assert _ms(done["start_time"]) < due_ms + PATIENCE_S * 1000


def test_retry_with_a_delay(pair: Pair) -> None:
    job_id = pair.client.enqueue("again", 3, 0.1)
    assert pair.client.result(job_id).value == 3
    assert pair.runs_of(job_id) == [1, 2, 3]
    assert pair.client.ask("info", job_id=job_id).value["job_try"] == 3


def test_retry_without_a_delay(pair: Pair) -> None:
    job_id = pair.client.enqueue("again", 2)
    assert pair.client.result(job_id).value == 2


def test_tries_run_out(pair: Pair) -> None:
    job_id = pair.client.enqueue("again", 99, 0.01)
    answer = pair.client.result(job_id)
    assert answer == {"error": "arq.worker.JobExecutionFailed", "message": "max 4 retries exceeded"}
    assert pair.runs_of(job_id) == [1, 2, 3, 4]
    assert pair.client.ask("info", job_id=job_id).value["job_try"] == 5


def test_try_given_at_enqueue(pair: Pair) -> None:
    job_id = pair.client.enqueue("again", 4, _job_try=3)
    assert pair.client.result(job_id).value == 4
    assert pair.runs_of(job_id) == [3, 4]


def test_timeout_of_a_function(pair: Pair) -> None:
    job_id = pair.client.enqueue("short_nap", 30)
    assert pair.client.result(job_id)["error"].endswith("TimeoutError")
    assert pair.client.ask("info", job_id=job_id).value["job_try"] == 1


def test_function_that_does_not_exist(pair: Pair) -> None:
    job_id = pair.client.enqueue("nope")
    answer = pair.client.result(job_id)
    assert answer == {"error": "arq.worker.JobExecutionFailed", "message": "function 'nope' not found"}


def test_job_that_expired_before_it_was_due(pair: Pair) -> None:
    job_id = pair.client.enqueue("add", 1, _expires=0.05, _defer_by=0.3)
    answer = pair.client.result(job_id)
    assert answer == {"error": "arq.worker.JobExecutionFailed", "message": "job expired"}
    info = pair.client.ask("info", job_id=job_id).value
    assert (info["function"], info["args"], info["job_try"]) == ("<unknown>", [], 1)


def test_how_long_results_stay(pair: Pair) -> None:
    for function, lifetime_ms in (("add", 3_600_000), ("eternal_add", None)):
        job_id = pair.client.enqueue(function, 1)
        pair.client.result(job_id)
        left_ms = pair.place.redis.pttl(f"arq:result:{job_id}")
        if lifetime_ms is None:
            assert left_ms == -1
        else:
            assert lifetime_ms - 60_000 < left_ms <= lifetime_ms


def test_finished_jobs_leave_only_results(pair: Pair) -> None:
    ids = [pair.client.enqueue(*call) for call in (("add", 1), ("fail", "x"), ("again", 2, 0.01), ("nope",))]
    for job_id in ids:
        pair.client.result(job_id)
        wait_until(lambda: not pair.left(job_id), what="nothing left")  # noqa: B023 - used at once
    results = {result["job_id"] for result in pair.client.ask("all_job_results").value}
    assert set(ids) <= results


def test_hundreds_at_once(pair: Pair) -> None:
    prefix = f"many-{pair.place.queue}"
    assert pair.client.ask("enqueue_many", function="add", count=300, args=[1], prefix=prefix).value == 300
    wait_until(lambda: pair.place.queued() == 0, what="all done")
    ran = [job for job, *_ in pair.place.runs() if job.startswith(prefix)]
    assert len(ran) == len(set(ran)) == 300


def _ms(when: dict[str, Any]) -> float:
    from datetime import datetime

    return datetime.fromisoformat(when["datetime"]).timestamp() * 1000
