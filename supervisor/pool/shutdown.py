"""The end of a pool: workers first, then the steward (it has their jobs to give back)
and the dashboard, then the embedded Redis."""

import math

from ..exit_codes import ExitCode
from .escalation import escalate
from .events import Notify, Role, Trace
from .state import Child, Phase, Pool, Stopping
from .stop_budget import grace_s, stop_budget_s

SAME_REQUEST_S = 0.5
EXTEND_EVERY_S = 5.0
EXTEND_BY_S = 15
# the dashboard shows what still runs
ORDER = ((Role.WORKER, Role.SPARE, Role.WATCHER), (Role.STEWARD, Role.WEB), (Role.REDIS,))


def begin_stop(pool: Pool, code: ExitCode, cause: str, now: float, stage: int = 1) -> None:
    """Start the end. The first cause wins: a later one changes neither code nor cause."""
    if pool.stopping is not None:
        return
    pool.stopping = Stopping(code, cause, now, now)
    pool.rollout = None
    has_jobs = stage == 1 and code is ExitCode.OK and pool.ready_count() > 0
    again = "a second Ctrl-C or TERM cancels running jobs" if has_jobs else None
    pool.say("stop.start", cause=cause, budget_s=budget_s(pool), code=int(code), again=again)
    pool.order(Notify("STOPPING=1"))
    pool.extend_at_s = now  # that has started the manager's own clock, which knows nothing of running jobs
    for child in _of(pool, ORDER[0]):
        pool.tell_outgoing(child, child.cohort)
        escalate(pool, child, Phase.DRAINING, now)
    for _ in range(1, stage):
        _raise_stage(pool, now)


def ask_again(pool: Pool, hard: bool, now: float) -> None:
    """Another request while stopping: the same one when it follows at once, else the next stage."""
    stopping = pool.stopping
    assert stopping is not None
    is_same = now - stopping.asked_s < SAME_REQUEST_S
    stopping.asked_s = now
    if (hard and stopping.stage == 1) or (not is_same and stopping.stage < 3):
        _raise_stage(pool, now)


def _raise_stage(pool: Pool, now: float) -> None:
    assert pool.stopping is not None
    pool.stopping.stage += 1
    pool.say("stop.stage", "warning", n=pool.stopping.stage)
    phase = Phase.CANCELLING if pool.stopping.stage == 2 else Phase.KILLED
    for child in _of(pool, ORDER[0]):
        escalate(pool, child, phase, now)


def advance_stop(pool: Pool, now: float) -> None:
    """Go on with whoever is next; when nobody is left, the pool is over."""
    assert pool.stopping is not None
    for roles in ORDER:
        if children := _of(pool, roles):
            for child in children:
                escalate(pool, child, Phase.DRAINING, now)
            return
    if pool.exit_code is None:
        pool.exit_code = _final_code(pool)
        took_s = round(now - pool.stopping.started_s, 3)
        pool.say("stop.done", code=int(pool.exit_code), took_s=took_s)
        if pool.last_word:
            pool.order(Trace(pool.last_word))


def budget_s(pool: Pool) -> float:
    """The longest that a stop takes from now."""
    options = pool.options
    of_none_s = grace_s(0.0, options.graceful_timeout_s)
    longest_s = max((child.grace_s(options) for child in pool.workers()), default=of_none_s)
    return round(stop_budget_s(longest_s, options.kill_timeout_s), 1)


def warn_about_limits(pool: Pool) -> None:
    """Limits that do not fit together, said once, while there is time to change them."""
    options = pool.options
    budget = budget_s(pool)
    if options.stop_hint_s is not None and options.stop_hint_s < budget:
        pool.say("stop.too_short", "warning", hint_s=options.stop_hint_s, stop_budget_s=budget,
                 why="the service manager would kill workers that still drain: raise TimeoutStopSec")  # fmt: skip
    lock_s = max((child.report.lock_s for child in pool.workers() if child.report), default=math.inf)
    if options.hang_timeout_s is not None and options.hang_timeout_s > lock_s:
        pool.say("hang.too_late", "warning", hang_timeout_s=options.hang_timeout_s, lock_s=lock_s,
                 why="the locks of a hung worker's jobs lapse before it is ended: lower --hang-timeout")  # fmt: skip


def keep_patience(pool: Pool, now: float) -> None:
    """Ask the service manager for more time while there is a good reason to take it."""
    if needs_patience(pool) and now >= pool.extend_at_s and pool.exit_code is None:
        pool.extend_at_s = now + EXTEND_EVERY_S
        pool.order(Notify(f"EXTEND_TIMEOUT_USEC={EXTEND_BY_S * 1_000_000}"))


def needs_patience(pool: Pool) -> bool:
    """Does something take longer than the manager's own limits know: a drain, a reload, Redis away at the start?"""
    is_reloading = pool.rollout is not None and pool.rollout.reason == "reload"
    is_waiting = pool.tempfail_since_s is not None and not pool.said_ready
    return pool.stopping is not None or is_reloading or is_waiting


def _final_code(pool: Pool) -> ExitCode:
    assert pool.stopping is not None
    if pool.stopping.code is ExitCode.OK and pool.stopping.interrupted:
        return ExitCode.INTERRUPTED
    return pool.stopping.code


def _of(pool: Pool, roles: tuple[Role, ...]) -> list[Child]:
    return [child for child in pool.children.values() if child.role in roles]
