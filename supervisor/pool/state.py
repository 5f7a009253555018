"""The state of a pool: its slots, its children, and where each child is on its way."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from ..exit_codes import ExitCause, ExitCode
from ..options import Options
from .events import Command, Fatal, Outgoing, QueueState, Report, Role, Say
from .job_counts import JobCounts
from .recent_maximum import RecentMaximum
from .restart_backoff import RestartBackoff
from .restart_limit import RestartLimit
from .stop_budget import grace_s

HELPER_BACKOFF_MAX_S = 5.0
HELPER_GRACE_S = 5.0
IDLE_PROOF_S = 60.0
# a beat that is so much overdue: the loop of this worker does not go on
BLOCKED_S = 2.0
# longer than any pause between two looks of those who only look now and then
LAG_SHOWN_S = 60.0

BEATING = (Role.WORKER, Role.STEWARD, Role.WEB)
# no generation has this number: workers that go while others of their generation stay
ONE_BY_ONE = 0


class Phase(IntEnum):
    """Where a child is, in the order in which it passes through; only the reaper takes it off the list."""

    BOOTING = 0
    #: It has the code, and waits to be let in.
    LOADED = 1
    READY = 2
    DRAINING = 3
    CANCELLING = 4
    HUNG = 5
    ABORTING = 6
    KILLED = 7

    @property
    def is_ending(self) -> bool:
        """Was this child told to end?"""
        return self >= Phase.DRAINING


@dataclass(slots=True)
class Child:
    """One process, from the order to fork it until it is reaped. Times are monotonic seconds."""

    key: int
    role: Role
    slot: int
    generation: int
    born_s: float
    deadline_s: float | None
    phase: Phase = Phase.BOOTING
    pid: int = 0
    worker_id: str = ""
    ready_s: float | None = None
    last_beat_s: float | None = None
    is_stalled: bool = False
    report: Report | None = None
    counts: JobCounts = field(default_factory=JobCounts)
    running: tuple[tuple[str, str], ...] = ()
    lag_ms: float = 0.0
    lags_ms: RecentMaximum = field(default_factory=lambda: RecentMaximum(LAG_SHOWN_S))
    rss_mb: float = 0.0
    rss_strikes: int = 0
    retire_s: float | None = None
    most_jobs: int = 0
    verdict: ExitCause | None = None
    fatal: Fatal | None = None
    bye: str = ""
    was_asked: bool = False
    needed_force: bool = False
    cohort: str = ""
    outgoing: str = ""
    loaded_s: float = 0.0
    was_let_in: bool = False
    # of one that has waited as a spare: its code is that of an earlier worker of its slot
    was_spare: bool = False
    spare: "Child | None" = None
    no_spare_before_s: float = 0.0
    spares_lost: int = 0

    def grace_s(self, options: Options) -> float:
        """Time between TERM and QUIT."""
        if self.role is not Role.WORKER:
            return HELPER_GRACE_S
        return grace_s((self.report or Report()).completion_wait_s, options.graceful_timeout_s)

    def has_proved_itself(self, options: Options, now: float) -> bool:
        """Was it up long enough, and of use, so that its past is forgiven?"""
        if self.ready_s is None or now - self.ready_s < options.stable_after_s:
            return False
        return self.counts.ended > 0 or now - self.ready_s >= IDLE_PROOF_S

    def beat_age_s(self, now: float) -> float | None:
        """Seconds since the last beat."""
        return None if self.last_beat_s is None else max(0.0, now - self.last_beat_s)

    def overdue_s(self, options: Options, now: float) -> float:
        """For how long a worker that should beat owes us one: by so much its loop is late, at least."""
        if self.phase is not Phase.READY or self.last_beat_s is None:
            return 0.0
        return max(0.0, now - self.last_beat_s - options.heartbeat_s)

    def is_blocked(self, options: Options, now: float) -> bool:
        """Does something keep its loop from going on?"""
        return self.overdue_s(options, now) >= BLOCKED_S


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that has left its jobs to be given back. `why` and `detail`: see `arq._redis.membership.release`."""

    report: Report
    why: str
    detail: str
    lost_s: float


@dataclass(slots=True)
class Slot:
    """A place for one child; its number stays when the child is replaced.

    With stop-first: `predecessor` has to be gone before anybody else is let in, `spare` has the code of a worker that
    was ready here and is no longer, `is_spares_turn` tells that this code is wanted back.
    """

    role: Role
    index: int
    backoff: RestartBackoff
    child: Child | None = None
    successor: Child | None = None
    predecessor: Child | None = None
    spare: Child | None = None
    is_spares_turn: bool = False
    failed_starts: int = 0
    not_before_s: float = 0.0
    reason: str = "boot"
    pause_s: float = 0.0
    was_ready: bool = False
    is_done: bool = False
    last_worker_id: str = ""
    last_exit: str = ""
    last_exit_s: float | None = None

    def is_first(self, generation: int) -> bool:
        """Would a child of this generation be the first of the whole pool?"""
        return self.index == 0 and not self.was_ready and generation == 1


