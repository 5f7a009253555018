"""Exit codes: the supervisor's, those of probes, a child's; and what the end of a child means."""

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How `arq-supervise` itself ends. The first cause wins and is never overwritten."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    BOOT = 3
    SETTINGS = 4
    INTENSITY = 5
    INTERRUPTED = 6
    TAKEN = 7
    UNAVAILABLE = 69


#: What each of them means, and whether a service manager should start the pool again.
MEANINGS: dict[ExitCode, tuple[str, str]] = {
    ExitCode.OK: ("stopped as asked, every worker drained; or burst finished", ""),
    ExitCode.INTERNAL: ("a bug in the supervisor; workers are stopped first", "yes"),
    ExitCode.USAGE: ("wrong options, or `--web` at an address that can't be had", "no"),
    ExitCode.BOOT: ("workers fail to boot: `on_startup` raised, or took longer than `--boot-timeout`", "yes"),
    ExitCode.SETTINGS: (
        (
            "the settings can't be imported, are none, or lead to a server that no worker can use "
            "(a cluster without `cluster=True`, a sentinel; more servers in `redis_settings` than `--procs`)"
        ),
        "no",
    ),
    ExitCode.INTENSITY: (
        (
            "too many crashes within `--restart-window` for which no job is to blame, or ten times as many in a row "
            "without one job that is completed"
        ),
        "yes, with a pause",
    ),
    ExitCode.INTERRUPTED: (
        "stopped, but a worker had to be killed: its jobs were interrupted, and run again elsewhere",
        "",
    ),
    ExitCode.TAKEN: ("another supervisor runs this pool", "no"),
    ExitCode.UNAVAILABLE: ("`--exit-on-tempfail`: Redis stayed away", "yes"),
}


class ProbeCode(IntEnum):
    """How `--check` and `--ctl` end: UNKNOWN = nobody could be asked. Wrong options end them as ExitCode says."""

    OK = 0
    FAILED = 1
    UNKNOWN = 3
    SETTINGS = 4


#: What each of them means.
PROBE_MEANINGS: dict[ProbeCode, str] = {
    ProbeCode.OK: "healthy; the command was carried out",
    ProbeCode.FAILED: "not healthy; refused, or failed",
    ProbeCode.UNKNOWN: "nobody could be asked",
    ProbeCode.SETTINGS: "the settings can't be used",
}


class ChildCode(IntEnum):
    """The closed vocabulary of a child; every other code, and every signal, is a crash."""

    CLEAN = 0
    UNFINISHED = 1
    BOOT = 3
    IMPORT = 4
    TEMPFAIL = 75


def by_signal(number: int) -> int:
    """The exit code of a program that a signal has ended, as shells count."""
    return 128 + number


class ExitCause(StrEnum):
    """What the end of a child means to the pool."""

    CLEAN = "clean"
    DONE = "done"
    TEMPFAIL = "tempfail"
    BOOT_FAIL = "boot"
    IMPORT_FAIL = "import"
    CRASH = "crash"
    HUNG = "hung"
    INTERRUPTED = "interrupted"

    @property
    def is_failure(self) -> bool:
        """Does it count toward the restart limit, and double the pause before the next start?"""
        return self in FAILURES


FAILURES = frozenset({ExitCause.CRASH, ExitCause.HUNG, ExitCause.BOOT_FAIL, ExitCause.IMPORT_FAIL})
