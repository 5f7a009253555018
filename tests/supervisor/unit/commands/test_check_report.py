"""From what was found out about a pool to a verdict."""

import json

import pytest

from supervisor.commands.check_report import NO_SUPERVISOR, Facts, SlotFacts, judge_check
from supervisor.pool.job_counts import JobCounts


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
