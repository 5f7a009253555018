"""What the pool was asked to be: every option of the command line, checked once."""

import math
import re
import sys
from dataclasses import dataclass

MOST_PROCS = 1024
# a forked process may not use much of what macOS offers
START_METHODS = ("fork", "exec")
DEFAULT_START_METHOD = "exec" if sys.platform == "darwin" else "fork"
NAMELESS = "pool"
POOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class OptionError(ValueError):
    """An option is out of its range; the text names the option, the value and the range."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"{option} {value}: must be {allowed}")


def pool_name(settings: str) -> str:
    """A name for the pool of these settings: the dotted path, cut down to what a file name may hold."""
    return re.sub(r"[^A-Za-z0-9_.-]+", ".", settings).strip(".")[:64] or NAMELESS


def require_pool_name(name: str) -> None:
    """See that a pool can have this name: it is a part of file names and keys.

    Raises:
        OptionError: it can not.
    """
    if not POOL_NAME.fullmatch(name):
        raise OptionError("--name", repr(name), "1 to 64 letters, digits, dots, dashes or underscores")


@dataclass(frozen=True, slots=True)
class Options:
    """One pool. Durations are in seconds; 0 switches off what can be switched off.

    `settings` is the dotted path that `arq` takes. `None` means: decided later, from what the children report
    (`graceful_timeout_s`: job_completion_wait + 10; `hang_timeout_s`: longest job timeout + 10; `start_method`: what is
    safe), or derived from other options (`min_ready`: procs; `max_restarts`: 5 x procs). `stop_hint_s` is how long a
    service manager waits for the end of a stop before it kills everybody. Raises OptionError.
    """

    settings: str
    procs: int = 1
    name: str = ""
    burst: bool = False
    boot_timeout_s: float = 60.0
    boot_retries: int = 1
    min_ready: int | None = None
    graceful_timeout_s: float | None = None
    kill_timeout_s: float = 5.0
    heartbeat_s: float = 1.0
    hang_timeout_s: float | None = None
    max_restarts: int | None = None
    restart_window_s: float = 60.0
    backoff_base_s: float = 0.5
    backoff_max_s: float = 30.0
    stable_after_s: float = 30.0
    exit_on_tempfail_s: float = 0.0
    max_jobs_per_child: int = 0
    max_rss_mb: float = 0.0
    max_lifetime_s: float = 0.0
    recycle_jitter: float = 0.1
    reload_surge: int = 1
    watch: tuple[str, ...] = ()
    watch_grace_s: float = 5.0
    watch_debounce_s: float = 0.3
    watch_poll: bool = False
    watch_ignore: tuple[str, ...] = ()
    start_method: str | None = None
    cpu_affinity: bool = False
    child_oom_score_adj: int | None = None
    release_lost_jobs: bool = True
    kill_group_on_exit: bool = True
    cron_leader: bool = True
    health_interval_s: float = 5.0
    control: str = ""
    pidfile: str = ""
    log_format: str = "text"
    log_level: str = "info"
    custom_log_dict: str = ""
    uvloop: bool = True
    embedded_redis: bool = False
    embedded_redis_dir: str = ""
    metrics: str = ""
    stop_hint_s: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", pool_name(self.settings))
        require_pool_name(self.name)
        if self.start_method not in (None, *START_METHODS):
            raise OptionError("--start-method", repr(self.start_method), "'fork' or 'exec'")
        self._check_counts()
        self._check_durations()
        self._check_metrics()
        if self.min_ready is not None and not 1 <= self.min_ready <= self.procs:
            raise OptionError("--min-ready", self.min_ready, f"between 1 and --procs ({self.procs})")
        if self.backoff_max_s < self.backoff_base_s:
            raise OptionError("--backoff-max", self.backoff_max_s, "at least --backoff-base")
        if self.embedded_redis_dir and not self.embedded_redis:
            raise OptionError(
                "--embedded-redis-dir", self.embedded_redis_dir, "given together with --embedded-redis"
            )

    def _check_counts(self) -> None:
        _within("--procs", self.procs, 1, MOST_PROCS)
        _within("--boot-retries", self.boot_retries, 0, 1000)
        _within("--max-restarts", self.max_restarts, 0, 1_000_000)
        _within("--max-jobs-per-child", self.max_jobs_per_child, 0, math.inf)
        _within("--reload-surge", self.reload_surge, 1, MOST_PROCS)
        _within("--child-oom-score-adj", self.child_oom_score_adj, 0, 1000)
        _within("--recycle-jitter", self.recycle_jitter, 0, 1)

    def _check_durations(self) -> None:
        for option, value, least in (
            ("--boot-timeout", self.boot_timeout_s, 0.1),
            ("--graceful-timeout", self.graceful_timeout_s, 0.0),
            ("--kill-timeout", self.kill_timeout_s, 0.1),
            ("--heartbeat", self.heartbeat_s, 0.05),
            ("--hang-timeout", self.hang_timeout_s, 0.0),
            ("--restart-window", self.restart_window_s, 1.0),
            ("--backoff-base", self.backoff_base_s, 0.01),
            ("--backoff-max", self.backoff_max_s, 0.01),
            ("--stable-after", self.stable_after_s, 0.0),
            ("--exit-on-tempfail", self.exit_on_tempfail_s, 0.0),
            ("--max-rss", self.max_rss_mb, 0.0),
            ("--max-lifetime", self.max_lifetime_s, 0.0),
            ("--watch-grace", self.watch_grace_s, 0.0),
            ("--watch-debounce", self.watch_debounce_s, 0.0),
            ("--health-interval", self.health_interval_s, 0.2),
        ):
            _within(option, value, least, 1e9)
        if self.hang_timeout_s and self.hang_timeout_s < 2 * self.heartbeat_s:
            raise OptionError("--hang-timeout", self.hang_timeout_s, "0 or at least two --heartbeat periods")

    def _check_metrics(self) -> None:
        try:
            split_address(self.metrics or "localhost:0")
        except ValueError as error:
            raise OptionError("--metrics", repr(self.metrics), "HOST:PORT, as in 127.0.0.1:9090") from error

    @property
    def ready_needed(self) -> int:
        """Workers that must be READY before the pool says it is."""
        return self.min_ready if self.min_ready is not None else self.procs

    @property
    def restarts_allowed(self) -> int:
        """Failures that are tolerated within `restart_window_s`."""
        return self.max_restarts if self.max_restarts is not None else 5 * self.procs


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ValueError: it is no such thing.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(address)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _within(option: str, value: float | None, least: float, most: float) -> None:
    if value is None:
        return
    if math.isnan(value) or not least <= value <= most:
        allowed = f"between {least:g} and {most:g}" if most < 1e9 else f"at least {least:g}"
        raise OptionError(option, f"{value:g}", allowed)
