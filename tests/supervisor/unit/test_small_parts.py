"""The small pure parts: options, back-off, messages, roster, handover, check's verdict, table."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arq.connections import RedisSettings
from supervisor.commands.check_report import NO_SUPERVISOR, Facts, SlotFacts, judge_check
from supervisor.commands.status_table import span
from supervisor.ipc.messages import Decoder, Message, encode
from supervisor.ipc.redis_settings import pack, unpack
from supervisor.ipc.roster import Entry, Roster, merge_by_key, read_roster, write_roster
from supervisor.options import OptionError, Options, pool_name
from supervisor.pool.backoff import Backoff, RestartLimit
from supervisor.pool.events import Report
from supervisor.pool.job_counts import JobCounts

# --- options --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("--procs", {"procs": 0}),
        ("--procs", {"procs": 5000}),
        ("--name", {"name": "a/b"}),
        ("--min-ready", {"procs": 2, "min_ready": 3}),
        ("--boot-timeout", {"boot_timeout_s": 0.0}),
        ("--boot-timeout", {"boot_timeout_s": float("nan")}),
        ("--kill-timeout", {"kill_timeout_s": -1.0}),
        ("--hang-timeout", {"hang_timeout_s": 0.5}),
        ("--backoff-max", {"backoff_base_s": 5.0, "backoff_max_s": 1.0}),
        ("--max-restarts", {"max_restarts": -1}),
        ("--reload-surge", {"reload_surge": 0}),
        ("--embedded-redis-dir", {"embedded_redis_dir": "d"}),
        ("--child-oom-score-adj", {"child_oom_score_adj": -5}),
    ],
)
def test_an_option_out_of_range_is_named(option: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"^{option} .*: must be "):
        Options("app.Settings", **wrong)


def test_what_follows_from_other_options() -> None:
    options = Options("shop.jobs:Settings", procs=3)
    assert (options.name, options.ready_needed, options.restarts_allowed) == ("shop.jobs.Settings", 3, 15)
    assert pool_name("a" * 100) == "a" * 64


# --- back-off and limit ---


@given(spread=st.floats(0, 0.999), deaths=st.integers(1, 40))
def test_pauses_grow_and_stay_in_bounds(spread: float, deaths: int) -> None:
    backoff = Backoff(0.5, 30, lambda: spread)
    pauses = [backoff.next_pause_s() for _ in range(deaths)]
    assert pauses[0] <= 0.5
    assert all(0.4 <= pause <= 30 for pause in pauses)
    assert pauses == sorted(pauses)
    backoff.forgive()
    assert backoff.next_pause_s() <= 0.5


def test_the_limit_forgets_what_is_old() -> None:
    limit = RestartLimit(2, 10)
    assert [limit.note(now) for now in (0.0, 1.0, 11.5, 12.0, 13.0)] == [False, False, False, False, True]


# --- messages -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=3), max_size=8
    ),
    st.data(),
)
def test_messages_survive_any_cutting(bodies: list[dict[str, Any]], data: st.DataObject) -> None:
    bodies = [{key: value for key, value in body.items() if key not in ("v", "t")} for body in bodies]
    stream = b"".join(encode("k", **body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = Decoder()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [message.body for piece in pieces for message in decoder.feed(piece)] == bodies


@given(st.binary(max_size=400))
def test_nonsense_in_a_pipe_raises_nothing(noise: bytes) -> None:
    decoder = Decoder(longest_line_bytes=50)
    list(decoder.feed(noise))
    assert list(decoder.feed(b"\n" + encode("ok")))[-1:] == [Message("ok", {})]


def test_a_line_without_an_end_is_dropped() -> None:
    decoder = Decoder(longest_line_bytes=100)
    for _ in range(1000):
        assert list(decoder.feed(b"x" * 64)) == []
    assert [message.kind for message in decoder.feed(b"\n" + encode("beat"))] == ["beat"]
    assert decoder.dropped == 1


# --- roster -------------------------------------------------------------------------------------------------------


def test_a_roster_survives_the_pipe() -> None:
    entry = Entry("p:h:0:ab", 0, "r", "q:health-check", JobCounts(1, 2, 3, 4, 5), 0.25)
    roster = Roster((entry,), (entry,), JobCounts(9, 8, 7, 0, 0))
    (message,) = Decoder().feed(write_roster(roster))
    assert read_roster(message) == roster


def test_counts_add_up_and_the_queue_does_not() -> None:
    old = Entry("a", 0, "r", "k", JobCounts(1, 1, 1, 1, 50), beat_age_s=2.0)
    new = Entry("b", 1, "r", "k", JobCounts(10, 0, 0, 2, 7), beat_age_s=0.1)
    other = Entry("c", 2, "r", "other", JobCounts(queued=3))
    sums = merge_by_key([new, old, other], JobCounts(100, 0, 0, 0, 999))
    assert sums["k"] == JobCounts(111, 1, 1, 3, 7)
    assert sums["other"].queued == 3


# --- handover -----------------------------------------------------------------------------------------------------


class OfTheApplication(RedisSettings):
    """Only the application knows this class."""


def test_redis_settings_are_handed_over() -> None:
    given_settings = RedisSettings(host="h", password="secret", retry_on_error=[TimeoutError])
    name, text = pack(given_settings)
    assert name
    assert unpack(text) == given_settings


def test_settings_that_need_the_application_are_not() -> None:
    assert pack(OfTheApplication()) == ("", "")
    assert pack(lambda: None) == ("", "")
    assert pack(timedelta(1))[0] != ""


# --- check ----------------------------------------------------------------------------------------------------------


def _facts(*fresh: bool, redis: bool = True) -> Facts:
    boss = {**NO_SUPERVISOR, "reachable": True, "procs": len(fresh), "ready": sum(fresh)}
    slots = {slot: SlotFacts(slot, {"fresh": is_fresh, "jobs": None}) for slot, is_fresh in enumerate(fresh)}
    return Facts("p", "h", supervisor=boss, slots=slots, redis_checked=True, redis_reachable=redis)


@pytest.mark.parametrize(
    ("facts", "min_healthy", "strict", "expected"),
    [
        (_facts(True, True), 1, True, (0, "ok")),
        (_facts(True, False), 1, False, (0, "degraded")),
        (_facts(True, False), 1, True, (1, "fail")),
        (_facts(True, False), 2, False, (1, "fail")),
        (_facts(False, False), 1, False, (1, "fail")),
        (_facts(True, True, redis=False), 1, False, (1, "fail")),
        (Facts("p", "h"), 1, False, (3, "unknown")),
        (Facts("p", "h", redis_checked=True, redis_reachable=True), 1, False, (1, "fail")),
    ],
)
def test_verdicts(facts: Facts, min_healthy: int, strict: bool, expected: tuple[int, str]) -> None:
    report = judge_check(facts, min_healthy, strict)
    assert (report["exit_code"], report["status"]) == expected
    json.dumps(report)


def test_the_key_that_a_dead_process_left_is_not_taken_for_the_process() -> None:
    facts = _facts(True, False)
    facts.slots[1].take_key("arq:queue:health-check:p:h:1", JobCounts(complete=7))
    report = judge_check(facts, 1, strict=False)
    assert report["workers"][1]["jobs"] is None
    assert report["totals"]["complete"] == 0


def test_without_the_supervisor_the_key_speaks() -> None:
    slot = SlotFacts(0)
    slot.take_key("arq:queue:health-check:p:h:0", JobCounts(complete=7))
    facts = Facts("p", "h", slots={0: slot}, redis_checked=True, redis_reachable=True)
    report = judge_check(facts, 1, strict=False)
    assert report["workers"][0]["jobs"]["complete"] == report["totals"]["complete"] == 7


# --- the rest -----------------------------------------------------------------------------------------------------


def test_durations_for_people() -> None:
    assert [span(seconds) for seconds in (5, 300, 7380, 352800)] == ["5s", "5m", "2h03m", "4d2h"]


@pytest.mark.parametrize("content", ["#", "raise ImportError('x', name='supervisor.options')"])
def test_another_projects_package_is_recognised(tmp_path: Path, content: str) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "__init__.py").write_text(content)
    line = refusal("main", tmp_path)
    assert "supervisord" in line
    assert line.endswith(str(tmp_path / "supervisor"))


def refusal(command: str, folder: Path) -> str:
    """The one line with which a console script leaves where this folder comes first on the path."""
    code = f"from _arq_supervise import {command}; {command}()"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code, "app.Settings"], cwd=folder, capture_output=True, text=True,
                          check=False, env={"PYTHONPATH": f"{folder}:{root}"})  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("command", "place"),
    [("main", "supervisor.py"), ("main", "arq.py"), ("main", "arq/__init__.py"), ("arq", "arq.py")],
)
def test_a_module_of_ones_own_in_the_way_is_named_and_not_run(
    tmp_path: Path, command: str, place: str
) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("print('run')")
    line = refusal(command, tmp_path)
    assert f"{tmp_path / place}".removesuffix("/__init__.py") in line
    assert "supervisord" not in line


@pytest.mark.parametrize("command", ["supervisor", "arq"])
@pytest.mark.parametrize("path", ["arq.Settings", "arq.tasks.Settings"])
def test_settings_in_a_module_that_has_our_name(tmp_path: Path, command: str, path: str) -> None:
    (tmp_path / "arq.py").write_text("class Settings: functions = []")
    words = {"supervisor": ["--check-settings"], "arq": []}[command]
    start = f"from _arq_supervise import {'arq' if command == 'arq' else 'main'} as main; main()"
    done = subprocess.run([sys.executable, "-P", "-c", start, path, *words], cwd=tmp_path, capture_output=True,
                          text=True, check=False, env={"PYTHONPATH": str(Path(__file__).parents[3])})  # fmt: skip
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "arq.py") in line


def test_reports_are_values() -> None:
    assert Report() == Report()


def test_r40_f50_no_decision_looks_at_the_wall_clock() -> None:
    """A clock that jumps must not end anybody. `bytecode_cache` and `lock_files` compare with the times of files."""
    sources = {
        path.stem: path.read_text() for path in (Path(__file__).parents[3] / "supervisor").rglob("*.py")
    }
    looking = {name for name, text in sources.items() if re.search(r"\btime\.time\(|datetime\.now\(", text)}
    assert looking == {"bytecode_cache", "check", "lock_files", "event_log", "steward"}
