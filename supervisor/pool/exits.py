"""What the end of a child means, and what follows from it for its slot."""

from dataclasses import replace

from ..exit_codes import ChildCode, ExitCause
from . import give_up
from .events import Exited, Fatal, Role, Trace
from .exit_records import error_of, exit_records, how_it_died
from .state import Child, Loss, Pool, Slot

NEEDS_RELEASE = frozenset(
    {ExitCause.CRASH, ExitCause.HUNG, ExitCause.INTERRUPTED, ExitCause.TEMPFAIL, ExitCause.BOOT_FAIL}
)
BY_CODE = {ChildCode.IMPORT: ExitCause.IMPORT_FAIL, ChildCode.BOOT: ExitCause.BOOT_FAIL}


def judge(child: Child, end: Exited) -> ExitCause:
    """What this end means. What we decided about a child before it ended outweighs its status."""
    if child.verdict is not None:
        return child.verdict
    if child.bye == "burst":
        return ExitCause.DONE
    if child.bye or (end.code == ChildCode.CLEAN and child.was_asked):
        # who has taken leave has dealt with all jobs, whatever its exit handlers do then
        return ExitCause.CLEAN
    if end.code == ChildCode.TEMPFAIL and child.fatal is not None:
        return ExitCause.TEMPFAIL
    if child.was_asked:
        return ExitCause.CLEAN if child.ready_s is None and end.signal is None else ExitCause.INTERRUPTED
    if child.ready_s is None and end.code in BY_CODE:
        return BY_CODE[ChildCode(end.code)]
    return ExitCause.CRASH


def settle(pool: Pool, child: Child, end: Exited, now: float) -> None:
    """A child was reaped: take it off the list, keep what it leaves behind, decide what comes next."""
    del pool.children[child.key]
    outcome = judge(child, end)
    slot = pool.slot_of(child)
    _keep(pool, child, outcome, end, now)
    pause_s = _pause_s(pool, slot, child, outcome, now)
    restarts = pool.limit.within(now) + (outcome.is_failure and child.role is Role.WORKER)
    before, pool.orders = pool.orders, []
    _conclude(pool, slot, child, outcome, end, pause_s, now)
    # the record tells the decision, and comes before what follows from it
    records = exit_records(pool, child, end, outcome, restarts, pause_s if slot else None, now)
    pool.orders = [*before, *records, *pool.orders]


def _conclude(
    pool: Pool, slot: Slot | None, child: Child, outcome: ExitCause, end: Exited, pause_s: float, now: float
) -> None:
    if pool.stopping is not None and child.role is Role.WORKER:
        pool.stopping.interrupted |= (
            outcome is ExitCause.INTERRUPTED or outcome.is_failure or child.needed_force
        )
    if slot is None:
        return
    slot.last_exit, slot.last_exit_s = (outcome.value if end.code == 0 else end.status), now
    slot.last_worker_id = child.worker_id
    if slot.successor is child:
        slot.successor = None
        return  # the rollout looks at it
    slot.child = None
    if pool.stopping is None:
        slot.not_before_s = now + pause_s
        slot.reason = outcome.value
        slot.pause_s = pause_s
        _follow(pool, slot, child, outcome, end, now)


def _keep(pool: Pool, child: Child, outcome: ExitCause, end: Exited, now: float) -> None:
    """Its counts stay in the sum; its jobs are to be given back unless it did that itself."""
    pool.exits[outcome.value] += 1
    if child.role is not Role.WORKER:
        return
    pool.past += replace(child.counts, ongoing=0)
    wanted = pool.options.release_lost_jobs and outcome in NEEDS_RELEASE
    report = child.report or pool.report
    if wanted and report is not None and report.redis:
        pool.lost[child.worker_id] = Loss(report, *why_lost(child, outcome, end), now)


def why_lost(child: Child, outcome: ExitCause, end: Exited) -> tuple[str, str]:
    """Whose fault it is that its jobs did not end: `died`, and of what, or `stopped`, and who shall not take them.

    Who is ended by force because it was told to stop and did not has not died of a job, whatever held it up.
    """
    was_ended = child.needed_force or end.signal is None
    if outcome is ExitCause.INTERRUPTED and was_ended:
        return "stopped", child.outgoing
    return "died", "hung" if outcome is ExitCause.HUNG else how_it_died(end)


def _pause_s(pool: Pool, slot: Slot | None, child: Child, outcome: ExitCause, now: float) -> float:
    """How long its slot stays empty."""
    if slot is None or outcome is ExitCause.DONE:
        return 0.0
    if child.has_proved_itself(pool.options, now):
        slot.backoff.forgive()
        return 0.0
    return slot.backoff.next_pause_s()


def _follow(pool: Pool, slot: Slot, child: Child, outcome: ExitCause, end: Exited, now: float) -> None:
    if child.role is not Role.WORKER:
        give_up.judge_helper(pool, child, now)
        return
    if child.fatal is not None and outcome.is_failure:
        _show_trace(pool, child.fatal)
    if outcome is ExitCause.DONE:
        slot.is_done = pool.was_ready = True
    elif outcome is ExitCause.TEMPFAIL:
        give_up.note_tempfail(pool, slot, child, now)
    elif pool.options.watch and (outcome.is_failure and child.ready_s is None):
        pool.waits_for_change = True
        pool.say("watch.waiting", "warning", error=error_of(child, end))
    elif outcome.is_failure and not pool.was_ready:
        give_up.count_boot_failure(pool, child, outcome, end, now)
    elif outcome.is_failure and not pool.options.watch:
        give_up.count_failure(pool, now)


def _show_trace(pool: Pool, fatal: Fatal) -> None:
    """Every different traceback once: eight children with one import error are one import error."""
    if fatal.trace and fatal.trace != pool.last_trace:
        pool.last_trace = fatal.trace
        pool.order(Trace(fatal.trace))
