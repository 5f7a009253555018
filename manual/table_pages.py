"""Log events, metrics, keys, exit codes and signals, from the tables in the code."""

from collections.abc import Iterator

from arq._commands.exit_codes import MEANINGS as OF_COMMANDS
from arq._key_table import KEYS
from supervisor.exit_codes import MEANINGS as OF_POOLS
from supervisor.exit_codes import PROBE_MEANINGS
from supervisor.ipc.job_stats import BUCKETS_S
from supervisor.log_events import FIELDS, HEAD, LOG_EVENTS
from supervisor.metric_table import LABELS, METRICS
from supervisor.process.signals import MEANINGS as OF_SIGNALS

from .markdown import GENERATED, code, table

EVENTS = """# Log events

`arq-supervise` writes a record for each event: a line of text, or with `--log-format json` one JSON object on a line. Names
of events and fields stay; texts of workers are those of arq. [JSON logs, and what to filter by](../how-to/json-logs.md).

    12:03:04: [shop] child.ready slot=0 pid=4711 gen=1 role=worker boot_s=0.214
    {"ts": "2026-11-28T12:03:04.120Z", "level": "info", "event": "child.ready", "pool": "shop", "pid": 4711, "slot": 0, ...}

"""
METRIC_PAGE = """# Metrics

What `arq-supervise SETTINGS --metrics HOST:PORT` serves at `/metrics`, in Prometheus' text format; beside it `/livez` and
`/readyz`. Needs the extra `metrics`. Counters begin anew with the supervisor, not with a worker.
[Scrape them](../how-to/prometheus.md).

"""
KEY_PAGE = """# Keys in Redis

Everything that arq has in Redis. Names with `<queue>:` in front begin with the name of the queue, `arq:queue` if nothing else
is said; all others begin with `arq:`. With a [prefix](../how-to/redis-acl.md#a-prefix-of-ones-own) it stands before all of them. Nothing is written outside of these names. What queues must not be called:
[compatibility](../compatibility.md). Times are unix time in ms by Redis's clock.

"""
CODES = """# Exit codes and signals

## arq-supervise

The first cause wins and is never overwritten.

"""
WORKER_SIGNALS = """
The stages of a stop are: drain, cancel, kill; see [the time budget of a stop](../operations.md#the-time-budget-of-a-stop).

A worker process of a pool takes TERM (drain), QUIT (cancel), USR1 (stack) and USR2 (quiet), and ignores INT: a Ctrl-C reaches
it through its parent, once.

## Signals to arq

| signal | what it does |
| --- | --- |
| TERM, INT | stop: running jobs get `job_completion_wait`, without it they are cancelled and put back |
| QUIT, a second Ctrl-C | cancel running jobs now; they are put back |
| a third Ctrl-C | leave at once, with status 130 |
"""


def events_page() -> str:
    """The page of log events."""
    groups: dict[str, list[str]] = {}
    for event in LOG_EVENTS:
        groups.setdefault(event.partition(".")[0], []).append(event)
    head = "Every record has, as JSON:\n\n" + table(("field", "what it says"), _coded(HEAD))
    rows = (row for events in groups.values() for row in map(_event_row, events))
    return (
        GENERATED.format(source="supervisor/log_events.py")
        + EVENTS
        + head
        + "\n## Events\n\n"
        + table(("event", "level", "when", "fields"), rows)
        + "\n## Fields\n\n"
        + table(("field", "what it says"), _coded(FIELDS))
    )


def _event_row(event: str) -> tuple[str, ...]:
    row = LOG_EVENTS[event]
    return code(event), " or ".join(row.levels), row.text, ", ".join(map(code, row.fields))


def _coded(said: dict[str, str]) -> Iterator[tuple[str, str]]:
    return ((code(name), text) for name, text in said.items())


def metrics_page() -> str:
    """The page of metrics."""
    rows = (
        (code(name), row.kind, row.text, ", ".join(map(code, row.labels))) for name, row in METRICS.items()
    )
    limits = ", ".join(f"{limit:g}" for limit in BUCKETS_S)
    return (
        GENERATED.format(source="supervisor/metric_table.py")
        + METRIC_PAGE
        + table(("metric", "kind", "what it is", "labels"), rows)
        + f"\nHistograms have buckets up to {limits} seconds.\n\n## Labels\n\n"
        + table(("label", "what it says"), _coded(LABELS))
    )


def keys_page() -> str:
    """The page of keys."""
    head = ("key", "type", "what is in it", "life")

    def rows(*, is_ours: bool) -> Iterator[tuple[str, ...]]:
        return ((code(key.name), key.kind, key.text, key.life) for key in KEYS if key.is_ours is is_ours)

    return (
        GENERATED.format(source="arq/_key_table.py")
        + KEY_PAGE
        + "## Those of every arq\n\nThe same in arq 0.26 - 0.28.\n\n"
        + table(head, rows(is_ours=False))
        + "\n## Those of this arq\n\n"
        + table(head, rows(is_ours=True))
    )


def codes_page() -> str:
    """The page of exit codes and signals."""
    pool = ((str(int(code)), text, again) for code, (text, again) in OF_POOLS.items())
    probes = ((str(int(code)), text) for code, text in PROBE_MEANINGS.items())
    commands = ((str(int(code)), text) for code, text in OF_COMMANDS.items())
    signals = ((name.name.removeprefix("SIG"), *texts) for name, texts in OF_SIGNALS.items())
    return (
        GENERATED.format(
            source="supervisor/exit_codes.py, supervisor/process/signals.py and arq/_commands/exit_codes.py"
        )
        + CODES
        + table(("code", "meaning", "should a service manager restart it?"), pool)
        + "\n## arq-supervise --check, --ctl, --check-settings\n\nWrong options: 2.\n\n"
        + table(("code", "meaning"), probes)
        + "\n## arq SETTINGS\n\n"
        + table(("code", "meaning"), OF_ARQ)
        + "\n## arq ls, arq show and the other commands\n\n"
        + table(("code", "meaning"), commands)
        + "\n## Signals to arq-supervise\n\n"
        + table(("signal", "running", "stopping"), signals)
        + WORKER_SIGNALS
    )


OF_ARQ = (
    (
        "0",
        "stopped as asked; with `--burst`: the queue is empty, also if jobs have failed; with `--check`: healthy",
    ),
    (
        "1",
        "the settings can't be used, Redis can't be reached at the start, a start hook raised; `--check`: not healthy",
    ),
    ("2", "wrong options"),
    ("130", "a third Ctrl-C"),
)
