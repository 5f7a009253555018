"""Replacing workers while the pool works, one after the other.

The new process comes first, or the old one leaves first: what differs then is in `spares`.
"""

from collections import deque

from . import resize, spares
from .escalation import escalate
from .events import Notify, ReloadDone, Trace
from .state import Child, LastReload, Phase, Pool, Rollout, Slot

MOST_TRIES = 3
RETRY_RECYCLE_S = 30.0


def request_reload(pool: Pool, cause: str) -> None:
    """Note that new code is wanted; requests that come while one is noted are the same request."""
    if not pool.reload_wanted:
        pool.say("reload.requested", cause=cause)
    pool.reload_wanted = True


def advance(pool: Pool, now: float, start: spares.Start) -> None:
    """Take the next step of the rollout under way, or begin one that is wanted."""
    begin_wanted(pool, now)
    rollout = pool.rollout
    if rollout is None:
        return
    busy = pool.draining_count() + sum(slot.successor is not None for slot in pool.slots)
    while rollout.waiting and busy < _most_at_once(pool, rollout):
        slot = _slot(pool, rollout.waiting.popleft())
        if slot is None or slot.is_done or _has_new_code(slot, rollout):
            continue
        if slot.child is None and rollout.is_proved:
            continue  # an empty slot takes the new code anyway when its pause is over
        if slot.child is None or slot.child.phase is not Phase.READY or slot.successor is not None:
            # it is on its way, or what an earlier rollout has begun with: bounded by the boot timeout
            rollout.waiting.append(slot.index)
            break
        if now < slot.not_before_s:
            rollout.waiting.appendleft(slot.index)
            break
        slot.reason, slot.pause_s = rollout.reason, 0.0
        slot.successor = _successor(pool, slot, slot.child, rollout, now, start)
        busy += 1
    if _finish(pool, rollout, now):
        advance(pool, now, start)


def _successor(
    pool: Pool, slot: Slot, old: Child, rollout: Rollout, now: float, start: spares.Start
) -> Child | None:
    """Who comes after this worker; nobody, when it has to be gone before anybody can be started, or has to stay."""
    if rollout.reason == "recycle" and spares.has_to_stay(pool, old):
        _put_off_recycling(pool, slot, "the code on the disk has failed, and no process has the old one", now)
        return None
    if pool.options.is_stop_first and spares.is_hopeless(old):
        spares.leave_first(pool, slot, old, now)
        return None
    spare = spares.successor(pool, slot, start) if rollout.reason == "recycle" else None
    return spare or start(slot, rollout.generation)


def _most_at_once(pool: Pool, rollout: Rollout) -> int:
    """How many workers may be replaced at the same time."""
    if _waits_for_slot(pool, rollout):
        return 0
    return max(1, pool.options.surge) if rollout.is_proved else 1


def _waits_for_slot(pool: Pool, rollout: Rollout) -> bool:
    """Stop-first is one slot at a time: is there one that nobody works in? It is filled, or ends the reload."""
    is_reload = rollout.reason == "reload"
    return is_reload and pool.options.is_stop_first and any(map(spares.is_open, pool.slots))


def _has_new_code(slot: Slot, rollout: Rollout) -> bool:
    """Was it empty when the reload began, and is filled again?"""
    child = slot.child
    is_new = rollout.reason == "reload" and child is not None and child.generation == rollout.generation
    return is_new and child is not None and child.phase is Phase.READY


def generation_of_newcomers(pool: Pool) -> int:
    """What an empty slot is filled with: during a reload, that is the new code already."""
    rollout = pool.rollout
    return rollout.generation if rollout is not None and rollout.reason == "reload" else pool.generation


def begin_wanted(pool: Pool, now: float) -> None:
    """Begin what is wanted, if nothing is under way."""
    if pool.rollout is None:
        _begin(pool, now)


def _begin(pool: Pool, now: float) -> None:
    if pool.reload_wanted and pool.was_ready:
        pool.reload_wanted = False
        was_quiet, pool.is_quiet = pool.is_quiet, False
        pool.recycle.clear()
        pool.last_generation += 1
        slots = deque(slot.index for slot in pool.slots if not slot.is_done)
        pool.rollout = Rollout(
            "reload", pool.last_generation, slots, now, is_proved=False, was_quiet=was_quiet
        )
        for slot in pool.slots:
            if slot.child is None:  # the old code has failed here: the new one need not wait
                slot.not_before_s, slot.reason, slot.pause_s = min(slot.not_before_s, now), "reload", 0.0
                slot.backoff.forgive()
                slot.is_spares_turn, slot.failed_starts = False, 0
        pool.say("reload.start", gen=pool.last_generation)
        pool.order(Notify(f"RELOADING=1\nMONOTONIC_USEC={int(now * 1_000_000)}"))
    elif pool.recycle:
        pool.rollout = Rollout(
            "recycle", pool.generation, deque([pool.recycle.popleft()]), now, is_proved=True
        )


