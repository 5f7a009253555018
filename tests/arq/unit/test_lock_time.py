"""The lock of a job holds longer than the job may take, and longer than the lease of its worker; told in one place."""

import ast

import pytest

from arq import Worker, func
from arq._lock_time import (
    EARLIER_S,
    MARGIN_S,
    SUPERVISED_LEASE_S,
    WITHOUT_LIMIT_S,
    lease_ms,
    lock_ms,
    lock_s,
    longest_job_s,
)
from supervisor.pool.events import Report
from tests.support.source import modules

Ctx = dict[str, object]


async def work(ctx: Ctx) -> None: ...


@pytest.mark.parametrize(
    ("limits_s", "longest_s"),
    [
        ([5.0], 5.0),
        ([5.0, 20.0], 20.0),
        ([None], WITHOUT_LIMIT_S),
        ([None, 400.0], 400.0),
        ([float("inf")], 300.0),
    ],
)
def test_the_longest_job(limits_s: list[float | None], longest_s: float) -> None:
    assert longest_job_s(limits_s) == longest_s
    assert lock_s(longest_s) == longest_s + MARGIN_S


@pytest.mark.parametrize("lock_time_s", [0.6, 15.0, 310.0, 86_400.0])
@pytest.mark.parametrize("supervised", [False, True])
def test_a_lease_ends_before_the_locks(lock_time_s: float, supervised: bool) -> None:
    """A client that finds a lock lapsed must find the worker overdue."""
    assert 0 < lease_ms(lock_time_s, supervised) < lock_ms(lock_time_s, supervised)


def test_under_a_supervisor_a_lease_holds_as_long_as_the_steward_renews_it_for() -> None:
    assert lease_ms(5.0, supervised=True) == SUPERVISED_LEASE_S * 1000
    assert lock_ms(5.0, supervised=True) == (SUPERVISED_LEASE_S + EARLIER_S) * 1000


def test_a_worker_says_what_its_locks_are_made_for() -> None:
    made = Worker([work, func(work, name="slow", timeout=700)], job_timeout=20)
    assert (made.longest_job_s, made.in_progress_timeout_s) == (700, 710)
    assert (Worker([work]).longest_job_s, Worker([work]).in_progress_timeout_s) == (300, 310)


def test_what_a_supervisor_takes_for_granted_is_what_workers_have_by_default() -> None:
    made = Worker([work])
    assert (Report().longest_job_s, Report().lock_s) == (made.longest_job_s, made.in_progress_timeout_s)


def test_nobody_adds_to_the_lock_time_or_takes_from_it() -> None:
    touched = {
        f"{module.name}:{node.lineno}"
        for module in modules("arq", "supervisor")
        if module.name != "arq._lock_time"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
        if any("in_progress_timeout_s" in ast.unparse(side) or "lock_s" in ast.unparse(side)
               for side in (node.left, node.right))
        if not any("in_progress_timeout_s / 3" in ast.unparse(side) for side in (node.left, node.right))
    }  # fmt: skip
    assert not touched
