"""The log configuration of the command line."""

from __future__ import annotations

from typing import Any


def default_log_config(verbose: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`: the logger `arq` writes to stderr.

    Args:
        verbose: log at DEBUG instead of INFO.
    """
    log_level = "DEBUG" if verbose else "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "arq.standard": {
                "level": log_level,
                "class": "logging.StreamHandler",
                "formatter": "arq.standard",
            }
        },
        "formatters": {"arq.standard": {"format": "%(asctime)s: %(message)s", "datefmt": "%H:%M:%S"}},
        "loggers": {"arq": {"handlers": ["arq.standard"], "level": log_level}},
    }
