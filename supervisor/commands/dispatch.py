"""What the command answers without running a pool: `--check`, `--ctl`, `--check-settings`, `--print-unit`.

Imports what an answer needs when it is needed: probes ask often.
"""

import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, NoReturn

from ..console import complain, tell
from ..exit_codes import ExitCode
from ..options import OptionError, pool_name, require_pool_name

UNREACHABLE = 3
# options that mean something with one of these questions only
BELONGS_TO = {
    "as_json": ("--json", ("--check", "--ctl")),
    "wait": ("--wait", ("--ctl",)),
    "local": ("--local", ("--check",)),
    "strict": ("--strict", ("--check",)),
    "fleet": ("--fleet", ("--check",)),
    "redis_url": ("--redis-url", ("--check",)),
}

# what other programs call it
ALSO_CALLED = dict.fromkeys(
    ("--workers", "--processes", "--proc", "--concurrency", "--num-workers", "-w", "-c"), "--procs"
)


def refuse_misplaced(asked: dict[str, Any], question: str, is_by_hand: Callable[[str], bool]) -> None:
    """Leave when an option would be ignored: who gave it expects an answer, not a running pool."""
    for name, (option, questions) in BELONGS_TO.items():
        if asked[name] and question not in questions and is_by_hand(name):
            leave(ExitCode.USAGE, f"{option} goes with {' or '.join(questions)}")
    if asked["min_healthy"] < 1:
        leave(ExitCode.USAGE, f"--min-healthy {asked['min_healthy']}: must be at least 1")


def leave_after_looking(settings: str, given: dict[str, Any]) -> None:
    """`--print-unit` and `--check-settings`."""
    wants_unit, is_template, wants_check = (
        given.pop(name) for name in ("print_unit", "template", "check_settings")
    )
    if not wants_unit and not wants_check:
        return
    if not settings and not is_template:
        leave(ExitCode.USAGE, "SETTINGS is missing: give the dotted path of a worker settings class")
    if wants_check:
        from .check_settings import check_settings

        sys.exit(check_settings(settings))
    from .print_unit import print_unit

    text = print_unit(settings, _pool_meant(settings, given["name"]) or pool_name(settings), is_template)
    sys.exit(ExitCode.OK if tell(text) else ExitCode.INTERNAL)


def split_words(words: tuple[str, ...], ctl: str | None) -> tuple[str, str]:
    """The number that `--ctl scale` and `--ctl dump` take, and SETTINGS."""
    numbers = [word for word in words if ctl in ("scale", "dump") and word.lstrip("-").isdigit()]
    others = [word for word in words if word not in numbers]
    if len(numbers) > 1 or len(others) > 1:
        leave(ExitCode.USAGE, f"too many arguments: {' '.join(words)}")
    if ctl == "scale" and not numbers:
        leave(ExitCode.USAGE, "--ctl scale: say how many workers, as in `--ctl scale 4`")
    return (numbers or [""])[0], (others or [""])[0]


def control(command: str, operand: str, settings: str, given: dict[str, Any], asked: dict[str, Any]) -> int:
    """Talk to a running pool."""
    from ..control.client import UnreachableError, find_socket, run_ctl

    pool = _pool_meant(settings, given["name"])
    try:
        path = find_socket(given["control"], pool, os.environ)
    except UnreachableError as error:
        leave(UNREACHABLE, str(error))
    if command == "top":
        if find_spec("rich") is None:
            leave(ExitCode.USAGE, '--ctl top needs the package rich: pip install "arq[top]"')
        from .top import run_top

        return run_top(path)
    return run_ctl(path, command, operand, wait=asked["wait"], as_json=asked["as_json"])


def _pool_meant(settings: str, name: str) -> str:
    """The name of the pool, "" if it is not said; leaves with one line when no pool can have it."""
    if not name:
        return pool_name(settings) if settings else ""
    try:
        require_pool_name(name)
    except OptionError as error:
        leave(ExitCode.USAGE, str(error))
    return name


def check_health(settings: str, given: dict[str, Any], asked: dict[str, Any]) -> int:
    """Report on a pool."""
    from .check import Wanted, run_check, run_fleet_check

    fleet = asked.pop("fleet")
    if fleet and not settings and not asked["redis_url"]:
        leave(ExitCode.USAGE, "--check --fleet: say which queue, with SETTINGS or with --redis-url")
    if not fleet and not settings and not given["name"]:
        leave(ExitCode.USAGE, "--check: say which pool, with SETTINGS or with --name")
    if not fleet and not settings and not asked["redis_url"] and not asked["local"]:
        leave(ExitCode.USAGE, "--check --name: add --redis-url to ask Redis, or --local to leave it out")
    asked.pop("wait")
    if asked["redis_url"]:
        from ..host.process_title import set_title

        set_title("arq-supervise: check")  # the address may have a password, and `ps` shows it to everybody
    wanted = Wanted(
        pool=_pool_meant(settings, given["name"]),
        control=given["control"],
        settings=settings,
        procs=given["procs"],
        **asked,
    )
    return run_fleet_check(wanted) if fleet else run_check(wanted)


def about_option(error: Any, known: list[str]) -> str:
    """What to say about an option that there is not: the one that was meant, if that can be told."""
    name = str(error.option_name)
    if name.lstrip("-").isdigit():
        return f"{name}: must be a whole number, as in `--ctl scale 4` or `--ctl dump 0`"
    close = [ALSO_CALLED[name]] if name in ALSO_CALLED else get_close_matches(name, known, 1)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"No such option {name!r}{hint}"


def leave(code: int, text: str) -> NoReturn:
    """One line that names the mistake, and the exit code."""
    complain(text)
    sys.exit(int(code))
