"""What the parent and its children say to each other: a dataclass for each kind of message.

Members that are missing have defaults, and kinds that nobody knows are passed over: in an interpreter of its own
(`--start-method exec`) a child may be of a later version than its parent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Self

from ..pool.events import (
    Beat,
    Bye,
    Changed,
    Dumped,
    Event,
    Fatal,
    Held,
    Loaded,
    MetricsState,
    QueueState,
    Ready,
    RedisState,
    Released,
    ReleaseFailed,
    Report,
)
from ..pool.job_counts import JobCounts
from ..pool.status import Headcount, PoolStatus, read_status
from .codec import Message, by_kind, flag, named, number, text, whole
from .frames import Frame
from .job_stats import JobRow, read_rows
from .roster import Entry, Roster

MOST_IDS = 100
MOST_JOBS = 16
LONGEST_NAME = 100
#: What a time without a limit is told as: a frame holds finite numbers only. Thirty years.
NO_LIMIT_S = 1e9

#: What is assumed of a worker that does not say it.
SILENT = Report()

Running = tuple[tuple[str, str], ...]


def _rows(frame: Frame, name: str) -> list[JobRow]:
    return read_rows(frame.raw(name))


class FromChild(Message):
    """A message of a child."""

    __slots__ = ()

    def event(self, key: int) -> Event | None:
        """What it is to the machine when the child with this key says it; None: not the machine's business."""
        raise NotImplementedError


# --- from a child -------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False, repr=False)
class LoadedMessage(FromChild):
    """A child that is to wait has imported the settings."""

    KIND = "loaded"

    def event(self, key: int) -> Event:
        return Loaded(key)


@dataclass(slots=True, eq=False, repr=False)
class ReadyMessage(FromChild):
    """A child works now.

    `redis_text` are a worker's Redis settings, `servers_text` those of all servers of its queue where there are
    several: secrets both.
    """

    KIND = "ready"
    report: Report = field(default_factory=Report)
    redis_text: str = ""
    servers_text: str = ""

    def members(self) -> Mapping[str, object]:
        report = self.report
        return {
            "completion_wait_s": min(report.completion_wait_s, NO_LIMIT_S),
            "longest_job_s": report.longest_job_s,
            "lock_s": report.lock_s,
            "queue": report.queue,
            "health_key": report.health_key,
            "functions": report.functions,
            "max_jobs": report.max_jobs,
            "redis": report.redis,
            "redis_text": self.redis_text,
            "servers_text": self.servers_text,
        }

    @classmethod
    def read(cls, frame: Frame) -> Self:
        report = Report(
            queue=frame.text("queue"),
            health_key=frame.text("health_key"),
            completion_wait_s=max(0.0, frame.number("completion_wait_s")),
            longest_job_s=max(0.0, frame.number("longest_job_s", SILENT.longest_job_s)),
            lock_s=max(0.0, frame.number("lock_s", SILENT.lock_s)),
            max_jobs=int(frame.number("max_jobs")),
            functions=int(frame.number("functions")),
            redis=frame.text("redis"),
        )
        return cls(report, frame.text("redis_text"), frame.text("servers_text"))

    def event(self, key: int) -> Event:
        return Ready(key, self.report)


@dataclass(slots=True, eq=False, repr=False)
class BeatMessage(FromChild):
    """A child's loop is alive, `lag_ms` late; a worker adds its counts and what it runs."""

    KIND = "beat"
    counts: JobCounts = field(default_factory=JobCounts)
    running: Running = ()
    lag_ms: float = 0.0

    def members(self) -> Mapping[str, object]:
        return {"lag_ms": round(self.lag_ms, 1), **_work(self.counts, self.running)}

    @classmethod
    def read(cls, frame: Frame) -> Self:
        return cls(_counts(frame), frame.pairs("jobs"), frame.number("lag_ms"))

    def event(self, key: int) -> Event:
        return Beat(key, self.counts, self.running, self.lag_ms)


@dataclass(slots=True, eq=False, repr=False)
class HeldMessage(FromChild):
    """A worker's loop stands still, says another thread of it, and this is what it ran."""

    KIND = "held"
    counts: JobCounts
    running: Running

    def members(self) -> Mapping[str, object]:
        return _work(self.counts, self.running)

    @classmethod
    def read(cls, frame: Frame) -> Self:
        return cls(_counts(frame), frame.pairs("jobs"))

    def event(self, key: int) -> Event:
        return Held(key, self.counts, self.running)


@dataclass(slots=True, eq=False, repr=False)
class FatalMessage(FromChild):
    """A child is about to end, and why. `cause` is the kind of a `Fatal`."""

    KIND = "fatal"
    cause: str = field(metadata=text("kind"))
    error: str = field(metadata=text("exc"))
    trace: str = field(default="", metadata=text("trace"))

    def event(self, key: int) -> Event:
        return Fatal(key, self.cause, self.error, self.trace)


