"""What the command answers without running a pool: `--check`, `--ctl`, `--check-settings`, `--print-unit`.

Imports what an answer needs when it is needed: probes ask often.
"""

import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from ..console import leave, tell
from ..exit_codes import ExitCode, ProbeCode
from ..options import QUESTION, OptionError, Question
from ..pool_names import pool_name, require_pool_name

# what other programs call it
ALSO_CALLED = dict.fromkeys(
    ("--workers", "--processes", "--proc", "--concurrency", "--num-workers", "-w", "-c"), "--procs"
)


def refuse_misplaced(question: Question, is_by_hand: Callable[[str], bool]) -> None:
    """Leave when an option would be ignored: who gave it expects an answer, not a running pool."""
    asked = "--ctl" if question.ctl is not None else "--check" if question.check else ""
    for row in QUESTION:
        is_misplaced = getattr(question, row.name) and row.goes_with and asked not in row.goes_with
        if is_misplaced and is_by_hand(row.name):
            leave(ExitCode.USAGE, f"{row.option} goes with {' or '.join(row.goes_with)}")


def leave_after_looking(question: Question, settings: str, name: str) -> None:
    """`--print-unit` and `--check-settings`."""
    if not question.print_unit and not question.check_settings:
        return
    if not settings and not question.template:
        leave(ExitCode.USAGE, "SETTINGS is missing: give the dotted path of a worker settings class")
    if question.check_settings:
        from .check_settings import check_settings

        sys.exit(check_settings(settings))
    from .print_unit import print_unit

    text = print_unit(settings, _pool_meant(settings, name) or pool_name(settings), question.template)
    sys.exit(ExitCode.OK if tell(text) else ExitCode.INTERNAL)


def split_words(words: tuple[str, ...], ctl: str | None) -> tuple[str, str]:
    """The number that `--ctl scale` and `--ctl dump` take, and SETTINGS."""
    numbers = [word for word in words if ctl in ("scale", "dump") and word.lstrip("-").isdigit()]
    others = [word for word in words if word not in numbers]
    if ctl in ("scale", "dump") and not numbers and len(others) > 1:
        leave(
            ExitCode.USAGE, f"{others[-1]}: must be a whole number, as in `--ctl scale 4` or `--ctl dump 0`"
        )
    if len(numbers) > 1 or len(others) > 1:
        leave(ExitCode.USAGE, f"too many arguments: {' '.join(words)}")
    if ctl == "scale" and not numbers:
        leave(ExitCode.USAGE, "--ctl scale: say how many workers, as in `--ctl scale 4`")
    return (numbers or [""])[0], (others or [""])[0]


def control(question: Question, operand: str, settings: str, name: str, path: str) -> int:
    """Talk to a running pool; `path` is what `--control` says."""
    from ..control.client import UnreachableError
    from ..control.find_socket import find_socket

    assert question.ctl is not None
    try:
        found = find_socket(path, _pool_meant(settings, name), os.environ)
    except UnreachableError as error:
        leave(ProbeCode.UNKNOWN, str(error))
    if question.ctl == "top":
        if find_spec("rich") is None:
            leave(ExitCode.USAGE, '--ctl top needs the package rich: pip install "arq[top]"')
        from .top import run_top

        return run_top(found)
    from .ctl import run_ctl

    return run_ctl(found, question.ctl, operand, wait=question.wait, as_json=question.as_json)


def _pool_meant(settings: str, name: str) -> str:
    """The name of the pool, "" if it is not said; leaves with one line when no pool can have it."""
    if not name:
        return pool_name(settings) if settings else ""
    try:
        require_pool_name(name)
    except OptionError as error:
        leave(ExitCode.USAGE, str(error))
    return name


def check_health(question: Question, settings: str, name: str, path: str, procs: int | None) -> int:
    """Report on a pool; `path` is what `--control` says."""
    from ..control.paths import host_name
    from .check import run_check, run_fleet_check
    from .check_verdict import CheckRequest

    _refuse_incomplete(question, settings, name)
    if question.redis_url:
        from ..host.process_title import set_title

        set_title("arq-supervise: check")  # the address may have a password, and `ps` shows it to everybody
    wanted = CheckRequest(
        host=host_name(),
        pool=_pool_meant(settings, name),
        control=path,
        settings=settings,
        redis_url=question.redis_url,
        procs=procs,
        local=question.local,
        strict=question.strict,
        min_healthy=question.min_healthy,
        as_json=question.as_json,
    )
    return run_fleet_check(wanted) if question.fleet else run_check(wanted)


def _refuse_incomplete(question: Question, settings: str, name: str) -> None:
    """Leave when it is not said who is to be asked."""
    if question.fleet and not settings and not question.redis_url:
        leave(ExitCode.USAGE, "--check --fleet: say which queue, with SETTINGS or with --redis-url")
    if not question.fleet and not settings and not name:
        leave(ExitCode.USAGE, "--check: say which pool, with SETTINGS or with --name")
    if not question.fleet and not settings and not question.redis_url and not question.local:
        leave(ExitCode.USAGE, "--check --name: add --redis-url to ask Redis, or --local to leave it out")


def about_option(error: Any, known: list[str]) -> str:
    """What to say about an option that there is not: the one that was meant, if that can be told."""
    name = str(error.option_name)
    if name.lstrip("-").isdigit():
        return f"{name}: must be a whole number, as in `--ctl scale 4` or `--ctl dump 0`"
    close = [ALSO_CALLED[name]] if name in ALSO_CALLED else get_close_matches(name, known, 1)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"No such option {name!r}{hint}"
