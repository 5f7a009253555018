"""Log lines of jobs for programs: what a person reads in the text stands in fields of its own."""

from typing import Any

import pytest

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def lines_about(pool: Pool, job_id: str) -> list[dict[str, Any]]:
    return pool.events("log", job_id=job_id)


def ended(pool: Pool, job_id: str) -> dict[str, Any]:
    """The line about the end of a job."""
    wait_until(lambda: len(lines_about(pool, job_id)) == 2, what=f"{job_id} has ended")
    started, end = lines_about(pool, job_id)
    assert started["outcome"] == "started"
    assert started["waited_s"] >= 0
    return end


def test_lines_of_jobs_have_fields(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    good, bad, unknown = queue.put("slow", 0.2), queue.put("slow", "no number"), queue.put("nobody")
    end = ended(pool, good)
    assert (end["function"], end["try"], end["outcome"]) == ("slow", 1, "complete")
    assert 0.2 <= end["seconds"] < 60
    failed = ended(pool, bad)
    assert (failed["function"], failed["outcome"], failed["level"]) == ("slow", "failed", "error")
    assert "TypeError" in failed["exc"]
    wait_until(lambda: lines_about(pool, unknown), what="the unknown function is told")
    assert lines_about(pool, unknown)[0]["function"] == "nobody"
    assert pool.stop() == 0


def test_a_stop_says_for_whom_it_waits_and_names_no_signal_that_nobody_sent(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", TEST_WAIT="30").ready()
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    pool.signal(2)
    assert "second" in pool.wait_event("stop.start")["again"]
    wait_until(
        lambda: f"waiting up to 30s for 1 running: {job_id}:until" in pool.text(), what="for whom it waits"
    )
    pool.open_gate()
    assert pool.wait() == 0
    assert "SIGUSR1" not in pool.text()


def test_a_start_hook_that_fails_names_no_signal(pool: Pool) -> None:
    pool.start("--procs", "1", TEST_STARTUP="raise")
    assert pool.wait() == 3
    assert "SIGUSR1" not in pool.text()


def test_what_is_nearly_a_setting_is_told_once(pool: Pool) -> None:
    text = "from app import Settings\nclass Slip(Settings):\n    job_timout = 5\n    helper = 1\n"
    (pool.directory / "slip.py").write_text(text)
    pool.start("--procs", "2", settings="slip.Slip").ready()
    (told,) = [line["message"] for line in pool.events("log", level="warning")]
    assert told == "slip.Slip: job_timout is no setting, and has no effect: did you mean job_timeout?"
    assert pool.stop() == 0


def test_why_a_pool_has_failed_is_its_last_line(pool: Pool) -> None:
    assert pool.start("--procs", "2", settings="app.Setings").wait() == 4
    line = pool.text().splitlines()[-1]
    assert line.startswith("arq-supervise: cannot import 'app.Setings'")
    assert "did you mean app.Settings?" in line