def _slot(pool: Pool, index: int) -> Slot | None:
    return pool.slots[index] if index < len(pool.slots) else None


def _finish(pool: Pool, rollout: Rollout, now: float) -> bool:
    is_busy = any(slot.successor for slot in pool.slots) or pool.draining_count()
    is_busy = is_busy or _waits_for_slot(pool, rollout)
    if rollout.waiting or is_busy or pool.rollout is not rollout:
        return False
    pool.rollout = None
    if rollout.reason == "reload":
        pool.generation = rollout.generation
        pool.last_reload = LastReload(is_ok=True, ended_s=now)
        pool.reloads_ok += 1
        pool.say("reload.done", gen=rollout.generation, took_s=round(now - rollout.started_s, 3))
        pool.order(ReloadDone(ok=True), Notify("READY=1"))
    return True


def take_over(pool: Pool, slot: Slot, child: Child, now: float) -> None:
    """The new process is ready: the old one may go."""
    old, slot.child, slot.successor = slot.child, child, None
    if pool.rollout is not None:
        pool.rollout.tries = 0
    prove(pool, child)
    if old is not None:
        escalate(pool, old, Phase.DRAINING, now)


def prove(pool: Pool, child: Child) -> None:
    """A worker is ready: if it is the first with the new code, that code works."""
    rollout = pool.rollout
    if rollout is None or rollout.is_proved or child.generation != rollout.generation:
        return
    rollout.is_proved = True
    pool.generation = rollout.generation
    for other in pool.workers():
        if other.generation < rollout.generation:
            pool.tell_outgoing(other, other.cohort)
    pool.say("reload.canary_ok", gen=rollout.generation, slot=child.slot)


def newcomer_failed(pool: Pool, slot: Slot, child: Child, error: str, now: float) -> None:
    """A worker that had a slot to itself ended before it was ready: the verdict on code that is not proved yet."""
    rollout = pool.rollout
    slot.failed_starts += 1
    is_new = rollout is not None and child.generation == rollout.generation and rollout.reason == "reload"
    may_be_chance = rollout is not None and is_new and rollout.is_proved
    if may_be_chance and (not pool.options.is_stop_first or slot.failed_starts < MOST_TRIES):
        return
    spares.fail(slot, child, is_given_up=is_new, now=now)
    if rollout is not None and is_new:
        _give_up(pool, rollout, child, error, now)


def successor_failed(pool: Pool, slot: Slot, child: Child, error: str, pause_s: float, now: float) -> None:
    """The new process ended before it was ready: the old one goes on."""
    rollout = pool.rollout
    if slot.child is None and pool.options.is_stop_first:  # the old one has left, and does not go on
        slot.not_before_s = now + pause_s
        newcomer_failed(pool, slot, child, error, now)
        rollout = rollout if rollout is not None and rollout.reason == "recycle" else None
    if rollout is None:
        return
    rollout.tries += 1
    if rollout.reason == "recycle":
        _put_off_recycling(pool, slot, error, now)
    elif rollout.is_proved and rollout.tries < MOST_TRIES:
        slot.not_before_s = now + pause_s
        rollout.waiting.appendleft(slot.index)
    else:
        _give_up(pool, rollout, child, error, now)


def _put_off_recycling(pool: Pool, slot: Slot, error: str, now: float) -> None:
    pool.rollout = None
    if slot.child is not None:
        slot.child.retire_s = now + RETRY_RECYCLE_S
        pool.tell_staying(slot.child)
    pool.say("recycle.failed", "warning", slot=slot.index, error=error)


def _give_up(pool: Pool, rollout: Rollout, child: Child, error: str, now: float) -> None:
    pool.rollout = None
    pool.reloads_failed += 1
    for other in pool.workers():
        pool.tell_staying(other)
    pool.last_reload = LastReload(is_ok=False, ended_s=now, error=error)
    if pool.options.is_stop_first:
        for slot in pool.slots:
            _call_off(pool, slot, now)
    if rollout.was_quiet:  # nothing is as it was wanted to be: the old code stays, and stays quiet
        resize.quieten(pool)
    trace = child.fatal.trace if child.fatal else ""
    pool.say("reload.failed", "error", gen=rollout.generation, error=error)
    if trace and trace != pool.last_trace:
        pool.order(Trace(trace))
    pool.last_trace = ""  # the next reload of the same code shows it again
    pool.order(ReloadDone(ok=False, error=error, trace=trace), Notify("READY=1"))


def _call_off(pool: Pool, slot: Slot, now: float) -> None:
    """The successor that is about to start in this slot has code that has failed elsewhere."""
    child = slot.successor
    if child is None:
        return
    slot.successor = None
    if slot.child is None:
        spares.fail(slot, child, is_given_up=True, now=now)
        slot.predecessor = slot.predecessor or (child if child.was_let_in else None)
    escalate(pool, child, Phase.DRAINING, now)
