"""Every event of a pool's log: when it is written, at which levels, with which fields. No I/O.

The page of reference is made of this table; a test compares it with what the code says.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A record of the log.

    Attributes:
        levels: at which it is written.
        text: what has happened, and what to do about it where that is not plain.
        fields: names of its fields, see `FIELDS`.
    """

    levels: tuple[str, ...]
    text: str
    fields: tuple[str, ...] = ()


def _event(levels: str, text: str, fields: str = "") -> LogEvent:
    return LogEvent(tuple(levels.split()), text, tuple(fields.split()))


#: What every record has, as JSON.
HEAD = {
    "ts": "when, ISO 8601 in UTC, to the millisecond",
    "level": "debug, info, warning, error or critical",
    "event": "which event",
    "pool": "name of the pool",
    "pid": "process that it is about; the supervisor's own where it is about none",
}

# fmt: off
LOG_EVENTS: dict[str, LogEvent] = {
    # a pool's life
    "supervisor.start": _event("info", "The supervisor starts.",
        "version pid settings procs start_method python redis stop_budget_s"),
    "pool.ready": _event("info", "As many workers as `--min-ready` asks for are ready: the pool works.",
        "ready concurrency stop_budget_s"),
    "supervisor.gap": _event("warning", "The supervisor itself stood still; nobody is ended for that.", "gap_s"),
    "supervisor.state": _event("info", "What it knows, after USR1 or `--ctl dump`.",
        "gen procs ready quiet reloading stopping restarts children"),
    "procs.many": _event("warning", "Many more processes than CPUs.", "procs cpus why"),
    "stop.start": _event("info", "The pool stops.", "cause budget_s code again"),
    "stop.stage": _event("warning", "A stop goes on to its next stage: 2 cancels jobs, 3 kills.", "n"),
    "stop.done": _event("info", "The pool has stopped.", "code took_s"),
    "stop.too_short": _event("warning", "The service manager waits for less than a stop may take.",
        "hint_s stop_budget_s why"),
    "hang.too_late": _event("warning", "`--hang-timeout` is longer than locks hold.", "hang_timeout_s lock_s why"),
    "boot.failed": _event("error", "No worker can start: the pool gives up.", "code error"),
    "intensity.exceeded": _event("error", "Too many workers have failed: the pool gives up.", "n window_s"),
    "ignored": _event("info", "A request that makes no sense while the pool stops.", "request why"),
    # processes
    "child.spawn": _event("info", "A process was started.", "slot pid gen role reason backoff_s"),
    "child.loaded": _event("info", "With stop-first: it has imported the settings, and waits for its turn.",
        "slot pid gen role"),
    "child.ready": _event("info", "It is ready; a worker takes jobs now.", "slot pid gen role boot_s"),
    "child.exit": _event("info error", "It has ended.",
        "slot pid gen role worker outcome status uptime_s last_beat_s ongoing jobs restarts next in"),
    "child.oom_suspected": _event("info warning",
        "Somebody else has killed it: the kernel for its memory, if `oom_kills` is above 0.", "slot pid oom_kills"),
    "child.boot_timeout": _event("error", "It was not ready within `--boot-timeout`, and is ended.",
        "slot pid role after_s"),
    "child.stall": _event("warning", "It has been silent for a while: a job blocks the event loop. Its stack follows.",
        "slot pid role last_beat_s jobs"),
    "child.hung": _event("error", "It has been silent for `--hang-timeout`, and is ended.",
        "slot pid role last_beat_s jobs"),
    "child.recovered": _event("info", "It beats again.", "slot pid"),
    "child.signal": _event("warning", "It was sent a signal that does not ask any more.", "slot pid role sig stage"),
    "child.recycle": _event("info", "It has served its time, and is replaced.", "slot pid why rss_mb"),
    "child.stacks": _event("info", "The stacks of this worker follow.", "slot pid gen"),
    "child.tasks": _event("warning", "What its tasks wait for. As text: how many; the stacks follow.",
        "slot child jobs tasks others"),
    "child.dump": _event("warning", "Its stacks have been written; this is what it runs.", "slot pid jobs"),
    "child.leftovers": _event("warning", "Processes that its jobs had started were ended with it.", "of killed"),
    "child.unreadable": _event("warning", "It has written lines into its pipe that are no messages.", "role key lines"),
    "child.unknown": _event("debug", "A process has ended that was not started here, as happens to process 1.",
        "pid status"),
    "fork.failed": _event("error", "The system refuses a process; it is tried again.",
        "role slot error errno retry_in"),
    "fork.unsafe": _event("warning", "The supervisor has another thread: what is done instead of a fork.",
        "threads instead"),
    "libraries.changed": _event("warning", "Files of imported libraries were replaced.", "libraries instead"),
    # jobs, leases, Redis
    "jobs.released": _event("info warning",
        "Jobs of a worker that is gone were given back; a warning if one is to blame.",
        "slot worker n ids cause blamed"),
    "jobs.release_failed": _event("warning", "They could not be given back; that is tried again.", "slot worker error"),
    "lease.own": _event("warning", "The steward can't use these Redis settings: workers keep their own leases.", "why"),
    "redis.lost": _event("warning", "The steward does not reach Redis.", "error"),
    "redis.back": _event("info", "It does again."),
    "redis.failed": _event("error", "The embedded server can't be started: the pool gives up.", "error"),
    "tempfail": _event("warning", "A worker could not reach Redis; it is tried again.", "slot error retry_in"),
    # reloads, recycling, what people ask for
    "reload.requested": _event("info", "Somebody wants a reload.", "cause"),
    "reload.start": _event("info", "A reload begins.", "gen"),
    "reload.canary_ok": _event("info", "The first worker with the new code is ready: the others follow.", "gen slot"),
    "reload.done": _event("info", "All workers have the new code.", "gen took_s"),
    "reload.failed": _event("error", "The new code does not start; the old one works on.", "gen error"),
    "recycle.failed": _event("warning", "A successor does not start; the old worker works on.", "slot error"),
    "spare.used": _event("warning", "With stop-first: the old code takes a place again.", "slot pid gen"),
    "spare.failed": _event("warning", "With stop-first: there is no process with the old code for this place.",
        "slot error why"),
    "spare.missing": _event("warning", "With stop-first: a worker leaves, and there is no way back.", "slot why"),
    "pool.scale": _event("info", "The number of workers changes.", "old new"),
    "pool.quiet": _event("info", "Workers take no more jobs."),
    "pool.resume": _event("info", "Workers take jobs again."),
    "signal.ignored": _event("info", "SIGHUP has no effect here.", "signal because instead"),
    # files and addresses
    "control.unavailable": _event("warning", "There is no control socket.", "path error"),
    "control.lost": _event("error", "The control socket is gone, and can't be made anew.", "error"),
    "control.anew": _event("warning", "It was removed, and made anew.", "because"),
    "pidfile.lost": _event("error", "The pid file is gone, and can't be made anew.", "error"),
    "pidfile.anew": _event("warning", "It was removed, and made anew.", "because"),
    "metrics.listening": _event("info", "Metrics and probes are served here.", "address"),
    "metrics.failed": _event("error", "They can't be served here; that is tried again.", "address error why"),
    "web.listening": _event("info", "The dashboard is here: http:// and the address.", "address"),
    # --watch
    "watch.change": _event("info", "Files have changed.", "paths n"),
    "watch.restart": _event("info", "Workers start anew.", "gen"),
    "watch.waiting": _event("warning", "The code does not start: the pool waits for a change.", "error"),
    "watch.polling": _event("warning", "The kernel does not tell of changes: files are looked at.",
        "error instead limits"),
    # of every process
    "log": _event("debug info warning error critical", "A record of a worker, as JSON.",
        "slot logger message exc job_id function try waited_s outcome seconds"),
    "log.dropped": _event("warning", "Lines are missing here: for a while nobody has read the log.", "slot n"),
}

