"""Every option of arq-supervise. A field is one option: name, type, default, and the row that says all the rest.

The command line, its environment variables, `--help`, the checks, the units of `--print-unit`, the docstrings and
docs/reference/options.md are made of these rows: a new option is a new field here, and nothing else.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .addresses import require_address
from .option_row import (
    Kind,
    OptionError,
    Row,
    Subject,
    count,
    documented,
    flag,
    number,
    required,
    rows_of,
    seconds,
    word,
)
from .pool_names import pool_name, require_pool_name

__all__ = ["OptionError", "Options", "Question"]

MOST_PROCS = 1024
# a forked process may not use much of what macOS offers
START_METHODS = ("fork", "exec")
RELOAD_ORDERS = ("start-first", "stop-first")
DEFAULT_START_METHOD = "exec" if sys.platform == "darwin" else "fork"
# what a supervisor can be asked at its control socket; `top` asks for the status, again and again
COMMANDS = ("status", "reload", "stop", "quiet", "resume", "scale", "dump")
CTL = ("status", "top", *COMMANDS[1:])
#: The variable with the token of the dashboard: options can be seen by others.
WEB_TOKEN = "ARQ_WEB_TOKEN"  # noqa: S105  # a name


# fmt: off
@documented
@dataclass(frozen=True, slots=True)
class Options:
    """What a pool is asked to be.

    Where an option is None, what applies is decided later, from what the workers report or from other options.
    """

    settings: str = field(metadata=required(
        "--settings", Subject.RUNNING, "Dotted path of a worker settings class, as for `arq`.",
        unit="SETTINGS", is_carried=False,
    ))
    procs: int = count(
        1, "-p --procs", Subject.RUNNING, "Worker processes.", 1, most=MOST_PROCS,
        cli_default="auto", usual="auto",
    )
    name: str = word(
        "", "--name", Subject.RUNNING, "Name of the pool.", "NAME", applies="from SETTINGS", is_carried=False,
    )
    burst: bool = flag(False, "--burst", Subject.RUNNING, "End when the queue is empty.")
    boot_timeout_s: float = seconds(
        60.0, "--boot-timeout", Subject.STARTING, "Seconds from the fork to READY.", 0.1, sets="TimeoutStartSec",
    )
    boot_retries: int = count(
        1, "--boot-retries", Subject.STARTING,
        "Failing start hooks that are tolerated before the pool was ever ready.",
        0, most=1000, sets="TimeoutStartSec",
    )
    min_ready: int | None = count(
        None, "--min-ready", Subject.STARTING, "Workers that must be READY before the pool is.", -math.inf,
        applies="procs", allowed="between 1 and procs",
    )
    graceful_timeout_s: float | None = seconds(
        None, "--graceful-timeout", Subject.STOPPING, "Seconds from TERM to QUIT.",
        applies="job_completion_wait + 10",
        sets="TimeoutStopSec",
    )
    kill_timeout_s: float = seconds(
        5.0, "--kill-timeout", Subject.STOPPING, "Seconds from QUIT to ABRT, and from ABRT to KILL.", 0.1,
        sets="TimeoutStopSec",
    )
    heartbeat_s: float = seconds(1.0, "--heartbeat", Subject.RESTARTING, "Seconds between two beats of a worker.",
        0.05)
    hang_timeout_s: float | None = seconds(
        None, "--hang-timeout", Subject.RESTARTING, "Seconds of silence that end a worker; 0: never.",
        applies="job timeout + 10",
        allowed="0, or at least two heartbeats",
    )
    max_restarts: int | None = count(
        None, "--max-restarts", Subject.RESTARTING, "Failures tolerated within the window.", 0, most=1_000_000,
        applies="5 x procs",
    )
    restart_window_s: float = seconds(60.0, "--restart-window", Subject.RESTARTING, "Seconds of that window.", 1.0)
    backoff_base_s: float = seconds(
        0.5, "--backoff-base", Subject.RESTARTING, "Pause before the first restart; doubled each time.", 0.01,
    )
    backoff_max_s: float = seconds(
        30.0, "--backoff-max", Subject.RESTARTING, "Longest pause before a restart.", 0.01,
        allowed="at least 0.01 and backoff_base_s",
    )
    stable_after_s: float = seconds(
        30.0, "--stable-after", Subject.RESTARTING, "Seconds of work after which earlier failures are forgiven.",
    )
    exit_on_tempfail_s: float = seconds(
        0.0, "--exit-on-tempfail", Subject.REDIS, "Give up after so many seconds without Redis; 0: never.",
    )
    max_jobs_per_child: int = count(
        0, "--max-jobs-per-child", Subject.RECYCLING, "Replace a worker after so many jobs; 0: never.", 0,
    )
    max_rss_mb: float = number(
        0.0, "--max-rss", Subject.RECYCLING, "Replace a worker that uses more MB; 0: never.", "MB",
    )
    max_lifetime_s: float = seconds(
        0.0, "--max-lifetime", Subject.RECYCLING, "Replace a worker after so many seconds; 0: never.",
    )
    recycle_jitter: float = number(
        0.1, "--recycle-jitter", Subject.RECYCLING, "Spread of the limits of jobs and seconds, as a fraction.",
        "FRACTION", most=1.0,
    )
    reload_order: str | None = word(
        None, "--reload-order", Subject.RELOADING,
        "Which comes first when a worker is replaced: the start of the new one, or the end of the old one.",
        choices=RELOAD_ORDERS,
        applies="start-first; stop-first with --reload-surge 0", sets="TimeoutStartSec",
    )
    reload_surge: int | None = count(
        None, "--reload-surge", Subject.RELOADING, "Additional processes while workers are replaced; 0 is stop-first.",
        0, most=MOST_PROCS, applies="1; 0 with --reload-order stop-first", other_spelling="reload_order",
        sets="TimeoutStartSec",
    )
    watch: tuple[str, ...] = word(
        (), "--watch", Subject.DEVELOPMENT, "Development: restart when Python files change.", "PATH",
        applies="off",
    )
    watch_grace_s: float = seconds(
        5.0, "--watch-grace", Subject.DEVELOPMENT, "Seconds that running jobs get when a watched file changes.",
    )
    watch_debounce_s: float = seconds(
        0.3, "--watch-debounce", Subject.DEVELOPMENT, "Seconds without a further change before the restart.",
    )
    watch_poll: bool = flag(
        False, "--watch-poll", Subject.DEVELOPMENT, "Look at the files instead of waiting for the kernel's word.",
    )
    watch_ignore: tuple[str, ...] = word(
        (), "--watch-ignore", Subject.DEVELOPMENT, "Files whose changes do not matter.", "GLOB", applies="none",
    )
    start_method: str | None = word(
        None, "--start-method", Subject.STARTING, "How children start.", choices=START_METHODS,
        applies="fork; exec on macOS, or if the parent has threads",
    )
    cpu_affinity: bool = flag(
        False, "--cpu-affinity", Subject.RUNNING, "Give each worker a CPU of its own.", choices=("off", "spread"),
        sets="SystemCallFilter",
    )
    child_oom_score_adj: int | None = count(
        None, "--child-oom-score-adj", Subject.RUNNING,
        "Make workers likelier victims of the kernel than the parent (0-1000).", 0, most=1000,
        applies="as the parent",
        usual="200",
    )
    release_lost_jobs: bool = flag(
        True, "--release-lost-jobs/--no-release-lost-jobs", Subject.RESTARTING, "Give a dead worker's jobs back.",
    )
    kill_group_on_exit: bool = flag(
        True, "--kill-group-on-exit/--no-kill-group-on-exit", Subject.RESTARTING,
        "End what jobs have started with their worker.",
    )
    cron_leader: bool = flag(
        True, "--cron-leader/--no-cron-leader", Subject.RUNNING, "Only slot 0 runs what would run N times.",
    )
    health_interval_s: float = seconds(
        5.0, "--health-interval", Subject.PROBES, "Seconds between two writes of the health keys.", 0.2,
    )
    control: str = word(
        "", "--control", Subject.CONTROL, "Control socket.", "PATH|off",
        applies="NAME.sock in the runtime directory",
        sets="ExecReload",
    )
    pidfile: str = word(
        "", "--pidfile", Subject.CONTROL, "Locked file with the supervisor's pid.", "PATH", applies="none",
    )
    log_format: str = word(
        "text", "--log-format", Subject.LOGS, "One line a record, or one JSON object.", choices=("text", "json"),
        usual="json",
    )
    log_level: str = word(
        "info", "--log-level", Subject.LOGS, "What is logged, at least.", choices=("debug", "info", "warning",
        "error"),
    )
    custom_log_dict: str = word(
        "", "--custom-log-dict", Subject.LOGS, "Dotted path of the workers' logging config.", "PATH",
        applies="the pool's log",
    )
    uvloop: bool = flag(True, "--uvloop/--no-uvloop", Subject.RUNNING, "Run workers on uvloop.")
    embedded_redis: bool = flag(
        False, "--embedded-redis", Subject.REDIS, "Start a private Valkey; its address is REDIS_DSN.",
    )
    embedded_redis_dir: str = word(
        "", "--embedded-redis-dir", Subject.REDIS, "Keep its data here.", "DIR", applies="a temporary directory",
    )
    metrics: str = word(
        "", "--metrics", Subject.PROBES, "Serve Prometheus metrics, /livez and /readyz here.", "HOST:PORT",
        applies="off",
    )
    web: str = word(
        "", "--web", Subject.WEB, f"Serve the dashboard here, as `arq web` does; its token is in {WEB_TOKEN}.",
        "HOST:PORT", applies="off",
    )
    web_allow: str = word(
        "", "--web-allow", Subject.WEB, "What viewers of the dashboard may do; needs the token.", "ACTION,...",
        applies="look only",
    )
    web_origin: str = word(
        "", "--web-origin", Subject.WEB, "Where browsers reach it by way of a proxy.", "URL,...", applies="its address",
    )
    stop_hint_s: float | None = seconds(
        None, "", Subject.STOPPING, "Seconds that a service manager waits at a stop before it kills everybody;"
        " a warning tells when that is less than the stop may take.", -math.inf, named_env="TIMEOUT_STOP_HINT",
        is_carried=False,
    )
    # fmt: on

    def __post_init__(self) -> None:
        for row in POOL:
            row.check(getattr(self, row.name))
        if not self.name:
            object.__setattr__(self, "name", pool_name(self.settings))
        require_pool_name(self.name)
        self._settle_reload()
        self._check_together()

    def _settle_reload(self) -> None:
        """Two spellings of one thing: no additional process is stop-first."""
        is_stop_first = self.reload_order == "stop-first" if self.reload_order else self.reload_surge == 0
        order, surge = RELOAD_ORDERS[is_stop_first], self.reload_surge
        surge = int(not is_stop_first) if surge is None else surge
        if (surge == 0) != is_stop_first:
            raise OptionError("--reload-surge", surge, f"{'0' if surge else '1 or more'} with --reload-order {order}")
        object.__setattr__(self, "reload_order", order)
        object.__setattr__(self, "reload_surge", surge)

    def _check_together(self) -> None:
        """What depends on another option, or is more than a range."""
        if self.min_ready is not None and not 1 <= self.min_ready <= self.procs:
            raise OptionError("--min-ready", self.min_ready, f"between 1 and --procs ({self.procs})")
        if self.hang_timeout_s and self.hang_timeout_s < 2 * self.heartbeat_s:
            raise OptionError("--hang-timeout", self.hang_timeout_s, "0 or at least two --heartbeat periods")
        if self.backoff_max_s < self.backoff_base_s:
            raise OptionError("--backoff-max", self.backoff_max_s, "at least --backoff-base")
        for option, value, partner, is_given in (
            ("--embedded-redis-dir", self.embedded_redis_dir, "--embedded-redis", self.embedded_redis),
            ("--web-allow", self.web_allow, "--web", self.web),
            ("--web-origin", self.web_origin, "--web", self.web),
        ):
            if value and not is_given:
                raise OptionError(option, value, f"given together with {partner}")
        require_address("--metrics", self.metrics, "127.0.0.1:9090")
        require_address("--web", self.web, "127.0.0.1:8800")

    @property
    def surge(self) -> int:
        """Processes that there may be more than `procs` while workers are replaced."""
        return self.reload_surge or 0

    @property
    def is_stop_first(self) -> bool:
        """Does a worker leave before the one that replaces it starts? With `watch` all leave at once in any case."""
        return self.reload_order == "stop-first" and not self.watch

    @property
    def ready_needed(self) -> int:
        """Workers that must be READY before the pool says it is."""
        return self.min_ready if self.min_ready is not None else self.procs

    @property
    def restarts_allowed(self) -> int:
        """Failures that are tolerated within `restart_window_s`."""
        return self.max_restarts if self.max_restarts is not None else 5 * self.procs


# fmt: off
@dataclass(frozen=True, slots=True)
class Question:
    """What the command is asked for instead of running a pool, and how the answer is wanted."""

    check: bool = flag(
        False, "--check", Subject.PROBES, "Report the health of the pool and leave: 0 healthy, 1 not, 3 unknown.",
        is_question=True,
    )
    local: bool = flag(
        False, "--local", Subject.PROBES, "With --check: ask the supervisor only, not Redis.",
        goes_with=("--check",),
    )
    strict: bool = flag(
        False, "--strict", Subject.PROBES, "With --check: every worker must be healthy.", goes_with=("--check",),
    )
    min_healthy: int = count(1, "--min-healthy", Subject.PROBES, "With --check: workers that must be.", 1)
    redis_url: str = word(
        "", "--redis-url", Subject.PROBES, "With --check: Redis, instead of importing SETTINGS.", "DSN",
        applies="from SETTINGS", goes_with=("--check",),
    )
    fleet: bool = flag(
        False, "--fleet", Subject.PROBES, "With --check: all pools of the queue on all hosts, from Redis.",
        goes_with=("--check",),
    )
    ctl: str | None = word(
        None, "--ctl", Subject.CONTROL, "Tell a running pool what to do; `scale` and `dump` take a number.",
        choices=CTL, is_question=True,
    )
    wait: bool = flag(
        False, "--wait", Subject.CONTROL, "With --ctl reload and stop: wait for the result.", goes_with=("--ctl",),
    )
    as_json: bool = flag(
        False, "--json", Subject.CONTROL, "With --check and --ctl: as JSON.", goes_with=("--check", "--ctl"),
    )
    check_settings: bool = flag(
        False, "--check-settings", Subject.HELP, "Import SETTINGS, say what is in them, and leave.", is_question=True,
    )
    print_unit: bool = flag(
        False, "--print-unit", Subject.HELP, "Print a systemd unit for this pool and leave.", is_question=True,
    )
    template: bool = flag(
        False, "--template", Subject.HELP, "With --print-unit: the unit for several pools.",
    )
    # fmt: on

    def __post_init__(self) -> None:
        for row in QUESTION:
            row.check(getattr(self, row.name))


POOL: tuple[Row, ...] = tuple(rows_of(Options))
QUESTION: tuple[Row, ...] = tuple(rows_of(Question))
ROWS = {row.name: row for row in (*POOL, *QUESTION)}


def values_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line says, as `Options` takes it: of two words, which stand for off and on, True or False."""
    return {
        name: value == row.choices[True] if (row := ROWS[name]).kind is Kind.FLAG and row.choices else value
        for name, value in given.items()
    }
