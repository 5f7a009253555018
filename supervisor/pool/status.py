"""The state of a pool as others see it, and its JSON: what `--ctl status --json` prints. Values only,
as named tuples: a probe makes these classes each time it is started, and dataclasses take ten times as long to make.

`read_status` leaves out what it does not know and takes the default for what is missing: the supervisor that answers
may be of an earlier or of a later version.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from .job_counts import JobCounts

VERSION = 1


class QueueStatus(NamedTuple):
    """What the steward has seen last; None where it has seen nothing yet."""

    depth: int | None = None
    oldest_due_s: float | None = None


class ReloadStatus(NamedTuple):
    """How the last reload ended, and how long ago."""

    ok: bool
    age_s: float
    error: str | None = None


class SupervisorStatus(NamedTuple):
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
    exits: Mapping[str, int] = {}
    reloads_ok: int = 0
    last_reload: ReloadStatus | None = None
    quiet: bool = False
    redis_error: str | None = None
    lost: tuple[str, ...] = ()
    rss_mb: float = 0.0
    cpu_s: float = 0.0

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {**self._asdict(), "last_reload": self.last_reload and self.last_reload._asdict()}


class WorkerStatus(NamedTuple):
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
    jobs: JobCounts = JobCounts()
    running: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """By name; the length of the queue stands beside the jobs."""
        body = self._asdict()
        running = body.pop("running")
        return {**body, "jobs": self.jobs.as_json(), "queued": self.jobs.queued, "running": running}


class SlotStatus(NamedTuple):
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


class HelperStatus(NamedTuple):
    """A process that is no worker; without a pid it is about to be started again. `address`: where the dashboard is."""

    role: str
    pid: int | None = None
    state: str = ""
    uptime_s: float = 0.0
    rss_mb: float = 0.0
    cpu_s: float = 0.0
    address: str | None = None

    def as_json(self) -> dict[str, object]:
        """By name; of one that is not there, only that."""
        body = self._asdict()
        if self.address is None:
            del body["address"]
        if self.pid is None:
            return {name: body[name] for name in ("role", "pid", "state", "address") if name in body}
        return body


class PoolStatus(NamedTuple):
    """The whole pool. `past` sums up the workers that are gone."""

    pool: str
    host: str = ""
    queue: str | None = None
    queue_state: QueueStatus = QueueStatus()
    health_key: str | None = None
    supervisor: SupervisorStatus = SupervisorStatus()
    workers: tuple[SlotStatus, ...] = ()
    leaving: tuple[WorkerStatus, ...] = ()
    helpers: tuple[HelperStatus, ...] = ()
    past: JobCounts = JobCounts()

    def processes(self) -> list[WorkerStatus]:
        """Worker processes: those in their slots, then those that are leaving."""
        return [*(slot.worker for slot in self.workers if slot.worker is not None), *self.leaving]

    def as_json(self) -> dict[str, object]:
        """By name, with the version of this form."""
        return {
            "v": VERSION,
            **self._asdict(),
            "queue_state": self.queue_state._asdict(),
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
        "workers": tuple(_slot(slot) for slot in body.get("workers", ())),
        "leaving": tuple(_worker(worker) for worker in body.get("leaving", ())),
        "helpers": tuple(HelperStatus(**_known(HelperStatus, one)) for one in body.get("helpers", ())),
        "past": _counts(body.get("past", {})),
    }
    return PoolStatus(**{**_known(PoolStatus, body), **parts})


class Headcount(NamedTuple):
    """What the probes need to know, and no more. `blocked` are workers whose loop does not go on."""

    state: str
    ready: int
    blocked: int
    procs: int
    quiet: bool


def _supervisor(body: dict[str, Any]) -> SupervisorStatus:
    last = body.get("last_reload")
    reload = ReloadStatus(**_known(ReloadStatus, last)) if last else None
    parts = {"last_reload": reload, "lost": tuple(body.get("lost", ()))}
    return SupervisorStatus(**{**_known(SupervisorStatus, body), **parts})


def _worker(body: dict[str, Any]) -> WorkerStatus:
    parts = {
        "jobs": _counts({**body.get("jobs", {}), "queued": body.get("queued", 0)}),
        "running": tuple(body.get("running", ())),
    }
    return WorkerStatus(**{**_known(WorkerStatus, body), **parts})


def _slot(body: dict[str, Any]) -> SlotStatus:
    worker = None if body["pid"] is None else _worker(body)
    return SlotStatus(**{**_known(SlotStatus, body), "worker": worker})


def _counts(body: dict[str, Any]) -> JobCounts:
    return JobCounts(**{one.name: body[one.name] for one in fields(JobCounts) if one.name in body})


def _known(kind: type[NamedTuple], body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in kind._fields if name in body}
