"""The first records of a pool's log."""

import os
import sys

from arq.version import VERSION

from ..host.cpus import is_crowd, usable_cpus
from ..host.event_log import EventLog
from ..pool.shutdown import budget_s
from ..pool.state import Pool


def say_start(journal: EventLog, pool: Pool, start_method: str, redis_dsn: str) -> None:
    """What is started, and with what. `redis_dsn` is the embedded server's, "" without one."""
    options = pool.options
    fields = {
        "version": VERSION,
        "pid": os.getpid(),
        "settings": options.settings,
        "procs": options.procs,
        "start_method": start_method,
        "python": sys.version.split()[0],
        "redis": redis_dsn,
    }
    if options.graceful_timeout_s is not None:  # else the settings say it, and `pool.ready` tells
        fields["stop_budget_s"] = budget_s(pool)
    journal.say("info", "supervisor.start", fields)


def say_hup_ignored(journal: EventLog) -> None:
    """SIGHUP was ignored when we were started."""
    fields = {"signal": "SIGHUP", "because": "nohup", "instead": "--ctl reload"}
    journal.say("info", "signal.ignored", fields)


def warn_of_crowd(journal: EventLog, procs: int) -> None:
    """Many more processes than the machine has CPUs for: a slip, mostly."""
    cpus = usable_cpus()
    if is_crowd(procs, cpus):
        why = "each process costs memory and a share of the CPUs; max_jobs lets one process run many jobs"
        journal.say("warning", "procs.many", {"procs": procs, "cpus": cpus, "why": why})
