"""Another number of workers, or none that take jobs."""

from . import spares
from .escalation import escalate
from .events import Pick, Role
from .state import ONE_BY_ONE, Phase, Pool


def scale(pool: Pool, target: int, now: float) -> None:
    """Have this many workers: new slots at the end, or the last slots retire."""
    if target == pool.target:
        return
    pool.say("pool.scale", old=pool.target, new=target)
    pool.target = target
    if pool.options.max_restarts is None:
        pool.limit.most = 5 * target
    for slot in pool.slots[target:]:
        for child in (slot.child, slot.successor):
            if child is not None:
                pool.tell_outgoing(child, pool.cohort(ONE_BY_ONE))
                escalate(pool, child, Phase.DRAINING, now)
    del pool.slots[target:]
    for index in range(len(pool.slots), target):
        slot = pool.new_slot(Role.WORKER, index, now)
        slot.reason = "scale"
        spares.follow(pool, slot)
        pool.slots.append(slot)


def quieten(pool: Pool) -> None:
    """No worker takes new jobs from now on, until it is told to, or until a reload."""
    pool.is_quiet = True
    pool.say("pool.quiet")
    _let_pick(pool, is_allowed=False)


def resume(pool: Pool) -> None:
    """Every worker takes jobs again."""
    pool.is_quiet = False
    pool.say("pool.resume")
    _let_pick(pool, is_allowed=True)


def _let_pick(pool: Pool, is_allowed: bool) -> None:
    for child in pool.workers():
        if child.phase <= Phase.READY:
            pool.order(Pick(child.key, is_allowed))
