"""A child's journey: what each event does to a child in each phase.

phase       Fatal       Bye       Held       Dumped  Exited       RssSample  Loaded  Ready         Beat     deadline
BOOTING     note_fatal  note_bye  note_held  tell    record_exit  weigh      wait    became_ready  refresh  overdue
LOADED      note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  ignore        ignore   ignore
READY       note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  ignore        refresh  look
DRAINING    note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  remember      refresh  next_stage
CANCELLING  note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  remember      refresh  next_stage
HUNG        note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  remember      ignore   next_stage
ABORTING    note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  remember      ignore   next_stage
KILLED      note_fatal  note_bye  note_held  tell    record_exit  weigh      ignore  remember      ignore   next_stage
"""

from collections.abc import Callable
from typing import Any

from . import dev_restart, escalation, exits, hang, recycling, rollout, spares
from .events import Beat, Bye, Dumped, Event, Exited, Fatal, Held, Loaded, Ready, Role, RssSample, Tick
from .state import Child, Phase, Pool

STAGGER_S = 0.05
LONGEST_STAGGER_S = 2.0

Handler = Callable[[Pool, Child, Any, float], None]


def ignore(pool: Pool, child: Child, _event: Event, _now: float) -> None:
    """Expected, and without consequence."""


def remember(pool: Pool, child: Child, event: Ready, _now: float) -> None:
    """It was ready just when it was told to end: keep what it said for the release of its jobs."""
    child.report = event.report


def wait(pool: Pool, child: Child, _event: Loaded, now: float) -> None:
    """It has its code, and may wait as long as it has to."""
    if not child.loaded_s:
        child.phase, child.loaded_s, child.deadline_s = Phase.LOADED, now, None
        pool.say("child.loaded", slot=child.slot, pid=child.pid, gen=child.generation, role=child.role.value)


def became_ready(pool: Pool, child: Child, event: Ready, now: float) -> None:
    """It works now."""
    child.report = event.report
    _note_ready(pool, child, now)
    child.deadline_s = hang.next_look_s(pool, child)
    pool.say("child.ready", slot=child.slot, pid=child.pid, gen=child.generation, role=child.role.value,
                  boot_s=round(now - child.born_s, 3))  # fmt: skip
    slot = pool.slot_of(child)
    if slot is None:
        return
    slot.was_ready = True
    if child.role is not Role.WORKER:
        return
    spares.note_ready(slot, child)
    dev_restart.report_restart(pool, "")
    recycling.plan_retirement(pool, child, now)
    if slot.successor is child:
        rollout.take_over(pool, slot, child, now)
    else:
        rollout.prove(pool, child)


def _note_ready(pool: Pool, child: Child, now: float) -> None:
    """A worker is ready."""
    child.phase = Phase.READY
    child.ready_s = child.last_beat_s = now
    if child.role is not Role.WORKER:
        return
    pool.tempfail_since_s = None
    if child.report is not None and not child.report.redis and pool.report is None:
        pool.say(
            "lease.own",
            "warning",
            why="the steward can not use these Redis settings: workers keep their leases",
        )
    pool.report = child.report
    if not pool.was_ready:
        _let_others_follow(pool, now)


def _let_others_follow(pool: Pool, now: float) -> None:
    """The first worker is ready: the others may start, not all in the same instant."""
    pool.was_ready = True
    gap_s = min(STAGGER_S, LONGEST_STAGGER_S / len(pool.slots))
    for slot in pool.slots:
        if slot.child is None:
            slot.not_before_s = max(slot.not_before_s, now + gap_s * slot.index)


def refresh(pool: Pool, child: Child, event: Beat, now: float) -> None:
    """Its loop is alive."""
    child.last_beat_s = now
    child.counts, child.running, child.lag_ms = event.counts, event.running, event.lag_ms
    child.lags_ms.note(event.lag_ms, now)
    if child.phase is Phase.READY:
        if child.is_stalled:
            pool.say("child.recovered", slot=child.slot, pid=child.pid)
        child.is_stalled = False
        child.deadline_s = hang.next_look_s(pool, child)


def note_held(pool: Pool, child: Child, event: Held, _now: float) -> None:
    """Its loop stands still: what it ran then, for the last beat may be older."""
    child.counts, child.running = event.counts, event.running


def note_fatal(pool: Pool, child: Child, event: Fatal, _now: float) -> None:
    """Why it is about to end."""
    child.fatal = event


def note_bye(pool: Pool, child: Child, event: Bye, _now: float) -> None:
    """It ends on purpose."""
    child.bye = event.reason


def tell(pool: Pool, child: Child, event: Dumped, _now: float) -> None:
    """Its stacks are in the log; this is what it runs."""
    child.running = event.running
    jobs = [f"{job_id}:{name}" for job_id, name in event.running]
    pool.say("child.dump", "warning", slot=child.slot, pid=child.pid, jobs=jobs)


def weigh(pool: Pool, child: Child, event: RssSample, _now: float) -> None:
    """How much memory it uses."""
    recycling.note_rss(pool, child, event.rss_mb)


def record_exit(pool: Pool, child: Child, event: Exited, now: float) -> None:
    """It was reaped."""
    slot = pool.slot_of(child)
    was_successor = slot is not None and slot.successor is child
    exits.settle(pool, child, event, now)
    spares.note_end(pool, slot, child, now)
    if pool.waits_for_change and child.fatal is not None:
        dev_restart.report_restart(pool, child.fatal.error, child.fatal.trace)
    if slot is None or child.role is not Role.WORKER or pool.stopping is not None:
        return
    error = child.fatal.error if child.fatal else event.status
    if was_successor:
        rollout.successor_failed(pool, slot, child, error, slot.backoff.next_pause_s(), now)
    elif child.ready_s is None:
        rollout.newcomer_failed(pool, slot, child, error, now)


_Row = dict[type[Any], Handler]

_ANY: _Row = {
    Fatal: note_fatal,
    Bye: note_bye,
    Held: note_held,
    Dumped: tell,
    Exited: record_exit,
    RssSample: weigh,
}
_ENDING: _Row = _ANY | {Loaded: ignore, Ready: remember, Beat: refresh, Tick: escalation.next_stage}
_FORCED: _Row = _ANY | {Loaded: ignore, Ready: remember, Beat: ignore, Tick: escalation.next_stage}

TABLE: dict[Phase, _Row] = {
    Phase.BOOTING: _ANY | {Loaded: wait, Ready: became_ready, Beat: refresh, Tick: hang.overdue},
    Phase.LOADED: _ANY | {Loaded: ignore, Ready: ignore, Beat: ignore, Tick: ignore},
    Phase.READY: _ANY | {Loaded: ignore, Ready: ignore, Beat: refresh, Tick: hang.look},
    Phase.DRAINING: _ENDING,
    Phase.CANCELLING: _ENDING,
    Phase.HUNG: _FORCED,
    Phase.ABORTING: _FORCED,
    Phase.KILLED: _FORCED,
}


def happen(pool: Pool, child: Child | None, event: Event, now: float) -> None:
    """By the table. News of a child that is reaped already is no news."""
    if child is not None:
        TABLE[child.phase][type(event)](pool, child, event, now)
