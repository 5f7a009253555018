"""`docs/fault-comparison.md` says what `benchmarks/faults/results/` holds, for every peer and every fault."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.__main__ import merged
from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.grades import Grade
from benchmarks.faults.page import PAGE, newest, render, with_tables
from benchmarks.faults.peers import OURS, PEERS
from benchmarks.faults.terminals import Terminal
from benchmarks.faults.verdicts import judge
from tests.support.eventually import wait_until
from tests.support.programs import ROOT


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(newest().read_text())
    return found


def test_the_page_shows_the_newest_results(results: dict[str, Any]) -> None:
    page = PAGE.read_text()
    assert page == with_tables(page, render(results)), "run: python -m benchmarks.faults.page"


def test_a_changed_observation_changes_the_page(results: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(results))
    changed["peers"][OURS]["cells"]["stop-idle"]["left"] = 2
    assert render(changed) != render(results)


def test_every_cell_was_looked_at(results: dict[str, Any]) -> None:
    assert results["peers"].keys() == PEERS.keys()
    for name, peer in PEERS.items():
        cells = results["peers"][name]["cells"]
        assert cells.keys() == FAULTS.keys()
        reasons = {fault: seen["not_applicable"] for fault, seen in cells.items() if "not_applicable" in seen}
        assert reasons == {fault.name: fault.lacks(peer) for fault in FAULTS.values() if fault.lacks(peer)}


def test_every_scene_could_be_set(results: dict[str, Any]) -> None:
    failed = {
        f"{name} {fault}"
        for name, found in results["peers"].items()
        for fault, seen in found["cells"].items()
        if "could_not_be_caused" in seen
    }
    assert not failed


def test_results_tell_versions_and_machine_but_no_names_or_paths(results: dict[str, Any]) -> None:
    for name, peer in PEERS.items():
        pinned = {package.partition("==")[2] for package in peer.packages if "==" in package}
        assert pinned <= set(results["peers"][name]["versions"].values())
    assert {"date", "cores", "kernel", "python", "server"} <= results["machine"].keys()
    text = newest().read_text()
    assert socket.gethostname() not in text
    assert not re.findall(r'"[^"]*/(?:tmp|home|root|usr|work)/[^"]*"', text)


def test_nothing_went_badly_for_ours(results: dict[str, Any]) -> None:
    """A weakness that a new measurement finds is mended before the page says so."""
    verdicts = {fault: judge(fault, seen) for fault, seen in results["peers"][OURS]["cells"].items()}
    assert not [f"{fault}: {verdict}" for fault, verdict in verdicts.items() if verdict.grade is Grade.BAD]


LOOKER = """
import os, subprocess, sys
from benchmarks.faults.processes import become_subreaper, descendants, is_alive, kill, reap_adopted, state
from benchmarks.faults.waiting import wait

become_subreaper()
parent = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; exec sleep 600"], stdout=subprocess.PIPE, text=True)
orphan = int(parent.stdout.readline())
parent.kill()
parent.wait()
assert wait(lambda: orphan in descendants(os.getpid()), 10) is not None, "the orphan did not come"
assert is_alive(orphan)
kill(orphan)
assert wait(lambda: state(orphan) == "Z", 10) is not None, "the orphan is not dead"
assert not is_alive(orphan)
reap_adopted(set())
assert state(orphan) == "", "the orphan was not waited for"
print("counted and ended")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="inheriting orphans is Linux's")
def test_orphans_are_counted_and_ended() -> None:
    looker = subprocess.run(
        [sys.executable, "-c", LOOKER], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert looker.stdout == "counted and ended\n", looker.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="setsid --ctty is Linux's")
def test_a_window_that_is_closed_hangs_up() -> None:
    with Terminal() as window:
        program = subprocess.Popen(["setsid", "--ctty", "sleep", "600"], stdin=window.end, stdout=window.end)
        wait_until(
            lambda: Path(f"/proc/{program.pid}/comm").read_text() == "sleep\n", what="the program runs"
        )
        window.close()
    assert program.wait(60) == -signal.SIGHUP


def test_a_wrong_name_is_one_clear_line() -> None:
    wrong = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--peer", "supervisord"],
        cwd=ROOT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "invalid choice: 'supervisord'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_one_cell_measured_anew_leaves_the_others(results: dict[str, Any]) -> None:
    cell = {"stop_s": 1.0, "exit_code": 0, "left": 0, "limit_s": 30.0}
    found = results["peers"][OURS]
    new = results | {"peers": {OURS: found | {"cells": {"stop-idle": cell}}}}
    both = merged(results, new)
    assert both["peers"][OURS]["cells"] == found["cells"] | {"stop-idle": cell}
    assert list(both["peers"][OURS]["cells"]) == list(FAULTS)
    assert {name: both["peers"][name] for name in PEERS if name != OURS} == {
        name: results["peers"][name] for name in PEERS if name != OURS
    }
    assert merged({}, new) == new