@dataclass(slots=True, eq=False, repr=False)
class ByeMessage(FromChild):
    """A child ends on purpose."""

    KIND = "bye"
    reason: str = field(metadata=text("reason"))

    def event(self, key: int) -> Event:
        return Bye(key, self.reason)


@dataclass(slots=True, eq=False, repr=False)
class DumpMessage(FromChild):
    """A worker has written its stacks into the log, and adds what it runs."""

    KIND = "dump"
    running: Running = field(metadata=named("jobs", Frame.pairs))

    def event(self, key: int) -> Event:
        return Dumped(key, self.running)


@dataclass(slots=True, eq=False, repr=False)
class JobsMessage(FromChild):
    """Jobs that have ended since the last such message, for the metrics."""

    KIND = "jobs"
    rows: list[JobRow] = field(metadata=named("rows", _rows))

    def event(self, _key: int) -> None:
        return None


@dataclass(slots=True, eq=False, repr=False)
class UnloggedMessage(FromChild):
    """Lines of its log that a worker could not write before its end."""

    KIND = "unlogged"
    lines: int = field(metadata=whole("n"))

    def event(self, _key: int) -> None:
        return None


@dataclass(slots=True, eq=False, repr=False)
class ChangedMessage(FromChild):
    """The watcher has seen these files change."""

    KIND = "changed"
    paths: tuple[str, ...] = field(metadata=named("paths", Frame.texts))

    def event(self, _key: int) -> Event:
        return Changed(self.paths)


@dataclass(slots=True, eq=False, repr=False)
class ReleasedMessage(FromChild):
    """The steward has given a dead worker's jobs back: see `Released`."""

    KIND = "released"
    worker_id: str = field(metadata=text("worker"))
    job_ids: tuple[str, ...] = field(metadata=named("ids", Frame.texts))
    count: int = field(metadata=whole("n"))
    blamed: str = field(default="", metadata=text("blamed"))
    is_trial: bool = field(default=False, metadata=flag("trial"))

    def event(self, _key: int) -> Event:
        return Released(self.worker_id, self.job_ids, self.count, self.blamed, self.is_trial)


@dataclass(slots=True, eq=False, repr=False)
class ReleaseFailedMessage(FromChild):
    """The steward could not, and will try again."""

    KIND = "release_failed"
    worker_id: str = field(metadata=text("worker"))
    error: str = field(metadata=text("error"))

    def event(self, _key: int) -> Event:
        return ReleaseFailed(self.worker_id, self.error)


@dataclass(slots=True, eq=False, repr=False)
class RedisMessage(FromChild):
    """The steward can not reach Redis, or can again (`error` is "")."""

    KIND = "redis_state"
    error: str = field(metadata=text("error"))

    def event(self, _key: int) -> Event:
        return RedisState(self.error)


@dataclass(slots=True, eq=False, repr=False)
class QueueMessage(FromChild):
    """How many jobs the queue holds, and for how long the oldest due one has been waiting."""

    KIND = "queue"
    depth: int = field(metadata=whole("depth"))
    oldest_due_s: float = field(metadata=number("oldest_due_s"))

    def event(self, _key: int) -> Event:
        return QueueState(self.depth, self.oldest_due_s)


@dataclass(slots=True, eq=False, repr=False)
class MetricsMessage(FromChild):
    """The steward listens for scrapes at this address, or can not (`error`)."""

    KIND = "metrics"
    address: str = field(metadata=text("address"))
    error: str = field(default="", metadata=text("error"))

    def event(self, _key: int) -> Event:
        return MetricsState(self.address, self.error)


# --- to a worker --------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False, repr=False)
class PickMessage(Message):
    """Whether it may take jobs."""

    KIND = "pick"
    is_allowed: bool = field(metadata=flag("allowed"))


@dataclass(slots=True, eq=False, repr=False)
class OutgoingMessage(Message):
    """The name of its generation, and that of those who are about to go with it; "" = it stays."""

    KIND = "outgoing"
    cohort: str = field(metadata=text("cohort"))
    outgoing: str = field(metadata=text("outgoing"))


@dataclass(slots=True, eq=False, repr=False)
class LetInMessage(Message):
    """A child that waits becomes a worker; with what has changed since it was started."""

    KIND = "let_in"
    count: int = field(metadata=whole("count"))
    is_first: bool = field(metadata=flag("first"))
    is_quiet: bool = field(metadata=flag("quiet"))
    previous_worker_id: str = field(metadata=text("previous_worker_id"))
    cohort: str = field(metadata=text("cohort"))


@dataclass(slots=True, eq=False, repr=False)
class CopyMessage(Message):
    """A spare is to copy itself. `brief` is that of the copy, as `supervisor.process.exec` writes it."""

    KIND = "copy"
    brief: str = field(metadata=text("brief"))


