"""The name of every Redis key, in one place. The scripts build theirs from `PREFIX` (lua/include/basics.lua)."""

from __future__ import annotations

import functools
import re

from .constants import (
    abort_jobs_ss,
    health_check_key_suffix,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)

#: Characters of an id or a name: they are in lists, log lines and each command, hundreds at a time.
_LONGEST_NAME = 65_536
#: What all keys but those of a queue begin with; the scripts get it as their first argument.
PREFIX = "arq:"
#: What the name of a queue's dead set ends with.
DEAD_SET_SUFFIX = ":dead"
#: Sorted set: worker id -> unix ms at which it is presumed dead.
LEASES_KEY = PREFIX + "leases"
#: The same for workers that note a batch of jobs at a time: earlier versions can't read that, and do not look here.
MEMBERS_KEY = PREFIX + "members"
#: Sorted set: worker id -> unix ms at which somebody is to look whether one of its claims has lapsed.
LAPSES_KEY = PREFIX + "lapses"
#: Where workers of our first versions stand instead. Read while fleets are mixed; it may as well be somebody's queue.
OLD_LEASES_KEY = PREFIX + "workers"
#: There is no such key: see `arq/_redis/key_prefix.py`.
NEVER_KEY = PREFIX + "never"
#: Stream: what operators have done.
AUDIT_KEY = PREFIX + "audit"
#: Sorted set: pool and host of a supervisor -> unix ms until which that is believed.
POOLS_KEY = PREFIX + "pools"


def job_key(job_id: str) -> str:
    """The serialized job."""
    return job_key_prefix + job_id


def in_progress_key(job_id: str) -> str:
    """The lock of a running job; its value is the id of the worker (`1` when that is a plain arq worker)."""
    return in_progress_key_prefix + job_id


def retry_key(job_id: str) -> str:
    """How often the job was started."""
    return retry_key_prefix + job_id


def interrupted_key(job_id: str) -> str:
    """How many of those starts were ended by the shutdown of a worker."""
    return f"{PREFIX}interrupted:{job_id}"


def result_key(job_id: str) -> str:
    """The serialized result."""
    return result_key_prefix + job_id


def left_key(job_id: str) -> str:
    """Who leaves the job to other workers for a while."""
    return f"{PREFIX}left:{job_id}"


def epoch_key(worker_id: str) -> str:
    """Claims of the worker that were sent before this one count no more."""
    return f"{PREFIX}epoch:{worker_id}"


def quarantine_key(queue_name: str) -> str:
    """Which worker makes room for a job that may kill its process."""
    return f"{PREFIX}quarantine:{queue_name}"


def unreadable_key(job_id: str, enqueue_ms: int) -> str:
    """How often workers could not read the job that was enqueued at that time, and left it to others."""
    return f"{PREFIX}unreadable:{job_id}:{enqueue_ms}"


def crashes_key(job_id: str) -> str:
    """What is known of workers that died while they ran the job."""
    return f"{PREFIX}crashes:{job_id}"


def dead_set_key(queue_name: str) -> str:
    """Sorted set: id of a job of the queue that has failed for good -> unix ms."""
    return queue_name + DEAD_SET_SUFFIX


def dead_key(job_id: str) -> str:
    """Hash: the payload of such a job, and what is known of the failure."""
    return f"{PREFIX}dead:{job_id}"


def evicted_key(queue_name: str) -> str:
    """How many jobs had to leave the dead set of the queue because it was full, lately."""
    return f"{PREFIX}evicted:{queue_name}"


def errors_key(job_id: str) -> str:
    """List: why tries of a job have failed, the last ones."""
    return f"{PREFIX}errors:{job_id}"


def paused_key(queue_name: str) -> str:
    """There while the queue is paused: since when, by whom and why. A text: scripts read it along with other keys."""
    return f"{PREFIX}paused:{queue_name}"


def kept_key(queue_name: str) -> str:
    """There for a while after somebody has seen to it that no payload of a paused queue expires."""
    return f"{PREFIX}kept:{queue_name}"


def crons_key(queue_name: str) -> str:
    """Hash: name of a schedule -> what workers say about it."""
    return f"{PREFIX}crons:{queue_name}"


def ticks_key(queue_name: str, schedule_hash: str) -> str:
    """Sorted set: the newest runs of a schedule that were enqueued, unix ms."""
    return f"{PREFIX}ticks:{queue_name}:{schedule_hash}"


def paused_crons_key(queue_name: str) -> str:
    """Set: names of the schedules that are paused."""
    return f"{PREFIX}crons-paused:{queue_name}"


def stats_key(queue_name: str, minute: int) -> str:
    """Hash: what workers have counted in a minute, by its number since 1970."""
    return f"{PREFIX}stats:{queue_name}:{minute}"


def tens_key(queue_name: str, ten_minutes: int) -> str:
    """The same in ten minutes."""
    return f"{PREFIX}stats:{queue_name}:h:{ten_minutes}"


