"""Producers, workers and clients under different Pythons on one queue, as in every rolling upgrade.

Python 3.13 pickles a `Path` and the error of `re` under names that no older Python has.
"""

from collections.abc import Iterator

import pytest

from tests.compat.harness import Place, own_database
from tests.compat.pythons import Side, side
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.interop, pytest.mark.processes, pytest.mark.slow]

MISSING = "module 'pathlib._local' is not there: written by Python 3.13?"


@pytest.fixture
def place(compat_server: RedisServer) -> Iterator[Place]:
    """A database of its own, empty."""
    with own_database(compat_server, 5) as place:
        yield place


@pytest.fixture(scope="module")
def newer() -> Side:
    return side("3.13")


@pytest.fixture(scope="module", params=["3.11", "3.12"])
def older(request: pytest.FixtureRequest) -> Side:
    return side(request.param)


def test_a_job_that_an_older_worker_can_not_read(newer: Side, older: Side, place: Place) -> None:
    newer.ask("enqueue", place)
    queued = older.ask("look", place)["queued"]
    assert queued["path"][0] == "take"
    assert MISSING in queued["path"][1]
    assert older.ask("work", place) == [1, 1, 0]
    results = older.ask("look", place)["results"]
    assert results["plain"]["value"] == "\"['1'] {'k': [2]} try 1\""
    failed = results["path"]
    assert (failed["function"], failed["success"], failed["times"]) == ("take", False, True)
    assert failed["value"] == f"DeserializationError: unable to deserialize job: {MISSING}"
    assert "pathlib._local.PosixPath" in failed["args"]


def test_a_job_that_waits_for_a_newer_worker(newer: Side, older: Side, place: Place) -> None:
    newer.ask("enqueue", place)
    for _ in range(2):
        assert older.ask("work", place, "retry")[1] == 0
    assert not place.redis.exists("arq:retry:path", "arq:result:path")
    place.redis.zadd(place.queue, {"path": 1}, xx=True)
    assert newer.ask("work", place) == [1, 0, 0]
    for client in (newer, older):
        assert client.ask("look", place)["results"]["path"]["value"] == "\"['1', '/srv/orders'] {} try 1\""


def test_results_that_an_older_client_can_not_read(newer: Side, older: Side, place: Place) -> None:
    assert newer.ask("results", place) == [2, 1, 0]
    results = older.ask("look", place)["results"]
    given, declined, kept = results["give"], results["decline"], results["keep"]
    assert [one["times"] for one in (given, declined, kept)] == [True] * 3
    assert (given["function"], given["success"]) == ("give", True)
    assert given["value"].startswith(
        "DeserializationError: unable to deserialize job result: the job was successful"
    )
    assert MISSING in given["value"]
    assert (declined["function"], declined["success"]) == ("decline", False)
    assert declined["value"].startswith("DeserializationError: re.PatternError: ")
    assert "missing ), unterminated subpattern" in declined["value"]
    assert any("written by Python 3.13 or newer?" in note for note in declined["notes"])
    assert (kept["success"], kept["value"]) == (True, "4")  # only its argument can't be read
    assert MISSING in kept["args"]


def test_what_an_older_side_writes_a_newer_one_reads(newer: Side, older: Side, place: Place) -> None:
    older.ask("enqueue", place)
    assert newer.ask("work", place) == [2, 0, 0]
    assert older.ask("results", place) == [2, 1, 0]
    results = newer.ask("look", place)["results"]
    assert results["give"]["value"] == "[PosixPath('/srv/orders')]"
    assert results["decline"]["value"].startswith("PatternError: missing ), unterminated subpattern")