@dataclass(slots=True, eq=False, repr=False)
class CopiedMessage(Message):
    """It has done so, or it has failed (`error`)."""

    KIND = "copied"
    pid: int = field(metadata=whole("pid"))
    error: str = field(default="", metadata=text("error"))


# --- to the steward -----------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False, repr=False)
class RedisSettingsMessage(Message):
    """Redis settings of workers, by the name that the roster has for them; they are a secret."""

    KIND = "redis"
    name: str = field(metadata=text("name"))
    settings: str = field(metadata=text("text"))


@dataclass(slots=True, eq=False, repr=False)
class HeadcountMessage(Message):
    """That the parent lives, and how many workers do."""

    KIND = "alive"
    headcount: Headcount

    def members(self) -> Mapping[str, object]:
        return self.headcount._asdict()

    @classmethod
    def read(cls, frame: Frame) -> Self:
        ready, blocked, procs = (int(frame.number(name)) for name in ("ready", "blocked", "procs"))
        return cls(Headcount(frame.text("state"), ready, blocked, procs, frame.flag("quiet")))


@dataclass(slots=True, eq=False, repr=False)
class StatusMessage(Message):
    """Everything that the metrics show."""

    KIND = "status"
    status: PoolStatus
    jobs: list[JobRow]

    def members(self) -> Mapping[str, object]:
        return {"status": self.status.as_json(), "jobs": self.jobs}

    @classmethod
    def read(cls, frame: Frame) -> Self:
        return cls(read_status(frame.raw("status")), [JobRow(*row) for row in frame.raw("jobs")])


@dataclass(slots=True, eq=False, repr=False)
class RosterMessage(Message):
    """Who is alive, and whose jobs are to be given back."""

    KIND = "roster"
    roster: Roster

    def members(self) -> Mapping[str, object]:
        roster = self.roster
        return {
            "alive": [astuple(entry) for entry in roster.alive],
            "lost": [astuple(entry) for entry in roster.lost],
            "past": astuple(roster.past),
            "queue": roster.queue,
        }

    @classmethod
    def read(cls, frame: Frame) -> Self:
        alive, lost = (tuple(_entry(*item) for item in frame.raw(name)) for name in ("alive", "lost"))
        return cls(Roster(alive, lost, JobCounts(*frame.raw("past")), frame.text("queue")))


# --- to the dashboard ---------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False, repr=False)
class SubjectMessage(Message):
    """What to show: the workers' queue, and the Redis settings of one server or of several, which are a secret; "" if
    workers kept them.
    """

    KIND = "subject"
    queue: str = field(metadata=text("queue"))
    settings: str = field(metadata=text("text"))


# --- all of them --------------------------------------------------------------------------------------------------


FROM_CHILD = by_kind(
    LoadedMessage, ReadyMessage, BeatMessage, HeldMessage, FatalMessage, ByeMessage, DumpMessage, JobsMessage,
    UnloggedMessage, ChangedMessage, ReleasedMessage, ReleaseFailedMessage, RedisMessage, QueueMessage, MetricsMessage,
)  # fmt: skip
TO_WORKER = by_kind(PickMessage, OutgoingMessage, LetInMessage)
OF_COPIES = by_kind(CopyMessage, CopiedMessage)
TO_STEWARD = by_kind(RedisSettingsMessage, HeadcountMessage, StatusMessage, RosterMessage)
TO_WEB = by_kind(SubjectMessage)


def brief_jobs(jobs: Iterable[tuple[str, str]]) -> Running:
    """Running jobs cut down to what fits in a beat."""
    return tuple((job_id[:LONGEST_NAME], name[:LONGEST_NAME]) for job_id, name in islice(jobs, MOST_JOBS))


def brief_ids(job_ids: Iterable[str]) -> tuple[str, ...]:
    """Ids of jobs, as many of them and as much of each as a message has room for."""
    return tuple(job_id[:LONGEST_NAME] for job_id in islice(job_ids, MOST_IDS))


def _work(counts: JobCounts, running: Running) -> dict[str, object]:
    return {
        "c": counts.complete,
        "f": counts.failed,
        "r": counts.retried,
        "o": counts.ongoing,
        "q": counts.queued,
        "jobs": running,
    }


def _counts(frame: Frame) -> JobCounts:
    return JobCounts(*(int(frame.number(name)) for name in ("c", "f", "r", "o", "q")))


def _entry(
    worker_id: str,
    slot: int,
    redis: str,
    health_key: str,
    counts: list[int],
    age_s: float,
    why: str,
    detail: str,
) -> Entry:
    return Entry(worker_id, slot, redis, health_key, JobCounts(*counts), age_s, why, detail)
