"""Replacing workers stop-first: the old one leaves, then the new one starts, and the old code is not lost with it.

A worker that has left can not be asked to stay, and its code may not be on the disk any more. So each worker has a
spare: a process with the same code, imported before the worker takes its first job, that waits before the start hook
and holds nothing of what the hook loads. The successor imports its code while the old one still works, and then its
own spare does: code that can not be imported changes nothing. Then the old one leaves, the successor is let in, and
when it fails, the spare of the old one takes the place. Before it does so it leaves a copy of itself, the next spare.

Code that can not be imported a second time (its import takes what there is once) has no spare: then the old worker
leaves before anything of the new one starts, and there is nothing to go back to.
"""

import math
from collections.abc import Iterator
from typing import Protocol

from .escalation import escalate
from .events import WITH_CODE, LetIn, Role
from .state import Child, Phase, Pool, Slot

RETRY_S = 1.0
# so many in a row, none of which has lasted
MOST_LOST = 5
LASTING_S = 60.0


class Start(Protocol):
    """Orders a child for a slot; `source` is the key of the child whose copy it is."""

    def __call__(self, slot: Slot, generation: int, *, role: Role = ..., source: int = ...) -> Child: ...


def advance(pool: Pool, now: float, start: Start) -> None:
    """Take what steps can be taken; only where workers are replaced stop-first."""
    if not pool.options.is_stop_first:
        return
    for slot in pool.slots:
        newcomer = slot.successor or slot.child
        if newcomer is not None:
            _provide(pool, slot, newcomer, now, start)
            _make_way(pool, slot, now)
            _let_in(pool, slot, newcomer, now)
    _dismiss(pool, now)


def deadlines(pool: Pool) -> Iterator[float]:
    """When a worker without a spare may have one."""
    if pool.options.is_stop_first and not pool.is_code_in_doubt:
        yield from (slot.child.no_spare_before_s for slot in pool.slots if slot.child is not None)


def is_open(slot: Slot) -> bool:
    """Is nobody at work in this slot who should be?"""
    return not slot.is_done and (slot.child is None or slot.child.phase is not Phase.READY)


def is_taken(pool: Pool, slot: Slot) -> bool:
    """Is somebody still in the way of a new worker for this empty slot, or on the way already?"""
    return pool.options.is_stop_first and (slot.predecessor or slot.successor) is not None


def follow(pool: Pool, slot: Slot) -> None:
    """A new slot: whoever had its number before, and still drains, has to be gone first."""
    if pool.options.is_stop_first:
        left = (child for child in pool.workers() if child.slot == slot.index and child.was_let_in)
        slot.predecessor = next(left, None)


def is_to_wait(pool: Pool, child: Child) -> bool:
    """Does this child wait when it has its code?"""
    return pool.options.is_stop_first and child.role in WITH_CODE


def starting_count(pool: Pool) -> int:
    """Processes that import the user's code now, or start with it."""
    return sum(child.phase is Phase.BOOTING and child.role in WITH_CODE for child in pool.children.values())


# --- steps ----------------------------------------------------------------------------------------------------


def _provide(pool: Pool, slot: Slot, child: Child, now: float, start: Start) -> None:
    """When it has its code, its spare gets the same; not at the same time, for that may be too much for the machine."""
    is_settled = child.phase is Phase.READY and not pool.is_code_in_doubt
    may_have_one = child.spare is None and not child.was_spare and now >= child.no_spare_before_s
    if may_have_one and (is_settled or child.phase is Phase.LOADED):
        child.spare = start(slot, child.generation, role=Role.SPARE)


def _make_way(pool: Pool, slot: Slot, now: float) -> None:
    """The successor has its code: now the old one may leave."""
    old, new = slot.child, slot.successor
    if old is None or new is None or old.phase is not Phase.READY or new.phase is not Phase.LOADED:
        return
    if not _is_provided(new) or not _is_provided(old):
        return
    leave_first(pool, slot, old, now)


def is_hopeless(child: Child) -> bool:
    """Is it clear that there can be no spare with its code?"""
    return child.spare is None and child.no_spare_before_s == math.inf


def leave_first(pool: Pool, slot: Slot, old: Child, now: float) -> None:
    """Have the worker of this slot leave, before another one starts."""
    if old.spare is None:
        why = "there is no process with the old code, which can not be taken back here"
        pool.say("spare.missing", "warning", slot=slot.index, why=why)
    slot.child, slot.predecessor, slot.spare = None, old, old.spare
    slot.is_spares_turn, slot.failed_starts = False, 0
    pool.tell_outgoing(old, old.outgoing or old.cohort)
    escalate(pool, old, Phase.DRAINING, now)