#: Name of a field -> what it says. A field without a value is left out of a line of text.
FIELDS: dict[str, str] = {
    "address": "HOST:PORT",
    "after_s": "seconds since its start",
    "again": "what another signal does",
    "backoff_s": "seconds of the pause before",
    "because": "why",
    "blamed": "id of the job that is to blame for the death of its process",
    "boot_s": "seconds from the fork to ready",
    "budget_s": "seconds that the stop takes at most",
    "cause": "signal, command or fault that is the reason; of jobs: how their worker ended",
    "child": "pid of the worker",
    "children": "role/slot:phase:pid:generation of each",
    "code": "exit code",
    "concurrency": "`max_jobs` of all workers together",
    "cpus": "CPUs that may be used",
    "errno": "the system's number of the error",
    "error": "what went wrong, in a line",
    "exc": "traceback",
    "function": "name of the job's function",
    "gap_s": "seconds",
    "gen": "generation: number of reloads before, plus one",
    "hang_timeout_s": "seconds of `--hang-timeout`",
    "hint_s": "seconds that the service manager waits",
    "ids": "ids of up to ten jobs",
    "in": "seconds until the next start, with an s",
    "instead": "what is done instead",
    "job_id": "id of the job",
    "jobs": "`id:function` of each job that it runs; of `child.tasks` as text, how many",
    "key": "number of the process in the supervisor",
    "killed": "pid and name of each",
    "last_beat_s": "seconds since its last sign of life",
    "libraries": "their names",
    "limits": "limits of the kernel that may be the reason",
    "lines": "how many",
    "lock_s": "seconds for which locks hold",
    "logger": "name of the logger",
    "message": "the text, as a text log has it",
    "n": "how many; of `stop.stage`, which",
    "new": "workers from now on",
    "next": "restart or stay",
    "of": "pid of the worker",
    "old": "workers before",
    "ongoing": "jobs that it ran",
    "oom_kills": "processes that the kernel has killed for their memory lately; nothing where that is not known",
    "others": "tasks that are no jobs",
    "outcome": "of a process: clean, done, tempfail, boot, import, crash, hung, interrupted; of a job: started, "
        "complete, failed, retry, cancelled, aborted",
    "path": "of the socket",
    "paths": "up to five files",
    "pid": "the process",
    "procs": "workers that there should be",
    "python": "version of Python",
    "quiet": "whether workers take no jobs",
    "ready": "workers that are ready; of `pool.ready`, of how many",
    "reason": "why: boot, scale, reload, or the outcome of the one before; of helpers their role",
    "redis": "address of the embedded server",
    "reloading": "whether workers are being replaced",
    "request": "what was asked for",
    "restarts": "failures within the window, of those that are tolerated",
    "retry_in": "seconds until then, with an s",
    "role": "worker, steward, watcher, redis or spare",
    "rss_mb": "resident memory, MB",
    "seconds": "for how long the job ran",
    "settings": "SETTINGS",
    "sig": "name of the signal",
    "signal": "name of the signal",
    "slot": "number of the worker, from 0 on",
    "stage": "how far the end has come, 1 to 4",
    "start_method": "fork or exec",
    "status": "exit:CODE, or the name of a signal",
    "stop_budget_s": "seconds that a stop takes at most",
    "stopping": "whether the pool stops",
    "tasks": "name and stack of each task that is no job",
    "threads": "how many",
    "took_s": "seconds",
    "try": "number of the try, from 1 on",
    "uptime_s": "seconds since its start",
    "version": "version of arq",
    "waited_s": "seconds from the job's enqueueing to its start",
    "why": "the reason, in words",
    "window_s": "seconds of the window",
    "worker": "id of the worker in Redis",
}
# fmt: on
