"""Ours against what the original wrote, logged, computed and exported (golden/observed.json)."""

import json
import pickle
import re
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.compat.harness import PEERS, Implementation, ours
from tests.support.servers import RedisServer

Observation = dict[str, Any]

GOLDEN: Observation = json.loads((Path(__file__).parent / "golden" / "observed.json").read_text())
# names that are only of use inside the original
INTERNAL = {("arq.cron", "Options"), ("arq.utils", "as_int"), ("arq.cli", "watch_reload")}
# differences on purpose: (section, entry)
DIFFERENT = {
    ("payloads", "result retry pickle"): "ours keeps `defer` in the arguments however it was given",
    ("shown", "from_dsn tls"): "ours reads a DSN without a user name as None, the original as an empty name",
}


def observe(implementation: Implementation, server: RedisServer) -> Observation:
    """Run the observer under an implementation, on a database of its own."""
    run = subprocess.run(
        [implementation.python, "observe.py", f"{server.dsn}/7"],
        cwd=PEERS,
        env=implementation.environment(TZ="UTC"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found: Observation = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def observed(compat_server: RedisServer) -> Observation:
    """What ours does."""
    return observe(ours(), compat_server)


def entries(section: str) -> list[str]:
    """Names of a section, as parameters; those that differ on purpose are left to their own tests."""
    return [name for name in GOLDEN[section] if (section, name) not in DIFFERENT]


@pytest.mark.parametrize("name", entries("payloads"))
def test_bytes_written(observed: Observation, name: str) -> None:
    assert observed["payloads"][name] == GOLDEN["payloads"][name]


@pytest.mark.parametrize("name", entries("enqueued"))
def test_redis_after_enqueue(observed: Observation, name: str) -> None:
    assert observed["enqueued"][name] == GOLDEN["enqueued"][name]


@pytest.mark.parametrize("name", entries("ran"))
def test_redis_and_log_after_a_job(observed: Observation, name: str) -> None:
    mine, theirs = observed["ran"][name], GOLDEN["ran"][name]
    assert mine["redis"] == theirs["redis"]
    # what there is instead of an unknown function is said behind arq's text
    assert [re.sub(r"( not found); this worker has .*", r"\1", line) for line in mine["log"]] == theirs["log"]
    assert mine["worker"] == theirs["worker"]
    seen = theirs.get("seen")
    if seen is not None:  # the note of the claim counts the first start, see docs/compatibility.md
        seen = {key: entry for key, entry in seen.items() if key != "arq:retry:the-id"}
    assert _without_ongoing(mine.get("seen")) == _without_ongoing(seen)


def _without_ongoing(seen: Any) -> Any:
    """The first health line of ours is written when the worker is ready, before it takes its first job."""
    return json.loads(re.sub(r"j_ongoing=\d", "j_ongoing=N", json.dumps(seen)))


def test_cron_at_startup(observed: Observation) -> None:
    """As the original, but for the lock: it would hold the id for 60 s after the job has ended."""
    assert observed["cron at startup"]["log"] == GOLDEN["cron at startup"]["log"]
    assert observed["cron at startup"]["redis"] == {}


def test_next_cron_of_400_schedules(observed: Observation) -> None:
    wrong = [
        (mine, theirs)
        for mine, theirs in zip(observed["cron"], GOLDEN["cron"], strict=True)
        if mine != theirs
    ]
    assert wrong == []


@pytest.mark.parametrize("name", entries("shown"))
def test_text_of_objects(observed: Observation, name: str) -> None:
    assert observed["shown"][name] == without_password(GOLDEN["shown"][name])


def without_password(shown: Any) -> Any:
    """What the original shows of settings, but for the password, which ours hide."""
    return shown.replace("password='secret'", "password='***'") if isinstance(shown, str) else shown


EXPORTS = [
    (module, name)
    for module, names in GOLDEN["surface"].items()
    for name, described in names.items()
    if module in ("arq", described.get("home", "arq.constants")) and (module, name) not in INTERNAL
]


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_exports(observed: Observation, module: str, name: str) -> None:
    theirs = GOLDEN["surface"][module][name]
    mine = observed["surface"].get(module, {}).get(name)
    assert mine is not None, f"{module}.{name} is missing"
    assert mine.get("constant") == theirs.get("constant")
    if "bases" in theirs:  # a pickle of an instance names the place of its class
        assert mine["home"] == theirs["home"]
        assert set(theirs["bases"]) <= set(mine["bases"])
    assert mine.get("async") == theirs.get("async")
    assert_accepts(mine.get("parameters", []), theirs.get("parameters", []))


@pytest.mark.parametrize("name", entries("methods"))
def test_methods(observed: Observation, name: str) -> None:
    assert_accepts(observed["methods"][name], GOLDEN["methods"][name])


def assert_accepts(mine: list[list[str]], theirs: list[list[str]]) -> None:
    """Every call that fits `theirs` fits `mine`, with the same defaults."""
    positional = [one for one in theirs if one[1] == "POSITIONAL_OR_KEYWORD"]
    assert mine[: len(positional)] == positional
    assert [one for one in theirs if one not in mine] == []
    added = [one for one in mine if one not in theirs]
    assert [one for one in added if one[2] == "required" and not one[1].startswith("VAR_")] == []


def test_ours_reads_the_bytes_of_the_original() -> None:
    """Jobs and results that lie in Redis when a deployment changes over."""
    from arq.jobs import deserialize_job, deserialize_job_raw, deserialize_result

    raw = bytes.fromhex(GOLDEN["payloads"]["job arguments pickle"])
    arguments = ("pkg.mod", (1, "ü", b"\x00", None, 1.5), {"k": [1, {"x": (2,)}]}, 3, 1_700_000_000_123)
    assert deserialize_job_raw(raw) == arguments
    job = deserialize_job(raw)
    assert (job.function, job.args, job.kwargs, job.job_try) == arguments[:4]
    assert job.enqueue_time.timestamp() == 1_700_000_000.123

    packed = bytes.fromhex(GOLDEN["payloads"]["job plain msgpack"])
    read = deserialize_job_raw(packed, deserializer=lambda b: msgpack.unpackb(b, raw=False))
    assert (read[0], list(read[1]), *read[2:]) == ("f", [], {}, None, 1_700_000_000_123)

    result = deserialize_result(bytes.fromhex(GOLDEN["payloads"]["result success pickle"]))
    assert (result.result, result.success, result.queue_name, result.job_id) == (
        {"answer": 42},
        True,
        "arq:queue",
        "id",
    )
    assert result.start_time.timestamp() == 1_700_000_000.2


def test_exceptions_of_the_original_are_ours() -> None:
    """Pickled exceptions name the place of their class: it must be the same object on both sides."""
    from arq.worker import JobExecutionFailed, Retry

    def read(name: str) -> Any:
        return pickle.loads(bytes.fromhex(GOLDEN["payloads"][f"result {name} pickle"]))["r"]

    assert type(read("expired")) is JobExecutionFailed
    assert read("expired") == JobExecutionFailed("job expired")
    assert type(read("retry")) is Retry
    assert read("retry").defer_score == 1500


def test_retry_of_ours_is_a_retry_to_the_original(observed: Observation) -> None:
    """It names the class of the original, which takes `defer` as its only argument, and has the same state."""
    mine = bytes.fromhex(observed["payloads"]["result retry pickle"])
    assert b"arq.worker" in mine
    retry = pickle.loads(mine)["r"]
    assert retry.args in ((), (1.5,))
    assert vars(retry) == {"defer_score": 1500}


def test_dsn_without_a_user_name(observed: Observation) -> None:
    theirs: str = without_password(GOLDEN["shown"]["from_dsn tls"])
    assert observed["shown"]["from_dsn tls"] == theirs.replace("username=''", "username=None")


@pytest.mark.interop
def test_the_file_is_what_the_original_does(
    implementations: dict[str, Implementation], compat_server: RedisServer
) -> None:
    """The golden file was made by the original and by nobody's hand."""
    seen = observe(implementations["original"], compat_server)
    assert list(seen) == list(GOLDEN)
    for section, expected in GOLDEN.items():
        if section == "cron":
            assert seen[section] == expected
            continue
        different = {name for name in expected if seen[section].get(name) != expected[name]}
        assert different == set(), section
