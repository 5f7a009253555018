"""Every key in Redis: its type, what is in it, and for how long. No I/O.

The page of reference is made of this table; tests compare it with `_keys.py`, and refuse its names as queues.
"""

from __future__ import annotations

from typing import NamedTuple


class KeyRow(NamedTuple):
    """A key.

    Attributes:
        name: with blanks: `<id>` of a job, `<worker>` id of a worker, `<queue>`, ...
        kind: its type, as Redis's TYPE says it: string, zset, hash, list, set or stream.
        text: what is in it.
        life: when it expires.
        is_ours: no arq but this one has it.
    """

    name: str
    kind: str
    text: str
    life: str
    is_ours: bool = True


# fmt: off
KEYS: tuple[KeyRow, ...] = (
    # those of every arq since 0.16
    KeyRow("<queue>", "zset", "the queue, `arq:queue` if nothing else is said: job id → unix ms at which it is due; "
        "of a running job, at which its lock lapses", "while there are jobs", is_ours=False),
    KeyRow("arq:job:<id>", "string", "the job as it was enqueued: function, arguments, time",
        "a day after it is due, or as `_expires` and `expires_extra_ms` say", is_ours=False),
    KeyRow("arq:in-progress:<id>", "string", "the lock of a running job: id of its worker, `1` of arq 0.26 - 0.28",
        "lock time: longest `job_timeout` + 10 s", is_ours=False),
    KeyRow("arq:retry:<id>", "string", "how often the job was started", "a day; until the job has ended",
        is_ours=False),
    KeyRow("arq:result:<id>", "string", "the result", "`keep_result`, an hour", is_ours=False),
    KeyRow("arq:abort", "zset", "job id → unix ms: requests to abort a job that runs", "entries: a minute after the job",
        is_ours=False),
    KeyRow("<queue>:health-check", "string", "the health line of the queue's workers",
        "`health_check_interval` + 1 s", is_ours=False),
    # workers
    KeyRow("<queue>:health-check:<pool>:<host>:<slot>", "string", "the health line of one supervised worker",
        "three times `--health-interval`"),
    KeyRow("arq:wake:<queue>", "list", "wake-up tokens for idle workers, two at most", "60 s"),
    KeyRow("arq:lookers:<queue>", "zset", "worker id → unix ms: workers that look at this queue; decides about tokens "
        "and fair shares", "2 min; entries are renewed every 20 s"),
    KeyRow("arq:leases", "zset", "worker id → unix ms at which it is presumed dead; anybody sweeps who is overdue",
        "ten minutes after the last deadline"),
    KeyRow("arq:members", "zset", "the same for workers whose notes earlier versions can't read", "as `arq:leases`"),
    KeyRow("arq:lapses", "zset", "worker id → unix ms at which somebody is to look whether locks of that worker have "
        "lapsed", "as `arq:leases`"),
    KeyRow("arq:batches:<worker>", "hash", "stamp of a claim → score, queue, and id and score before of each job: what is "
        "given back when that worker dies", "a minute after its longest lock"),
    KeyRow("arq:claims:<worker>", "hash", "what workers of earlier versions have instead; read, not written",
        "a minute after its longest lock"),
    KeyRow("arq:epoch:<worker>", "string", "claims of that worker that were sent before this one do not count",
        "1 h, or when the worker leaves"),
    KeyRow("arq:control:<worker>", "string", "`quiet`, `resume` or `stop`: what an operator wants of this worker", "2 min"),
    KeyRow("arq:never", "none", "there is no such key: scripts on a cluster name it, so that none begins while their slot is "
        "moved by keys", "never there"),
    # jobs that were cut off
    KeyRow("arq:interrupted:<id>", "string", "how many starts do not count against `max_tries`", "as `arq:retry:<id>`"),
    KeyRow("arq:crashes:<id>", "string", "`HALVES BLAMED CAUSE`: how often the job is suspected and was blamed for the "
        "death of its process", "as `arq:retry:<id>`"),
    KeyRow("arq:quarantine:<queue>", "string", "id of the worker that makes room for a suspect", "5 s"),
    KeyRow("arq:left:<id>", "string", "who leaves this job to others: workers that a reload ends, or that can't read it",
        "15 s, or up to 65 s"),
    KeyRow("arq:unreadable:<id>:<ms>", "string", "how often workers could not read the job that was enqueued then",
        "12 h"),
    # jobs that have failed
    KeyRow("<queue>:dead", "zset", "the dead set: job id → unix ms of its end", "`dead_ttl`, a week"),
    KeyRow("arq:dead:<id>", "hash", "`payload`, `queue` and `entry`, JSON: such a job, and what is known of its failure",
        "`dead_ttl`"),
    KeyRow("arq:errors:<id>", "list", "JSON: why the last five tries have failed", "`dead_ttl`"),
    KeyRow("arq:evicted:<queue>", "string", "how many jobs had to leave the dead set because it was full", "`dead_ttl`"),
    # pauses, schedules, statistics
    KeyRow("arq:paused:<queue>", "string", "three lines: since when (unix ms), by whom and why the queue is paused",
        "until it is resumed"),
    KeyRow("arq:kept:<queue>", "string", "somebody has just seen to it that nothing of a paused queue expires",
        "a minute"),
    KeyRow("arq:crons:<queue>", "hash", "schedule → JSON: what workers show of their schedules", "two days"),
    KeyRow("arq:crons-paused:<queue>", "set", "names of the schedules that are paused", "until they are resumed"),
    KeyRow("arq:ticks:<queue>:<hash>", "zset", "the newest 120 ticks of a schedule that were enqueued", "a week"),
    KeyRow("arq:cron:<queue>:<schedule>", "string", "the last of them, for workers of 0.29.0", "a day"),
    KeyRow("arq:pools", "zset", "pool and host → unix ms: supervisors that say how their pools are", "30 s after the "
        "last one"),
    KeyRow("arq:pool:<pool>", "string", "how a pool (its name, and its host) is, as JSON: its processes, restarts, memory; written every "
        "5 s", "30 s"),
    KeyRow("arq:audit", "stream", "what operators have done: by whom, what, of which queue, what became of it, the "
        "first ids; about 1,000 notes", "90 days after the last one"),
    KeyRow("arq:stats:<queue>:<minute>", "hash", "what workers have counted in this minute since 1970, by function",
        "8 h"),
    KeyRow("arq:stats:<queue>:h:<ten minutes>", "hash", "the same in ten minutes", "72 h"),
)
# fmt: on
