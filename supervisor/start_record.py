"""The first records of a pool's log."""

import os
import sys

from arq.version import VERSION

from .logs import Journal
from .model import Pool
from .stop import budget_s


def say_start(journal: Journal, pool: Pool, start_method: str, redis_dsn: str) -> None:
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


def say_hup_ignored(journal: Journal) -> None:
    """SIGHUP was ignored when we were started."""
    fields = {"signal": "SIGHUP", "because": "nohup", "instead": "--ctl reload"}
    journal.say("info", "signal.ignored", fields)
