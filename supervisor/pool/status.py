"""The state of a pool as others see it, and its JSON: what `--ctl status --json` prints. Values only.

`read_status` leaves out what it does not know and takes the default for what is missing: the supervisor that answers
may be of an earlier or of a later version.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from .job_counts import JobCounts

VERSION = 1


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What the steward has seen last; None where it has seen nothing yet."""

    depth: int | None = None
    oldest_due_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """How the last reload ended, and how long ago."""

    ok: bool
    age_s: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """The parent, and the pool as a whole. `lost` are dead workers whose jobs are still to be given back."""

    reachable: bool = True
    pid: int = 0
    state: str = ""
    generation: int = 0
    uptime_s: float = 0.0
    procs: int = 0
    ready: int = 0
    restarts_total: int = 0
    restarts_window: int = 0
    exits: dict[str, int] = field(default_factory=dict)
    reloads_ok: int = 0
    last_reload: ReloadStatus | None = None
    quiet: bool = False
    redis_error: str | None = None
    lost: list[str] = field(default_factory=list)
    rss_mb: float = 0.0
    cpu_s: float = 0.0

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {**_members(self), "last_reload": self.last_reload and asdict(self.last_reload)}


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker process. `blocked_s` is None while its loop goes on; `running` has `job id:function`."""

    slot: int
    pid: int
    worker_id: str = ""
    state: str = ""
    blocked_s: float | None = None
    fresh: bool = False
    age_s: float | None = None
    generation: int = 0
    uptime_s: float = 0.0
    rss_mb: float = 0.0
    cpu_s: float = 0.0
    lag_ms: float = 0.0
    lag_max_ms: float = 0.0
    jobs: JobCounts = field(default_factory=JobCounts)
    running: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """By name; the length of the queue stands beside the jobs."""
        body = _members(self)
        running = body.pop("running")
        return {**body, "jobs": self.jobs.as_json(), "queued": self.jobs.queued, "running": running}


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """A worker's place: the process in it, or without one (`worker` None) what it waits for."""

    slot: int
    last_exit: str | None = None
    last_exit_age_s: float | None = None
    restarts: int = 0
    worker: WorkerStatus | None = None
    state: str = ""
    retry_in_s: float | None = None

    @property
    def is_fresh(self) -> bool:
        """Is there a process in it that has given a sign of life lately?"""
        return self.worker is not None and self.worker.fresh

    def as_json(self) -> dict[str, object]:
        """The slot and its process in one."""
        about = {
            "slot": self.slot,
            "last_exit": self.last_exit,
            "last_exit_age_s": self.last_exit_age_s,
            "restarts": self.restarts,
        }
        if self.worker is not None:
            return {**about, **self.worker.as_json()}
        return {**about, "pid": None, "state": self.state, "fresh": False, "retry_in_s": self.retry_in_s}


@dataclass(frozen=True, slots=True)
class HelperStatus:
    """A process that is no worker; without a pid it is about to be started again."""

    role: str
    pid: int | None = None
    state: str = ""
    uptime_s: float = 0.0
    rss_mb: float = 0.0
    cpu_s: float = 0.0

    def as_json(self) -> dict[str, object]:
        """By name; of one that is not there, only that."""
        body = _members(self)
        return body if self.pid is not None else {name: body[name] for name in ("role", "pid", "state")}


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The whole pool. `past` sums up the workers that are gone."""

    pool: str
    host: str = ""
    queue: str | None = None
    queue_state: QueueStatus = field(default_factory=QueueStatus)
    health_key: str | None = None
    supervisor: SupervisorStatus = field(default_factory=SupervisorStatus)
    workers: list[SlotStatus] = field(default_factory=list)
    leaving: list[WorkerStatus] = field(default_factory=list)
    helpers: list[HelperStatus] = field(default_factory=list)
    past: JobCounts = field(default_factory=JobCounts)

    def processes(self) -> list[WorkerStatus]:
        """Worker processes: those in their slots, then those that are leaving."""
        return [*(slot.worker for slot in self.workers if slot.worker is not None), *self.leaving]

    def as_json(self) -> dict[str, object]:
        """By name, with the version of this form."""
        return {
            "v": VERSION,
            **_members(self),
            "queue_state": asdict(self.queue_state),
            "supervisor": self.supervisor.as_json(),
            "workers": [slot.as_json() for slot in self.workers],
            "leaving": [worker.as_json() for worker in self.leaving],
            "helpers": [helper.as_json() for helper in self.helpers],
            "past": asdict(self.past),
        }


def read_status(body: Any) -> PoolStatus:
    """What `PoolStatus.as_json` made.

    Raises:
        TypeError, KeyError, AttributeError: it is no status.
    """
    parts = {
        "queue_state": QueueStatus(**_known(QueueStatus, body.get("queue_state", {}))),
        "supervisor": _supervisor(body.get("supervisor", {})),
        "workers": [_slot(slot) for slot in body.get("workers", ())],
        "leaving": [_worker(worker) for worker in body.get("leaving", ())],
        "helpers": [HelperStatus(**_known(HelperStatus, helper)) for helper in body.get("helpers", ())],
        "past": JobCounts(**_known(JobCounts, body.get("past", {}))),
    }
    return PoolStatus(**{**_known(PoolStatus, body), **parts})


@dataclass(frozen=True, slots=True)
class Headcount:
    """What the probes need to know, and no more. `blocked` are workers whose loop does not go on."""

    state: str
    ready: int
    blocked: int
    procs: int
    quiet: bool


def _supervisor(body: dict[str, Any]) -> SupervisorStatus:
    last = body.get("last_reload")
    reload = ReloadStatus(**_known(ReloadStatus, last)) if last else None
    return SupervisorStatus(**{**_known(SupervisorStatus, body), "last_reload": reload})


def _worker(body: dict[str, Any]) -> WorkerStatus:
    jobs = JobCounts(**{**_known(JobCounts, body.get("jobs", {})), "queued": body.get("queued", 0)})
    return WorkerStatus(**{**_known(WorkerStatus, body), "jobs": jobs})


def _slot(body: dict[str, Any]) -> SlotStatus:
    worker = None if body["pid"] is None else _worker(body)
    return SlotStatus(**{**_known(SlotStatus, body), "worker": worker})


def _members(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


def _known(kind: Any, body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in kind.__slots__ if name in body}
