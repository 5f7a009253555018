"""From what was found out about a pool to a verdict."""

import datetime
import json
from typing import Any

import pytest

from supervisor.commands.check_verdict import Facts, SlotFacts, judge_check
from supervisor.pool.job_counts import JobCounts
from supervisor.pool.status import PoolStatus, ReloadStatus, SlotStatus, SupervisorStatus, WorkerStatus

NOW = datetime.datetime(2026, 3, 1, 12, 0, 30, tzinfo=datetime.UTC)


def _facts(*fresh: bool, redis: bool = True) -> Facts:
    """Of a pool with a process in each slot that is fresh."""
    slots = tuple(
        SlotStatus(slot, worker=WorkerStatus(slot, 1, fresh=True) if is_fresh else None)
        for slot, is_fresh in enumerate(fresh)
    )
    facts = Facts("p", "h", redis_checked=True, redis_reachable=redis)
    boss = SupervisorStatus(procs=len(fresh), ready=sum(fresh))
    facts.take_status(PoolStatus("p", "h", supervisor=boss, workers=slots))
    return facts


def told(facts: Facts) -> dict[str, Any]:
    """The report as programs read it."""
    body: dict[str, Any] = json.loads(json.dumps(judge_check(facts, 1, strict=False).as_json(NOW)))
    return body


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
    assert (report.exit_code, report.status) == expected
    json.dumps(report.as_json(NOW))


def test_the_key_that_a_dead_process_left_is_not_taken_for_the_process() -> None:
    facts = _facts(True, False)
    facts.slots[1].take_key("arq:queue:health-check:p:h:1", JobCounts(complete=7))
    report = judge_check(facts, 1, strict=False)
    assert report.workers[1].jobs is None
    assert report.totals.jobs.complete == 0


def test_without_the_supervisor_the_key_speaks() -> None:
    slot = SlotFacts(0)
    slot.take_key("arq:queue:health-check:p:h:0", JobCounts(complete=7))
    facts = Facts("p", "h", slots={0: slot}, redis_checked=True, redis_reachable=True)
    report = judge_check(facts, 1, strict=False)
    assert report.workers[0].jobs == report.totals.jobs == JobCounts(complete=7)


def test_a_report_is_read_later_and_so_has_times_of_the_day() -> None:
    facts = Facts("p", "h")
    facts.take_status(
        PoolStatus("p", supervisor=SupervisorStatus(last_reload=ReloadStatus(ok=True, age_s=30.0)))
    )
    body = told(facts)
    assert body["time"] == "2026-03-01T12:00:30Z"
    assert body["supervisor"]["last_reload"] == {"ok": True, "at": "2026-03-01T12:00:00Z", "error": None}


def test_a_report_has_the_same_members_whoever_answers() -> None:
    bodies = [told(facts) for facts in (Facts("p", "h"), _facts(True))]
    assert bodies[0].keys() == bodies[1].keys()
    assert bodies[0]["supervisor"].keys() == bodies[1]["supervisor"].keys()