@dataclass(slots=True)
class Stopping:
    """A stop under way. `code` is the exit code decided by the first cause."""

    code: ExitCode
    cause: str
    started_s: float
    asked_s: float
    stage: int = 1
    interrupted: bool = False


@dataclass(slots=True)
class Rollout:
    """Replacement of slots, one after the other, the new process first."""

    reason: str
    generation: int
    waiting: deque[int]
    started_s: float
    is_proved: bool
    tries: int = 0
    was_quiet: bool = False


@dataclass(frozen=True, slots=True)
class LastReload:
    """How the last reload ended, and when."""

    is_ok: bool
    ended_s: float
    error: str = ""


@dataclass(slots=True)
class Pool:
    """Everything the decisions need to know. `orders` collects what they decided."""

    options: Options
    jitter: Callable[[], float]
    limit: RestartLimit
    target: int
    incarnation: str = ""
    started_s: float = 0.0
    slots: list[Slot] = field(default_factory=list)
    helpers: dict[Role, Slot] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    lost: dict[str, Loss] = field(default_factory=dict)
    has_too_many_failures: bool = False
    trials: int = 0
    complete_at_trial: int = 0
    past: JobCounts = field(default_factory=JobCounts)
    report: Report | None = None
    next_key: int = 1
    generation: int = 1
    last_generation: int = 1
    was_ready: bool = False
    said_ready: bool = False
    boot_failures: int = 0
    last_trace: str = ""
    last_word: str = ""
    restarts_total: int = 0
    exits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, ExitCause), 0))
    tempfail_since_s: float | None = None
    extend_at_s: float = 0.0
    redis_error: str = ""
    queue_state: QueueState | None = None
    web_address: str = ""
    is_quiet: bool = False
    waits_for_change: bool = False
    restart_wanted: bool = False
    restart_asked: bool = False
    reload_wanted: bool = False
    recycle: deque[int] = field(default_factory=deque)
    rollout: Rollout | None = None
    last_reload: LastReload | None = None
    reloads_ok: int = 0
    reloads_failed: int = 0
    stopping: Stopping | None = None
    exit_code: ExitCode | None = None
    orders: list[Command] = field(default_factory=list)

    def order(self, *commands: Command) -> None:
        """Note what is to be done."""
        self.orders.extend(commands)

    def say(self, event: str, level: str = "info", **fields: object) -> None:
        """Note a record for the log."""
        self.orders.append(Say(level, event, fields))

    @property
    def is_code_in_doubt(self) -> bool:
        """Has the code on the disk failed? What is started from it would not be what works now."""
        return self.last_reload is not None and not self.last_reload.is_ok

    def cohort(self, generation: int) -> str:
        """A name for the workers of one generation, which a reload or a stop ends together."""
        return f"{self.incarnation}.{generation}.{self.reloads_failed}"

    def tell_outgoing(self, child: Child, cohort: str) -> None:
        """Have a worker know who goes together with it: what one of them gives back, the others leave alone."""
        if child.role is Role.WORKER and not child.phase.is_ending and child.outgoing != cohort:
            child.outgoing = cohort
            self.order(Outgoing(child.key, child.cohort, cohort))

    def tell_staying(self, child: Child) -> None:
        """It does not go after all, and may take what those who went have given back."""
        if child.outgoing:
            child.cohort = self.cohort(child.generation)
            self.tell_outgoing(child, "")

    def workers(self) -> Iterator[Child]:
        """Worker processes that are not reaped yet, whatever their phase."""
        return (child for child in self.children.values() if child.role is Role.WORKER)

    def ready_count(self) -> int:
        """Workers that take jobs."""
        return sum(child.phase is Phase.READY for child in self.workers())

    def working_count(self, now: float) -> int:
        """Those of them whose loop goes on."""
        ready = [child for child in self.workers() if child.phase is Phase.READY]
        return sum(not child.is_blocked(self.options, now) for child in ready)

    def draining_count(self) -> int:
        """Workers that were told to end and are still there."""
        return sum(child.phase.is_ending for child in self.workers())

    def all_slots(self) -> Iterator[Slot]:
        """The workers' slots, then the helpers'."""
        yield from self.slots
        yield from self.helpers.values()

    def slot_of(self, child: Child) -> Slot | None:
        """The slot that this child fills or is about to fill; None when it was replaced or retired."""
        for slot in self.all_slots():
            if slot.child is child or slot.successor is child:
                return slot
        return None

    def new_slot(self, role: Role, index: int, not_before_s: float = 0.0) -> Slot:
        """A vacant slot with its own record of failures."""
        base_s, max_s = self.options.backoff_base_s, self.options.backoff_max_s
        if role not in (Role.WORKER, Role.WEB):  # the pool needs it
            base_s, max_s = min(base_s, HELPER_BACKOFF_MAX_S), min(max_s, HELPER_BACKOFF_MAX_S)
        backoff = RestartBackoff(base_s, max_s, self.jitter)
        return Slot(role, index, backoff, not_before_s=not_before_s)
