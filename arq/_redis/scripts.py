"""The Lua scripts, one for each transition of a job, and their keys, arguments and answers as Python types.

A script is a file in `lua/`; its header says what KEYS, ARGV and the answer mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from .._crash_records import Crashes, read_crashes
from .._endings import NO_TERMS, Done, Ending, Terms, told
from .._keys import (
    LAPSES_KEY,
    LEASES_KEY,
    MEMBERS_KEY,
    OLD_LEASES_KEY,
    PREFIX,
    batches_key,
    control_key,
    lookers_key,
    old_lookers_key,
    paused_key,
    wake_key,
)
from ..constants import abort_job_max_age, abort_jobs_ss
from ..utils import LONGEST_MS
from .batch_sizes import MOST_BYTES
from .script_loader import Call as Call  # noqa: PLC0414  (callers of what stands here need it)
from .script_loader import load
from .script_runner import run as run  # noqa: PLC0414  (the same)

#: Seconds that the counter of a job's starts outlives the last start. 88400 is arq's number (a day would be 86400).
RETRY_TTL_S = 88_400

_ENQUEUE, _CLAIM, _RECLAIM, _FINISH = load("enqueue"), load("claim"), load("reclaim"), load("finish")
_EXTEND, _LEASE, _RELEASE, _SWEEP = load("extend"), load("lease"), load("release"), load("sweep")
_ABORT, _ABORTED, _INSPECT = load("abort"), load("aborted"), load("inspect")
_PASS_ON, _PRESENT, _HEALTH = load("pass_on"), load("present"), load("health")


class NewTick(NamedTuple):
    """Of which schedule a job is the run, and for when, as `enqueue.lua` takes it.

    Attributes:
        due_ms: planned time, unix ms.
        ahead_ms: how far workers look ahead.
        schedule_hash: tells the schedule from all others; '-': runs of it need not be remembered.
        schedule_id: the same, for workers of an earlier version.
        replaces: the queue is paused, and this run takes the place of earlier ones that wait there.
    """

    due_ms: int
    ahead_ms: int = 0
    schedule_hash: str = "-"
    schedule_id: str = ""
    replaces: bool = False

    def __str__(self) -> str:
        ahead = f"{self.ahead_ms}{'+' if self.replaces else ''}"
        return f"{self.due_ms} {ahead} {self.schedule_hash} {self.schedule_id}"


class NewJob(NamedTuple):
    """A job to be enqueued, as `enqueue.lua` takes it. `tick`: '', or of a cron job, see `NewTick`."""

    job_id: str
    payload: bytes
    when: str
    expires_ms: int | None
    tick: str


#: `when`, `expires_ms` and `tick` of a job that is due now, and lives as long as others.
_USUAL_TERMS = ["", None, ""]


def enqueue(queue_name: str, jobs: Iterable[NewJob], expires_extra_ms: float | None) -> Call:
    """Put jobs into a queue; for the answer see `read_enqueue`."""
    # `math.inf` and None: no limit
    extra_ms = LONGEST_MS if expires_extra_ms is None else max(1, round(min(expires_extra_ms, LONGEST_MS)))
    args: list[Any] = [PREFIX, extra_ms]
    group, count_at, step = None, 0, 1
    for job_id, payload, *terms in jobs:
        if terms != group:  # what is said of jobs that follow each other is said once
            group, count_at = terms, len(args)
            when, expires_ms, tick = terms
            step = 1 if terms == _USUAL_TERMS else -1
            args += (0,) if step > 0 else (0, when, "" if expires_ms is None else expires_ms, tick)
        args[count_at] += step
        args += (job_id, payload)
    return Call(_ENQUEUE, (queue_name, wake_key(queue_name), lookers_key(queue_name)), tuple(args))


def read_enqueue(answer: Any) -> list[bool]:
    """Of each job, whether it was enqueued."""
    return [True] * answer if type(answer) is int else [one == 1 for one in answer]


class ClaimedJob(NamedTuple):
    """A job that was given to this worker.

    Attributes:
        payload: None if it has expired, or is not here.
        left_out: bytes of a payload that was not sent along.
        unreadable: why the payload is not here, and will not come; '' if it is, or there is none.
        crashes: what is known of it if a process died that ran it.
        is_counted: whether Redis may have counters of its starts, as it has none at the first one.
    """

    job_id: str
    score: int
    payload: bytes | None
    job_try: int
    interrupted: int
    aborted: bool
    stamp: bytes
    left_out: int = 0
    unreadable: str = ""
    crashes: Crashes | None = None
    is_counted: bool = False


#: Makes one of all its fields, in a third of the time.
_claimed_job: Callable[[tuple[Any, ...]], ClaimedJob] = functools.partial(tuple.__new__, ClaimedJob)


class ClaimAnswer(NamedTuple):
    """What a claim brought.

    Attributes:
        now_ms: Redis's clock, unix ms.
        wait_ms: until the next job is due; 0: more are due now; -1: there is none.
        begin_at: where the next claim may begin, '' for the start.
        shared: more is due, but was left to the other workers.
        jobs: the jobs that are ours now.
        nameless: endings of those whose ids are not text.
        recovered: nothing was claimed, these are the jobs that were ours already.
        awaited: id of a job that had to be left because too many run here, and for which this worker is to make room;
            '': there is none.
        swept: ids of workers that were found dead -> what they had to give back.
    """

    now_ms: int
    wait_ms: int
    begin_at: str
    shared: bool
    jobs: list[ClaimedJob]
    nameless: Sequence[Done] = ()
    recovered: bool = False
    awaited: str = ""
    swept: Mapping[str, Released] = MappingProxyType({})


class Caution(NamedTuple):
    """What a claim says about jobs that may kill the process, see `include/quarantine.lua`.

    Attributes:
        few: how many jobs may run together with one that was suspected once.
        uncounted: how many of the running ones are suspects that have done no harm for long enough.
        without_room: what becomes of one for which there is not room enough: `leave` | `room`: the worker makes room
            for it, if no other does | `beside`: it is taken all the same.
    """

    few: int = 1
    uncounted: int = 0
    without_room: str = "leave"


#: Suspects are only taken by a worker that runs nothing.
NO_CAUTION = Caution()


class ClaimRequest(NamedTuple):
    """Which jobs a worker asks for, and on what terms.

    Attributes:
        limit: how many jobs at most.
        lock_ms: ms until their locks lapse.
        job_ids: take exactly these, as far as they are due and free; else whatever is due.
        fair: leave jobs to other workers that are idle.
        begin_at: from which entry of the queue on to look, '': from the first one.
        look_at_aborts: whether to look at the requests to abort.
        epoch: see `reclaim`.
        waited: it is sent behind a wait for a token, and refused if the worker holds jobs.
        cohorts: names of workers to which this one belongs, with a space before and behind each; see `part`.
        caution: what becomes of jobs that may kill the process.
    """

    limit: int
    lock_ms: int
    job_ids: Sequence[str] = ()
    fair: bool = False
    begin_at: str = ""
    look_at_aborts: bool = False
    epoch: int = 0
    waited: bool = False
    cohorts: str = ""
    caution: Caution = NO_CAUTION


def claim(queue_name: str, worker_id: str, asked: ClaimRequest) -> Call:
    """Take due jobs, and a few MB of payloads; for the answer see `read_claim`."""
    limit, lock_ms, job_ids, fair, begin_at, look_at_aborts, epoch, waited, cohorts, caution = asked
    keys = (
        queue_name,
        wake_key(queue_name),
        batches_key(worker_id),
        lookers_key(queue_name),
        LEASES_KEY,
        LAPSES_KEY,
    )
    flags = ("a" if look_at_aborts else "") + ("f" if fair else "") + ("w" if waited else "")
    rarely = f"{RETRY_TTL_S} {caution.few} {caution.uncounted} {caution.without_room}"
    options = (begin_at or "-inf", flags, epoch, cohorts, MOST_BYTES, rarely)
    return Call(_CLAIM, keys, (PREFIX, worker_id, limit, lock_ms, *options, *job_ids))


class Refusal(NamedTuple):
    """Why a claim was not carried out.

    Attributes:
        why: `unknown`: the worker is not presumed alive and must announce itself first. `late`: it has asked
            meanwhile, by `reclaim`, what it holds. `busy`: it holds jobs, and was to have one only if it holds none.
        epoch: which claims count when this one was late.
    """

    why: str
    epoch: int


def read_claim(answer: Any) -> ClaimAnswer | Refusal:
    """The answer of `claim`."""
    if len(answer) == len(Refusal._fields):
        why, epoch = answer
        return Refusal(why.decode(), epoch)
    now_ms, wait_ms, begin_at, shared, stamp, note, rare, *payloads = answer
    special, *more = rare or ((),)
    jobs, nameless = _read_batch(stamp, note, payloads, special) if payloads else ([], [])
    found = ClaimAnswer(now_ms, wait_ms, begin_at.decode(), shared == 1, jobs, nameless)
    return _read_rare(found, *more) if more else found


def _read_batch(
    stamp: bytes, note: bytes, payloads: list[bytes | None], special: Any
) -> tuple[list[ClaimedJob], list[Done]]:
    """The jobs of one claim, and the endings that remove those whose ids are no text."""
    try:
        _, _, *lines = note.decode().split("\n")
        first, score = (1, 0, False, stamp, 0, "", None, False), 0
        jobs = [
            _claimed_job((job_id, score := int(text) if text else score, payload or None, *first))
            for job_id, text, payload in zip(lines[::2], lines[1::2], payloads, strict=True)
        ]
    except ValueError:  # an id that is no text, or a score that is no whole number
        return _read_odd_batch(stamp, _pairs(note), payloads, special)
    if note[0] == _ENCODED:
        return _read_odd_batch(stamp, _pairs(note), payloads, special)
    for number, *row in special:
        jobs[number - 1] = _special(jobs[number - 1], *row)
    return jobs, []


#: What a note begins with in which a line's end is written as %0A, and % as %25.
_ENCODED = ord("%")


def _pairs(note: bytes) -> list[tuple[bytes, bytes]]:
    """Ids, and the scores before."""
    _, _, *lines = note.split(b"\n")
    if note[0] == _ENCODED:
        lines = [line.replace(b"%0A", b"\n").replace(b"%25", b"%") for line in lines]
    score = b"0"
    return [(job_id, score := text or score) for job_id, text in zip(lines[::2], lines[1::2], strict=True)]


def _read_odd_batch(
    stamp: bytes, pairs: list[tuple[bytes, bytes]], payloads: list[bytes | None], special: Any
) -> tuple[list[ClaimedJob], list[Done]]:
    rows = {number: row for number, *row in special}
    jobs, nameless = list[ClaimedJob](), list[Done]()
    for number, ((job_id, score), payload) in enumerate(zip(pairs, payloads, strict=True), 1):
        try:
            name = job_id.decode()
        except UnicodeDecodeError:
            nameless.append(Done(job_id, stamp))
            continue
        job = ClaimedJob(name, score_ms(score), payload or None, 1, 0, False, stamp)
        jobs.append(_special(job, *rows[number]) if number in rows else job)
    return jobs, nameless


def _special(
    job: ClaimedJob, job_try: int, interrupted: int, aborted: int, crashes: bytes | None = None
) -> ClaimedJob:
    """A job that was started before, or is to be aborted."""
    return job._replace(
        job_try=job_try,
        interrupted=interrupted,
        aborted=aborted == 1,
        crashes=None if crashes is None else read_crashes(crashes),
        is_counted=True,
    )


def _read_rare(found: ClaimAnswer, awaited: bytes, swept: Any) -> ClaimAnswer:
    return found._replace(awaited=awaited.decode(errors="replace"), swept=_by_worker(swept))


def reclaim(worker_id: str, epoch: int, most_bytes: int = MOST_BYTES) -> Call:
    """Ask which jobs the worker holds, and let no claim of an epoch before `epoch` add to them any more.

    After `most_bytes` of payloads only their sizes are sent. For the answer see `read_jobs`.
    """
    return Call(_RECLAIM, (batches_key(worker_id), abort_jobs_ss), (PREFIX, worker_id, epoch, most_bytes))


def read_jobs(answer: Any) -> tuple[list[ClaimedJob], list[Done]]:
    """The answer of `reclaim`. And the endings that remove those whose ids are no text."""
    jobs, nameless = list[ClaimedJob](), list[Done]()
    for row in answer:
        try:
            job_id, score, payload, job_try, interrupted, aborted, stamp = row
            name = job_id.decode()
        except ValueError:
            _read_special(row, jobs, nameless)
            continue
        job = ClaimedJob(
            name, score_ms(score), payload, job_try, interrupted, aborted == 1, stamp, is_counted=True
        )
        jobs.append(job if payload and type(payload) is bytes else _without_payload(job))
    return jobs, nameless


def _read_special(row: Any, jobs: list[ClaimedJob], nameless: list[Done]) -> None:
    """A job whose id is no text, or during whose runs processes died."""
    try:
        name = row[0].decode()
    except UnicodeDecodeError:
        nameless.append(Done(row[0], row[6]))
        return
    job = ClaimedJob(name, score_ms(row[1]), row[2], row[3], row[4], row[5] == 1, row[6], is_counted=True)
    jobs.append(_without_payload(job._replace(crashes=read_crashes(row[7]))))


def _without_payload(job: ClaimedJob) -> ClaimedJob:
    """A job whose payload may have expired, or was too large to be sent along: its size stands there."""
    sent: Any = job.payload
    size = sent if isinstance(sent, int) else 0
    return job._replace(payload=None if size else sent or None, left_out=size)


def score_ms(text: bytes | float) -> int:
    """A score as Redis gives it in unix ms; what is no time counts as 0."""
    score = float(text)
    return int(score) if math.isfinite(score) else 0


def finish(queue_name: str, worker_id: str, endings: Iterable[Ending], terms: Terms = NO_TERMS) -> Call:
    """Write how jobs ended; for the answer see `read_finish`."""
    args = (PREFIX, worker_id, terms.epoch, RETRY_TTL_S, terms.told(), *told(endings, terms.over))
    return Call(_FINISH, (queue_name, batches_key(worker_id)), args)


def extend(queue_name: str, worker_id: str, lock_ms: int, job_ids: Sequence[str]) -> Call:
    """Keep the locks of running jobs; the answer is the ids of those that were lost."""
    keys = (queue_name, batches_key(worker_id))
    return Call(_EXTEND, keys, (PREFIX, worker_id, lock_ms, *job_ids))


def lease(worker_ids: Sequence[str], lease_ms: int, *, known_only: bool = False) -> Call:
    """Say that workers are alive for the next `lease_ms`; `known_only`: no new ones."""
    return Call(
        _LEASE,
        (LEASES_KEY, MEMBERS_KEY, LAPSES_KEY),
        (PREFIX, lease_ms, "XX" if known_only else "", *worker_ids),
    )


def present(queue_name: str, worker_id: str, for_ms: int) -> Call:
    """Say that a worker looks at a queue for the next `for_ms`; for the answer see `read_present`."""
    keys = (lookers_key(queue_name), control_key(worker_id), paused_key(queue_name))
    return Call(_PRESENT, keys, (PREFIX, worker_id, for_ms, old_lookers_key(queue_name)))


class Presence(NamedTuple):
    """What a worker learns when it says that it is there.

    Attributes:
        has_old: workers of our first versions look at the queue, too.
        word: what an operator wants of this worker; '': nothing.
        pause: what is said of the pause of the queue; None: it is not paused.
    """

    has_old: bool = False
    word: str = ""
    pause: bytes | None = None


def read_present(answer: Any) -> Presence:
    """The answer of `present`."""
    has_old, word, pause = answer
    return Presence(has_old == 1, (word or b"").decode(errors="replace"), pause)


def health(lines: Mapping[str, bytes | str], for_ms: int) -> Call:
    """Write health lines, by their keys, for the next `for_ms`."""
    return Call(_HEALTH, tuple(lines), (PREFIX, for_ms, *lines.values()))


class Why(StrEnum):
    """Why the jobs of a worker are given back: it has begun none of them, a shutdown ended them, or it has died."""

    UNBEGUN = "unbegun"
    STOPPED = "stopped"
    DIED = "died"


def release(worker_id: str, why: Why, detail: str = "") -> Call:
    """Give back all jobs of a worker; for the answer see `read_release`.

    `detail`: how it died, or if it was stopped, its cohort, as in `part`.
    """
    return Call(_RELEASE, (LEASES_KEY, MEMBERS_KEY), (PREFIX, worker_id, why.value, RETRY_TTL_S, detail))


class Released(NamedTuple):
    """What a worker had to give back.

    Attributes:
        job_ids: its jobs.
        blamed: id of the one that is blamed for the worker's death; '': nobody can tell, all are suspects.
        was_suspected: whether one of them was a suspect before.
    """

    job_ids: list[str]
    blamed: str = ""
    was_suspected: bool = False


def read_release(answer: Any) -> Released:
    """The answer of `release`."""
    job_ids, blamed, was_suspected = answer
    return Released(decode_ids(job_ids), blamed.decode(errors="backslashreplace"), was_suspected == 1)


def sweep() -> Call:
    """Give back the jobs of all overdue workers; for the answer see `read_sweep`."""
    return Call(_SWEEP, (LEASES_KEY, MEMBERS_KEY, OLD_LEASES_KEY), (PREFIX, RETRY_TTL_S))


class Swept(dict[str, Released]):
    """Worker id -> what was given back.

    Attributes:
        next_s: seconds until one more is overdue, if it is not heard of before; infinite if there is none.
    """

    next_s = math.inf


def read_sweep(answer: Any) -> Swept:
    """The answer of `sweep`."""
    *pairs, next_ms = answer
    swept = Swept(_by_worker(pairs))
    if next_ms >= 0:
        swept.next_s = next_ms / 1000
    return swept


def _by_worker(answer: Any) -> dict[str, Released]:
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return {worker.decode(errors="backslashreplace"): read_release(released) for worker, released in pairs}


def decode_ids(answer: Any) -> list[str]:
    """A list of ids as text."""
    return [job_id.decode(errors="backslashreplace") for job_id in answer]


def pass_on(queue_name: str, leaving: str = "") -> Call:
    """Leave a wake-up token for another worker; `leaving`: id of a worker that looks at the queue no more."""
    return Call(_PASS_ON, (queue_name, wake_key(queue_name), lookers_key(queue_name)), (PREFIX, leaving))


class AbortAnswer(NamedTuple):
    """What became of a job that is to be aborted.

    Attributes:
        state: `over`: there is nothing to abort. `running`: somebody runs it. `asked`: nobody does, workers are asked.
            `queued`: nobody does, and it waits for its result to be made. `aborted`: it is out of the queue.
        payload: of a queued job; None if it has expired.
        starts: how often a queued job was started before.
        now_ms: Redis's clock, unix ms.
    """

    state: str
    payload: bytes | None = None
    starts: int = 0
    now_ms: int = 0


class Ask(IntEnum):
    """Whether to note a request to abort: not at all, if the job is running, or also if it is queued."""

    NOBODY = 0
    ITS_WORKER = 1
    ANY_WORKER = 2


def abort(queue_name: str, job_id: str, ask: Ask) -> Call:
    """Look at a job that is to be aborted; for the answer see `read_abort`."""
    return Call(_ABORT, (queue_name, abort_jobs_ss), (PREFIX, job_id, ask.value))


def take_out(looked: Call, payload: bytes | None, result: bytes, keep_ms: int) -> Call:
    """The same once more, to take the job out if it is still queued with this payload.

    Args:
        looked: the call that found it queued.
        payload: what was found.
        result: what is to be written about it; b"": nothing.
        keep_ms: for how long.
    """
    return looked._replace(args=(*looked.args, payload or b"", result, keep_ms))


def read_abort(answer: Any) -> AbortAnswer:
    """The answer of `abort` and `take_out`."""
    state, *found = answer
    if not found:
        return AbortAnswer(state.decode())
    payload, starts, now_ms = found
    return AbortAnswer(state.decode(), payload or None, starts, now_ms)


def aborted(queue_name: str, job_ids: Sequence[str]) -> Call:
    """Ask which running jobs are to be aborted; the answer is their ids."""
    return Call(_ABORTED, (abort_jobs_ss, queue_name), (PREFIX, abort_job_max_age * 1000, *job_ids))


class Inspected(NamedTuple):
    """What Redis holds about a job; `result` and `payload` are empty when only their presence was asked for."""

    result: bytes | None
    payload: bytes | None
    score: int | None
    running: bool


def inspect(queue_name: str, job_ids: Sequence[str], *, with_bytes: bool = True) -> Call:
    """Ask everything about jobs; for the answer see `read_inspect`."""
    return Call(_INSPECT, (queue_name,), (PREFIX, int(with_bytes), *job_ids))


def read_inspect(answer: Any) -> tuple[int, list[Inspected]]:
    """Redis's clock in unix ms, and what is known about each job."""
    now_ms, jobs = answer
    return now_ms, [
        Inspected(result, payload, None if score is None else score_ms(score), running == 1)
        for result, payload, score, running in jobs
    ]
