"""Every environment variable that arq and arq-supervise read or set."""

from supervisor.options import ROWS

from .markdown import GENERATED, code, table

HEAD = """# Environment variables

## Options of arq-supervise

Each [option](options.md) has one. The command line wins. A name that is close to one of these gets a warning.

"""
#: Name -> who reads it, and what for.
READ = {
    "ARQ_REDIS": "`arq ls`, `arq show` and the other commands for operators: address of Redis, as `--redis`; several with "
    "blanks between them",
    "ARQ_SHARD": "`arq`: which of several servers in `redis_settings` this worker works for, from 0 on",
    "ARQ_SIGNING_KEYS": "`Keyring.from_env()`, and the commands of `arq`: keys that sign payloads, `ID:KEY ID:KEY`",
    "ARQ_WEB_TOKEN": "`arq web` and `arq-supervise --web`: the secret that opens the dashboard, as `--token`",
    "TIMEOUT_STOP_HINT": "`arq-supervise`: seconds that the service manager waits at a stop; `stop.too_short` warns",
    "ARQ_TIMEZONE": "timezone of the datetimes in job infos; also `arq_timezone`, `TIMEZONE`, `timezone`. Default: UTC",
    "WATCHFILES_FORCE_POLLING": "`--watch` of both commands: look at the files instead of waiting for the kernel's word",
    "WATCHFILES_POLL_DELAY_MS": "milliseconds between two such looks",
    "NO_COLOR": "no colours in what the commands of `arq` show",
    "RUNTIME_DIRECTORY": "where the control socket is: systemd's directory for the service",
    "XDG_RUNTIME_DIR": "the same: the session's directory",
    "SUDO_UID": "under sudo: the pools of the caller are found, too",
    "SUDO_GID": "under sudo: for whom `--print-unit` writes a unit",
    "NOTIFY_SOCKET": "systemd: where to tell READY, STOPPING and STATUS; this and what follows is kept from workers",
    "WATCHDOG_USEC": "systemd: how often the supervisor has to say that it lives",
    "WATCHDOG_PID": "systemd: for which process that is meant",
    "LISTEN_PID": "systemd: taken away, as the next two: no sockets are handed over",
    "LISTEN_FDS": "systemd",
    "LISTEN_FDNAMES": "systemd",
    "_ARQ_COMPLETE": 'completion in shells: `eval "$(_ARQ_COMPLETE=bash_source arq)"`; also `_ARQ_SUPERVISE_COMPLETE`',
}
#: What a job finds.
SET = {
    "ARQ_POOL_NAME": "name of the pool",
    "ARQ_WORKER_SLOT": "number of this worker, from 0 on",
    "ARQ_WORKER_COUNT": "number of workers",
    "ARQ_WORKER_ID": "who this worker is in Redis",
    "ARQ_PREVIOUS_WORKER_ID": "who was in this slot before, if anybody",
    "ARQ_WORKER_GENERATION": "how many reloads there were, plus one",
    "ARQ_SUPERVISOR_PID": "the supervisor",
    "REDIS_DSN": "with `--embedded-redis`: its address, `unix:///path` of a socket that only this user can reach",
}
#: Between processes of ours.
INTERNAL = ("ARQ_WATCHED", "_ARQ_SUPERVISE_ORDERS")


def page() -> str:
    """The page."""
    options = ((code(row.env), code(row.option) or "none") for row in ROWS.values())
    read = ((code(name), text) for name, text in READ.items())
    found = ((code(name), text) for name, text in SET.items())
    return (
        GENERATED.format(source="supervisor/options.py and manual/environment_page.py")
        + HEAD
        + table(("variable", "option"), options)
        + "\n## Read\n\n"
        + table(("variable", "who reads it, and what for"), read)
        + "\n## Set for jobs by arq-supervise\n\nA job, and what it starts, finds these. Nothing of arq reads them.\n\n"
        + table(("variable", "value"), found)
        + f"\n{' and '.join(map(code, INTERNAL))} are between processes of ours.\n"
    )
