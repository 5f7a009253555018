"""Names that modules of arq 0.26 - 0.28 had because they imported them: applications import them from there, too.

Also names that one would look for there.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_CONSTANTS = (
    "abort_job_max_age abort_jobs_ss default_queue_name expires_extra_ms health_check_key_suffix "
    "in_progress_key_prefix job_key_prefix keep_cronjob_progress result_key_prefix retry_key_prefix"
)
_UTILS = "args_to_string import_string ms_to_datetime poll timestamp_ms to_ms to_seconds to_unix_ms truncate"
_JOBS = "Deserializer SerializationError Serializer deserialize_job_raw serialize_result"
_HOMES = {
    name: home
    for home, names in {
        "arq.constants": _CONSTANTS,
        "arq.utils": _UTILS,
        "arq.jobs": _JOBS,
        "arq.cron": "CronJob",
        "arq": "Backoff Snooze",  # beside `Retry`, where others would look for them
        "redis.exceptions": "ResponseError WatchError",
    }.items()
    for name in names.split()
}


def elsewhere(module: str, name: str) -> Any:
    """What a module's `__getattr__` answers.

    Raises:
        AttributeError: no arq had it there.
    """
    home = _HOMES.get(name)
    if home is None or home == module:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
