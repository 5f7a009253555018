"""The user's settings: found by their path, imported, and looked at."""

import os
import sys
from typing import Any

import arq.utils
import arq.worker
from arq._did_you_mean import path_hint, settings_in, slips

# what a supervised worker does where the settings say nothing: a stop or a reload is no reason to break off a job
IF_SILENT = {"job_completion_wait": 10}


def load_settings(path: str) -> Any:
    """Import the settings object, as `arq` does: with the working directory on the path."""
    see_working_directory()
    return arq.utils.import_string(path)


def see_working_directory() -> None:
    """Have modules of the working directory found, after those of Python and of libraries, as `arq` does."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def where_looked(path: str, error: BaseException) -> str:
    """What to do about a module of the path that is not there; "" for any other mistake."""
    hint = path_hint(path, error)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not missing or not f"{path}.".replace(":", ".").startswith(f"{missing}."):
        return hint
    return f"; looked in {os.getcwd()} and on the Python path{hint}"


def require_settings(path: str, settings: Any) -> None:
    """Anything may be behind a dotted path.

    Raises:
        TypeError: it can be no settings.
    """
    if not {"functions", "cron_jobs"} & arq.worker.get_kwargs(settings).keys():
        kind = type(settings).__name__
        inside = settings_in(settings) if kind == "module" else []
        hint = f"; did you mean {path}.{inside[0]}?" if inside else ""
        raise TypeError(
            f"{path} ({kind}) has neither 'functions' nor 'cron_jobs': give a settings class{hint}"
        )


def slips_in(settings: Any) -> list[str]:
    """What is said about attributes that were meant to be settings, it seems."""
    found = slips(settings, arq.worker.option_names())
    return [
        f"{name} is no setting, and has no effect: did you mean {option}?" for name, option in found.items()
    ]