def control_key(worker_id: str) -> str:
    """What a worker is told to do; it takes the word when it says that it looks at the queue."""
    return f"{PREFIX}control:{worker_id}"


def pool_key(pool: str) -> str:
    """What the supervisor of a pool says of it; `pool`: its name, a colon, and its host."""
    return f"{PREFIX}pool:{pool}"


def batches_key(worker_id: str) -> str:
    """Hash of one worker: stamp of a claim -> what must be put back of its jobs when the worker dies."""
    return f"{PREFIX}batches:{worker_id}"


def claims_key(worker_id: str) -> str:
    """The same as workers of earlier versions keep it: job id -> what must be put back."""
    return f"{PREFIX}claims:{worker_id}"


def wake_key(queue_name: str) -> str:
    """List of wake-up tokens; idle workers of the queue wait for it."""
    return f"{PREFIX}wake:{queue_name}"


def old_wake_key(queue_name: str) -> str:
    """Where our first versions leave tokens. It may as well be a queue, or a list that is none of our business."""
    return f"{queue_name}:wake"


def lookers_key(queue_name: str) -> str:
    """Sorted set: id of a worker that looks at the queue -> unix ms until which that is believed."""
    return f"{PREFIX}lookers:{queue_name}"


def old_lookers_key(queue_name: str) -> str:
    """Where workers of our first versions say so. It may as well be a queue."""
    return f"{queue_name}:workers"


def health_key(queue_name: str) -> str:
    """The health line of a queue's workers."""
    return queue_name + health_check_key_suffix


def worker_health_key(base: str, pool: str, host: str, slot: int) -> str:
    """The health line of one supervised worker; `base` is the plain health key."""
    return f"{base}:{pool}:{host}:{slot}"


_KEYS = (NEVER_KEY, LEASES_KEY, MEMBERS_KEY, LAPSES_KEY, AUDIT_KEY, POOLS_KEY, abort_jobs_ss)
_PREFIXES = (
    job_key_prefix,
    in_progress_key_prefix,
    retry_key_prefix,
    result_key_prefix,
    interrupted_key(""),
    batches_key(""),
    claims_key(""),
    epoch_key(""),
    left_key(""),
    crashes_key(""),
    dead_key(""),
    errors_key(""),
    evicted_key(""),
    paused_key(""),
    kept_key(""),
    crons_key(""),
    paused_crons_key(""),
    control_key(""),
    pool_key(""),
    quarantine_key(""),
    f"{PREFIX}unreadable:",
    f"{PREFIX}stats:",
    lookers_key(""),
    wake_key(""),
)
#: `arq:ticks:<queue>:<hash>` and `arq:cron:<queue>:<schedule>`; a hash has twelve digits, and a schedule ends in one.
#: Other names that begin like this are nobody's.
_TICK_KEY = re.compile(rf"{PREFIX}(ticks|cron):.+:[0-9a-f]{{12}}", re.DOTALL)
#: Health keys of a queue, of one supervised worker, see `worker_health_key`.
_HEALTH_KEY = re.compile(rf".*{health_check_key_suffix}(:.*:\d+)?", re.DOTALL)


def is_prefix_of_ours(text: str) -> bool:
    """Whether keys would look like others of arq's if all of them began with this."""
    return text.startswith(_PREFIXES) or _TICK_KEY.match(f"{text}x:{12 * '0'}") is not None


def _is_ours(name: str) -> bool:
    return (
        name in _KEYS
        or name.endswith(DEAD_SET_SUFFIX)
        or name.startswith(_PREFIXES)
        or _TICK_KEY.fullmatch(name) is not None
    )


def check_job_id(job_id: str) -> None:
    """Refuse what can't be a job's id.

    Raises:
        ValueError: it can't be encoded, or is too long.
    """
    _check_text("_job_id", job_id)


def _check_text(what: str, text: str) -> None:
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"{what} has {len(text)} characters, {_LONGEST_NAME} are allowed: {text[:80]!r}...")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"{what} can't be encoded: {text!r}") from exc


@functools.lru_cache(maxsize=1024)
def check_queue_name(name: str) -> None:
    """Refuse what can't be a queue's name, for the queue would share a key with something else.

    Raises:
        ValueError: it can't be encoded, is too long, or is the name of another key.
    """
    _check_text("_queue_name", name)
    if _is_ours(name) or _is_ours(health_key(name)) or _HEALTH_KEY.fullmatch(name):
        raise ValueError(
            f"{name!r} can't be the name of a queue, arq has a key of that name: choose another one"
        )


def check_health_key(key: str, queue_name: str) -> None:
    """Refuse a health key that is a queue, or another key of ours.

    Raises:
        ValueError: so it is.
    """
    if key == queue_name:
        raise ValueError(f"health_check_key {key!r} is the name of the queue: choose another one")
    if _is_ours(key) or key == OLD_LEASES_KEY:
        raise ValueError(f"health_check_key {key!r} is the name of another key of arq's: choose another one")
