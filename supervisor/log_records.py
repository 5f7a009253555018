"""A record of the log as text: JSON for programs, `key=value` for people."""

import datetime
import json
import os
from collections.abc import Callable, Mapping

from .printable_text import printable

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def now_iso() -> str:
    """The time of day for a record."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_record(level: str, pool: str, event: str, fields: Mapping[str, object]) -> str:
    """One JSON object; `pid` is the supervisor's unless the event is about another process."""
    head = {"ts": now_iso(), "level": level, "event": event, "pool": pool, "pid": os.getpid()}
    return json.dumps({**head, **fields}, default=str) + "\n"


def text_record(level: str, pool: str, event: str, fields: Mapping[str, object]) -> str:
    """`12:03:04: [pool] event key=value ...`; fields that say nothing are left out."""
    clock = datetime.datetime.now().astimezone().strftime("%H:%M:%S")
    shown = [f"{name}={_shown(value)}" for name, value in fields.items() if value not in (None, "", [], ())]
    mark = "" if LEVELS[level] < LEVELS["warning"] else f"{level.upper()} "
    return " ".join([f"{clock}: [{pool}] {mark}{event}", *shown]) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ",".join(_quoted(str(item), ' ",]') for item in value) + "]"
    return _quoted(str(value), ' "')


def _quoted(text: str, marks: str) -> str:
    """A text that can't be taken for more than one value of the line."""
    if text.isprintable() and not any(mark in text for mark in marks):
        return text
    return printable(json.dumps(text, ensure_ascii=False))


def lost_lines(pool: str, log_format: str, **fields: object) -> Callable[[int], str]:
    """What an outlet says about lines that were lost."""
    record = json_record if log_format == "json" else text_record
    return lambda count: record("warning", pool, "log.dropped", {**fields, "n": count})
