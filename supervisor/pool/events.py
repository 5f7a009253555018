"""What can happen to a pool, and what can be ordered in answer. Values only: nothing here acts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .job_counts import JobCounts


class Role(StrEnum):
    """What a child is there for."""

    WORKER = "worker"
    #: Has the code of a worker, and waits for the day on which it is needed.
    SPARE = "spare"
    STEWARD = "steward"
    REDIS = "redis"
    WATCHER = "watcher"
    #: The dashboard.
    WEB = "web"


# those that import the user's code
WITH_CODE = (Role.WORKER, Role.SPARE)


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells when it is ready.

    `lock_s` is how long the locks of its jobs hold, `redis` the name of its Redis settings, "" when not handed over.
    """

    queue: str = ""
    health_key: str = ""
    completion_wait_s: float = 0.0
    longest_job_s: float = 300.0
    lock_s: float = 310.0
    max_jobs: int = 0
    functions: int = 0
    redis: str = ""


# --- what happens ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forked:
    """The Fork that was ordered under this key worked."""

    key: int
    pid: int
    worker_id: str


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """The system refused a new process."""

    key: int
    error: str
    errno: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A child that is to wait has imported the settings, and waits to be let in."""

    key: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A child says it works now."""

    key: int
    report: Report


@dataclass(frozen=True, slots=True)
class Beat:
    """A child's loop is alive, and this is what it has done so far."""

    key: int
    counts: JobCounts
    running: tuple[tuple[str, str], ...] = ()
    lag_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """A child's loop stands still, as a thread of it says, and these jobs were running when that began."""

    key: int
    counts: JobCounts
    running: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fatal:
    """A child is about to end and says why: `kind` is import, settings, server, boot, temp or taken."""

    key: int
    kind: str
    error: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Bye:
    """A child ends on purpose: `reason` is stop or burst."""

    key: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dumped:
    """A child was asked for its stacks and adds which jobs it is running."""

    key: int
    running: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Exited:
    """A child was reaped: exit code, or the name of the signal that ended it.

    `oom_kills` is how many processes the kernel has killed for memory since the last such end; None: unknown.
    """

    key: int
    code: int | None
    signal: str | None
    oom_kills: int | None = None
    signal_number: int = 0

    @property
    def status(self) -> str:
        """As it appears in the log."""
        return self.signal or f"exit:{self.code}"


@dataclass(frozen=True, slots=True)
class Released:
    """The steward has given a dead worker's jobs back; `count` may be more than the ids that are named.

    `blamed` is the job that has killed it, as far as that can be told; `is_trial`: one of its jobs was a suspect.
    """

    worker_id: str
    job_ids: tuple[str, ...]
    count: int | None = None
    blamed: str = ""
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseFailed:
    """The steward could not, and will try again."""

    worker_id: str
    error: str


@dataclass(frozen=True, slots=True)
class RedisState:
    """The steward can not reach Redis, or can again (`error` is "")."""

    error: str


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many jobs the queue holds, and for how long the oldest due one has been waiting."""

    depth: int
    oldest_due_s: float


@dataclass(frozen=True, slots=True)
class MetricsState:
    """The steward listens for scrapes, or can not (`error`)."""

    address: str
    error: str


@dataclass(frozen=True, slots=True)
class RssSample:
    """Resident memory of a worker."""

    key: int
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants the pool to end. `hard` begins with the second stage, or goes on with it."""

    cause: str
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """New code, please."""

    cause: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Watched files changed."""

    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """Another number of workers: `to`, or the present number and `by`."""

    to: int | None = None
    by: int = 0


@dataclass(frozen=True, slots=True)
class Quiet:
    """Take no new jobs."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Take jobs again."""


@dataclass(frozen=True, slots=True)
class Dump:
    """Show the stacks of all workers, or of one slot."""

    slot: int | None = None


@dataclass(frozen=True, slots=True)
class ParentStalled:
    """The parent itself stood still, `late_s` longer than it meant to wait: that time counts against nobody."""

    late_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline has passed."""


Event = (
    Forked
    | ForkFailed
    | Loaded
    | Ready
    | Beat
    | Held
    | Fatal
    | Bye
    | Dumped
    | Exited
    | Released
    | ReleaseFailed
    | RedisState
    | QueueState
    | MetricsState
    | RssSample
    | Stop
    | Reload
    | Changed
    | Scale
    | Quiet
    | Resume
    | Dump
    | ParentStalled
    | Tick
)


# --- what is ordered ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a child; answer with Forked or ForkFailed. `is_first` = nobody of this slot was ever ready.

    `waits`: it imports the settings, says Loaded, and goes on when it is let in. `source`: it is a copy of this child,
    which waits itself; 0 = it is a new one.
    """

    key: int
    role: Role
    slot: int
    generation: int
    count: int
    is_first: bool
    is_quiet: bool
    previous_worker_id: str
    cohort: str = ""
    waits: bool = False
    source: int = 0


@dataclass(frozen=True, slots=True)
class LetIn:
    """A child that waits becomes a worker. The other values are those of Fork, as they are now."""

    key: int
    count: int
    is_first: bool
    is_quiet: bool
    previous_worker_id: str
    cohort: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Send a signal to a child that is not reaped yet. `group` = to everything it started, too."""

    key: int
    signal: str
    group: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Tell a worker the name of its generation, and that of those who are about to go with it; "" = it stays."""

    key: int
    cohort: str
    outgoing: str


@dataclass(frozen=True, slots=True)
class Pick:
    """Tell a worker whether it may take jobs."""

    key: int
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class Say:
    """One record of the log."""

    level: str
    event: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """A traceback for the person who reads the log, unchanged."""

    text: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the service manager."""

    state: str


@dataclass(frozen=True, slots=True)
class ReloadDone:
    """A reload ended; those who wait for it want to know."""

    ok: bool
    error: str = ""
    trace: str = ""


Command = Fork | LetIn | Kill | Outgoing | Pick | Say | Trace | Notify | ReloadDone
