"""The demonstration: it works, it tells the truth, and it cleans up when it does not work."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from arq.jobs import JobResult
from examples.demo.plan import NEVER, calls, library_files
from examples.demo.report import Facts, Killed, bar, report
from examples.demo.terminal import COLUMNS, command_lines, painted
from tests.support.eventually import wait_until
from tests.support.programs import Program, program_starter

START = datetime(2026, 1, 1, tzinfo=UTC)


def result(
    function: str, begin_s: float, job_try: int = 1, args: tuple[Any, ...] = (), **value: Any
) -> JobResult:
    start = START + timedelta(seconds=begin_s)
    return JobResult(
        function=function,
        args=args,
        kwargs={},
        job_try=job_try,
        enqueue_time=START,
        score=None,
        job_id="id",
        success=True,
        result=value,
        start_time=start,
        finish_time=start + timedelta(seconds=0.5),
        queue_name="arq:queue",
    )


def digest(begin_s: float, slot: int, pid: int, job_try: int = 1) -> JobResult:
    content = {"bytes": 1_000_000, "lines": 1000, "compressed": 250_000}
    return result("digest_file", begin_s, job_try, ("/lib/a/b.py",), **content, slot=slot, pid=pid)


def test_report() -> None:
    results = [
        *(digest(0, 0, 100) for _ in range(4)),
        digest(0, 1, 101),
        digest(1.5, 1, 102, job_try=2),
        result("fetch_mirror", 1, 3, ("mirror-1", 2), slot=0, pid=100),
        replace(result("fetch_mirror", 1, 4, ("mirror-east", NEVER)), success=False),
        result("remind", 1.25, 1, (START.timestamp() + 1.2,), slot=0, pid=100),
        result("remind", 2.25, 1, (START.timestamp() + 2.2,), slot=0, pid=100),
        result("cron:look_around", 1, slot=0, pid=100),
    ]
    killed = Killed(slot=1, pid=101, at_s=START.timestamp() + 1, released=1)
    facts = Facts(results, 10, killed)
    assert not facts.failed
    assert list(report(facts, "#")) == [
        "6 files with 6,000 lines, 6.0 MB, hashed and compressed to 1.5 MB",
        "in 2.0 s: 3 files a second",
        "",
        f"  worker 0  pid 100     {'#' * 34} 8 jobs",
        "  worker 1  pid 101     #### 1 jobs   killed",
        "  replaced  pid 102     #### 1 jobs",
        "",
        "  slowest    500 ms  a/b.py (1,000 kB)",
        "             500 ms  a/b.py (1,000 kB)",
        "             500 ms  a/b.py (1,000 kB)",
        "  retried   1 jobs that fail at first, 2 retries with back-off, 1 succeeded",
        "  failed    1 jobs for mirrors that are gone, as they should: they are in the",
        "            dead set",
        "  deferred  2 jobs for a given time, 1 of them while files were waiting;",
        "            the others started 50 ms late (median), 50 ms at worst",
        "  cron      1 ticks of a clock that all workers watch, each run once (by worker",
        "            0)",
        "  killed    worker 1 with SIGKILL while it had 1 jobs in hand;",
        "            1 were started again, the last 0.50 s after the kill; none lost",
    ]


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "  killed    worker 1 with SIGKILL; none lost"
    assert painted(line) == line
    monkeypatch.setattr("examples.demo.terminal.has_colour", lambda: True)
    assert painted(line).count("\x1b[0m") == 3


def test_a_long_command_goes_on_behind_a_backslash() -> None:
    words = ["arq-supervise", "demo.Settings", *(f"--option-{n} value-{n}" for n in range(6))]
    lines = command_lines(" ".join(words).split())
    assert len(lines) > 1
    assert max(map(len, lines)) <= COLUMNS
    assert " ".join(line.removesuffix("\\").strip() for line in lines) == "$ " + " ".join(words)


def test_a_bar_is_never_empty_for_something() -> None:
    assert bar(1, 1000, "#") == "#"
    assert bar(0, 1000, "#") == ""


def test_the_plan_has_a_job_for_every_file() -> None:
    files = library_files()
    assert len(files) > 300
    planned = list(calls(files))
    assert [call.arguments[0] for call in planned if call.function == "digest_file"] == files
    assert {call.function for call in planned if call.due} == {"remind"}


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    marker = {"ARQ_TEST_DEMO": str(tmp_path), "TMPDIR": str(tmp_path)}
    with program_starter(tmp_path, marker) as start:
        yield lambda *options: start("-m", "examples.demo", *options)
    wait_until(lambda: not survivors(str(tmp_path)), what="every process of the demonstration has ended")


def survivors(marker: str) -> list[psutil.Process]:
    """Processes anywhere that were started with this marker in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ARQ_TEST_DEMO") == marker:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.processes
def test_demo(start_demo: Callable[..., Program]) -> None:
    beside = start_demo("--procs", "2", "--files", "100")
    demo = start_demo("--procs", "2", "--files", "400")
    assert demo.ended(150) == 0, demo.stderr
    assert beside.ended(150) == 0, beside.stderr
    assert "400 files with" in demo.stdout
    assert "kill -9" in demo.stdout
    assert "; none lost" in demo.stdout
    assert any(line.startswith("  stopped   gracefully in ") for line in demo.lines)
    assert "make demo ARGS=--stay" in demo.lines[-2]
    wide = [line for line in demo.lines if len(line) > COLUMNS and "unix://" not in line]
    assert not wide, "all but a path fits a terminal of the usual width"
    assert "\x1b" not in demo.stdout, "colour is for terminals"


@pytest.mark.processes
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(
    start_demo: Callable[..., Program], signum: signal.Signals
) -> None:
    demo = start_demo("--procs", "2")
    demo.printed("  workers ")
    assert demo.stop(signum) == 128 + signum
    assert "Traceback" not in demo.stderr


@pytest.mark.processes
def test_a_failed_demo_says_why_in_one_line(start_demo: Callable[..., Program]) -> None:
    demo = start_demo("--procs", "100000")
    assert demo.ended() == 1
    (line,) = demo.stderr.splitlines()
    assert line.startswith("demo: arq-supervise ended with exit code 2: ")
    assert "--procs" in line


@pytest.mark.processes
def test_a_demo_that_stays_ends_when_it_is_told_to(start_demo: Callable[..., Program]) -> None:
    demo = start_demo("--procs", "2", "--files", "100", "--stay")
    demo.printed("Ctrl-C ends it.")
    assert "ARQ_REDIS=unix://" in demo.stdout
    assert demo.stop(signal.SIGINT) == 0
    assert demo.lines[-1].startswith("  stopped   gracefully in ")
    assert demo.stderr == ""
