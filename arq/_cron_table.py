"""Schedules as workers show them to operators: one JSON text each. No I/O."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple

from ._cron_calendar import RANGES
from ._types import WEEKDAYS
from .cron import CronJob
from .utils import to_unix_ms

_FIELDS = ("minute", "hour", "day", "month", "weekday")
#: ms after which a schedule that no worker has shown since is forgotten.
SHOWN_MS = 2 * 86_400_000


def shown(cron_job: CronJob, zone: tzinfo, now: datetime, payload: bytes | None) -> str:
    """A schedule as text.

    Args:
        zone: in which it is read.
        now: aware.
        payload: of a job that runs it, where the worker has a serializer of its own; else None.
    """
    fields = {
        "name": cron_job.name,
        "spec": spec_of(cron_job),
        "fields": {name: _values(getattr(cron_job, name)) for name in (*_FIELDS, "second", "microsecond")},
        "zone": getattr(zone, "key", None),
        "offset_s": _offset_s(zone, now),
        "hash": cron_job.schedule_hash(),
        "unique": cron_job.unique,
        "timeout_s": _finite(cron_job.timeout_s),
        "seen_ms": to_unix_ms(now),
        "payload": None if payload is None else base64.b64encode(payload).decode(),
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _offset_s(zone: tzinfo, now: datetime) -> int:
    offset = now.astimezone(zone).utcoffset() or timedelta()
    return round(offset.total_seconds())


def _values(option: Any) -> Any:
    """What a field matches, as JSON has it."""
    if option is None or isinstance(option, int | str):
        return option
    return sorted(option, key=str) if isinstance(option, Iterable) else str(option)


def spec_of(cron_job: CronJob) -> str:
    """A schedule as in a crontab: minute, hour, day, month, weekday; and other seconds than 0."""
    text = " ".join(_shown_field(name, getattr(cron_job, name)) for name in _FIELDS)
    second = _shown_field("second", cron_job.second)
    return text if second == "0" else f"{text} second={second}"


def _shown_field(name: str, option: Any) -> str:
    if option is None:
        return "*"
    values = [option] if isinstance(option, int | str) else list(option)
    numbers = [WEEKDAYS.index(one) if one in WEEKDAYS else one for one in values]
    if name == "weekday":
        return ",".join(WEEKDAYS[int(one)] for one in sorted(map(int, numbers)))
    return _compact(sorted({int(one) for one in numbers}), *RANGES[name])


def _compact(values: list[int], low: int, high: int) -> str:
    """As crontabs have it: `*`, `*/5`, `9-17`, `0,30`."""
    step = values[1] - values[0] if len(values) > 2 else 0
    if step and values == list(range(low, high + 1, step)):
        return "*" if step == 1 else f"*/{step}"
    if step == 1 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]}-{values[-1]}"
    return ",".join(map(str, values))


class Shown(NamedTuple):
    """What a worker has shown of a schedule."""

    name: str
    spec: str
    fields: dict[str, Any]
    zone: tzinfo
    zone_name: str
    schedule_hash: str
    unique: bool
    timeout_s: float | None
    seen_ms: int
    payload: bytes | None


def read(text: bytes) -> Shown | None:
    """What `shown` has written; None for anything else."""
    try:
        found = json.loads(text)
        zone, zone_name = _zone(found.get("zone"), int(found["offset_s"]))
        payload = found.get("payload")
        return Shown(
            str(found["name"]),
            str(found["spec"]),
            dict(found["fields"]),
            zone,
            zone_name,
            str(found["hash"]),
            bool(found["unique"]),
            found.get("timeout_s"),
            int(found["seen_ms"]),
            None if payload is None else base64.b64decode(payload),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _zone(key: str | None, offset_s: int) -> tuple[tzinfo, str]:
    if key is not None:
        from zoneinfo import ZoneInfo

        try:
            return ZoneInfo(key), key
        except (ValueError, LookupError, OSError):  # not known here
            pass
    offset = timedelta(seconds=offset_s)
    zone = timezone(offset)
    return zone, key or ("UTC" if not offset else datetime.now(UTC).astimezone(zone).strftime("UTC%z"))
