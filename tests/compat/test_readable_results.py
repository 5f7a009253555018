"""Results and jobs that not everybody can read, in fleets of ours and the original."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.compat.harness import Client, Implementation, Place, connected, own_database, running
from tests.support.eventually import wait_until
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.interop, pytest.mark.processes]

ELSEWHERE = "class Number(int): ...\n"


@pytest.fixture
def place(compat_server: RedisServer) -> Iterator[Place]:
    """A database of its own, empty: `all_job_results` shows no others."""
    with own_database(compat_server, 6) as place:
        yield place


@pytest.fixture(params=["ours", "original"])
def client(
    request: pytest.FixtureRequest, implementations: dict[str, Implementation], place: Place
) -> Iterator[Client]:
    with connected(implementations[request.param], place) as client:
        yield client


def test_failures_come_back_to_every_client(
    client: Client, implementations: dict[str, Implementation], place: Place, logs: Path
) -> None:
    with running(implementations["ours"], place, logs):
        rebuilt, local = client.enqueue("fail_keyword"), client.enqueue("fail_local")
        assert client.result(rebuilt) == {"error": "jobs.KeywordError", "message": "503 from upstream"}
        answer = client.result(local)
        assert answer["error"] == "arq.jobs.SerializationError"
        assert answer["message"] == "jobs.fail_local.<locals>.LocalError: made in a job"
        listed: list[Any] = client.ask("all_job_results").value
        assert {one["job_id"] for one in listed} == {rebuilt, local}


def test_failures_that_the_original_has_written(
    implementations: dict[str, Implementation], place: Place, logs: Path
) -> None:
    with (
        running(implementations["original"], place, logs),
        connected(implementations["ours"], place) as client,
    ):
        rebuilt, plain = client.enqueue("fail_keyword"), client.enqueue("add", 1, b=2)
        answer = client.result(rebuilt)
        assert answer["error"] == "arq.jobs.DeserializationError"
        assert answer["message"] == "jobs.KeywordError: 503 from upstream"
        assert client.result(plain).value == 3
        listed = {one["job_id"]: one for one in client.ask("all_job_results").value}
        assert (listed[rebuilt]["function"], listed[rebuilt]["success"]) == ("fail_keyword", False)
        assert listed[plain]["result"] == 3


def test_a_job_that_waits_for_a_worker_of_the_original(
    implementations: dict[str, Implementation], place: Place, logs: Path, tmp_path: Path
) -> None:
    """A job is put back by ours as if it had never been claimed: the original runs it as its first try."""
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    knowing = replace(implementations["original"], path=str(tmp_path))
    with running(implementations["ours"], place, logs, unreadable="retry") as old:
        with connected(knowing, place) as client:
            job_id = client.enqueue_number(5)
            wait_until(lambda: "it is left to other workers" in old.log.read_text(), what="it is told")
            put_back = ("queued", "deferred")  # that is written after it is told
            wait_until(lambda: client.ask("status", job_id=job_id).value in put_back, what="put back")
            with running(knowing, place, logs) as other:
                assert client.result(job_id).value == 5
        assert place.runs() == [(job_id, 1, other.name, "add")]
    assert "module 'elsewhere' is not there" in old.log.read_text()