def _let_in(pool: Pool, slot: Slot, child: Child, now: float) -> None:
    """Nobody is in its way: it runs its start hook. The time that it has waited is nobody's fault."""
    is_free = slot.predecessor is None and slot.child in (None, child)
    is_safe = slot.spare is not None or _is_provided(child)
    if child.phase is not Phase.LOADED or not is_free or not is_safe:
        return
    child.phase, child.was_let_in = Phase.BOOTING, True
    child.born_s += now - child.loaded_s
    child.deadline_s = child.born_s + pool.options.boot_timeout_s
    child.cohort = pool.cohort(child.generation)
    pool.order(
        LetIn(
            key=child.key,
            count=pool.target,
            is_first=slot.is_first(child.generation),
            is_quiet=pool.is_quiet,
            previous_worker_id=slot.last_worker_id,
            cohort=child.cohort,
        )
    )


def _is_provided(child: Child) -> bool:
    """Has it a spare that has its code, or no hope of one for now?"""
    return child.spare is None or child.spare.phase is not Phase.BOOTING


def _dismiss(pool: Pool, now: float) -> None:
    """Spares whose code nobody wants back."""
    kept = {slot.spare.key for slot in pool.slots if slot.spare is not None}
    for slot in pool.slots:
        kept |= {
            one.spare.key for one in (slot.child, slot.successor) if one is not None and one.spare is not None
        }
    for child in list(pool.children.values()):
        if child.role is Role.SPARE and child.key not in kept:
            escalate(pool, child, Phase.DRAINING, now)


# --- the old code comes back ----------------------------------------------------------------------------------


def take(pool: Pool, slot: Slot, start: Start) -> Child | None:
    """The spare whose turn it is in this empty slot, as a worker that is about to start; None: it is nobody's."""
    spare = slot.spare
    if not slot.is_spares_turn or spare is None or spare.phase.is_ending:
        return None
    slot.spare = _use(pool, slot, spare, start)
    slot.reason, slot.pause_s = "old code", 0.0
    return spare


def successor(pool: Pool, slot: Slot, start: Start) -> Child | None:
    """While the code on the disk is in doubt, a worker that has served its time is followed by its own spare."""
    old = slot.child
    if not pool.options.is_stop_first or not pool.is_code_in_doubt or old is None or old.spare is None:
        return None
    spare, old.spare = old.spare, _use(pool, slot, old.spare, start)
    return spare


def has_to_stay(pool: Pool, old: Child) -> bool:
    """Would there be nobody who can follow this worker but code that has failed?"""
    has_spare = old.spare is not None and old.spare.phase is Phase.LOADED
    return pool.options.is_stop_first and pool.is_code_in_doubt and not has_spare


def _use(pool: Pool, slot: Slot, spare: Child, start: Start) -> Child | None:
    """Make it a worker; returns the copy that it leaves behind, if it can make one."""
    is_loaded = spare.phase is Phase.LOADED
    copy = start(slot, spare.generation, role=Role.SPARE, source=spare.key) if is_loaded else None
    spare.role, spare.was_spare = Role.WORKER, True
    pool.say("spare.used", "warning", slot=slot.index, pid=spare.pid, gen=spare.generation)
    return copy


def fail(slot: Slot, child: Child, *, is_given_up: bool, now: float) -> None:
    """A worker ended before it was ready: it is the turn of the spare's code, or else of what is on the disk.

    That Redis is away is no fault of the code, unless that is to be given up anyway.
    """
    if child.fatal is not None and child.fatal.kind == "temp" and not is_given_up:
        return
    slot.is_spares_turn = not child.was_spare
    if slot.is_spares_turn and slot.spare is not None:
        slot.not_before_s = min(slot.not_before_s, now)


def note_ready(slot: Slot, child: Child) -> None:
    """It works: the spare of whoever was here before is of no use, unless it is this one's copy."""
    if child.was_spare:
        child.spare = slot.spare
    slot.spare, slot.is_spares_turn, slot.failed_starts = None, False, 0


def note_end(pool: Pool, slot: Slot | None, child: Child, now: float) -> None:
    """A child was reaped; `slot` is the one that it filled."""
    if not pool.options.is_stop_first:
        return
    for other in pool.slots:
        if other.predecessor is child:
            other.predecessor = None
        if other.spare is child:
            other.spare = None
    for worker in pool.children.values():
        if worker.spare is child:
            _lose(pool, worker, child, now)
    if slot is not None and slot.child is None and child.ready_s is not None:
        slot.spare, slot.is_spares_turn = child.spare, pool.is_code_in_doubt


def _lose(pool: Pool, worker: Child, spare: Child, now: float) -> None:
    """This worker has no spare any more: it gets another one later, if there is hope."""
    has_lasted = spare.loaded_s and now - spare.loaded_s >= LASTING_S
    worker.spares_lost = 1 if has_lasted else worker.spares_lost + 1
    was_refused = not spare.pid  # by the system, which has nothing to do with the code
    is_bad = not was_refused and (not spare.loaded_s or worker.spares_lost > MOST_LOST)
    pause_s = math.inf if is_bad else RETRY_S * 2 ** min(worker.spares_lost - 1, MOST_LOST)
    worker.spare, worker.no_spare_before_s = None, now + pause_s
    if is_bad:
        error = spare.fatal.error if spare.fatal else ""
        why = "the code could not be imported once more: what there is once belongs into on_startup"
        pool.say("spare.failed", "warning", slot=worker.slot, error=error, why=why)
