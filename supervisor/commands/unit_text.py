"""The text of a systemd unit for a pool: the template beside this file with its gaps filled."""

import math
import re
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

from ..options import POOL, Options
from ..pool.stop_budget import MANAGER_MARGIN_S, grace_s, stop_budget_s
from ..pool_names import NAMELESS

# a unit for several pools is printed without their settings: enough for jobs that may finish for a minute
UNKNOWN_WAIT_S = 60.0
HOMES = ("/home", "/root", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # nothing is put there: it is what a unit hides
PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@=,+%$-]+")
HOME_NEEDED = "# the application or its Python is in somebody's home\nProtectHome=read-only"
TMP_NEEDED = "# the application or its Python is there\nPrivateTmp=no\nReadWritePaths=/tmp /var/tmp"
CALLS = (
    "# with --cpu-affinity, or nice and setrlimit in jobs: without @resources\n"
    "SystemCallFilter=~@privileged @resources"
)
CALLS_NEEDED = "SystemCallFilter=~@privileged"
# what decides nothing by itself comes last
USUAL = tuple(
    (row.option, row.usual) for row in sorted(POOL, key=lambda row: row.default is None) if row.usual
)


BY_DEFAULT = Options(NAMELESS)


@dataclass(frozen=True)
class Unit:
    """What differs from one unit to the next.

    `command` is the program and its first arguments; `words` are options of the pool, as on a command line.
    `wait_s` is how long running jobs may go on at a stop (job_completion_wait); the other times are the options'.
    """

    user: str
    group: str
    directory: str
    command: tuple[str, ...]
    settings: str = ""
    name: str = ""
    words: tuple[str, ...] = tuple(word for pair in USUAL for word in pair)
    wait_s: float = UNKNOWN_WAIT_S
    options: Options = BY_DEFAULT
    # where the program and its libraries are
    places: tuple[str, ...] = ()

    @property
    def budget_s(self) -> float:
        """The longest that a stop takes."""
        longest_s = grace_s(self.wait_s, self.options.graceful_timeout_s)
        return stop_budget_s(longest_s, self.options.kill_timeout_s)

    @property
    def start_s(self) -> float:
        """The longest start that is not given up: the first worker, with its retries, then all others.

        With stop-first, each waits for its spare.
        """
        one_s = self.options.boot_timeout_s * (2 if self.options.is_stop_first else 1)
        return one_s * (self.options.boot_retries + 2)


# the files in systemd/ are made with this: an application in /srv/app with its environment beside it
EXAMPLE = Unit(
    user="arq",
    group="arq",
    directory="/srv/app",
    command=("/srv/app/.venv/bin/arq-supervise",),
    settings="app.worker.Settings",
    name="app",
)


def render(unit: Unit, is_template: bool) -> str:
    """The unit's text.

    Raises:
        ValueError: a path or a word holds a line break.
    """
    text = files("supervisor").joinpath("commands", "arq-supervise.service.in").read_text("utf-8")
    mine, other = ("@many@", "@one@") if is_template else ("@one@", "@many@")
    lines = (line.removeprefix(mine) for line in text.splitlines() if not line.startswith((other, "@note@")))
    values = _values(unit, is_template)
    return "\n".join(re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], line) for line in lines) + "\n"


def _values(unit: Unit, is_template: bool) -> dict[str, str]:
    options = " ".join(map(exec_word, unit.words))
    words = f"{exec_word(unit.settings)} --name {exec_word(unit.name)} {options}".rstrip()
    instance = "%i" if is_template else unit.name
    places = (unit.directory, *unit.command, *unit.places)
    return {
        "USER": unit.user,
        "GROUP": unit.group,
        "DIRECTORY": literal(unit.directory),
        "COMMAND": " ".join([program_word(unit.command[0]), *map(exec_word, unit.command[1:])]),
        "WORDS": f"{options} ".lstrip() if is_template else words,
        "NAME": unit.name,
        "INSTANCE": instance,
        "WHERE": f"--name {instance}{_control(unit.words)}",
        "START_S": f"{math.ceil(unit.start_s)}",
        "STOP_S": "infinity"
        if unit.budget_s == math.inf
        else f"{math.ceil(unit.budget_s + MANAGER_MARGIN_S)}",
        "BUDGET": _budget_text(unit, is_known=bool(unit.settings) and not is_template),
        "HOME": HOME_NEEDED if _within(places, HOMES) else "ProtectHome=yes",
        "TMP": TMP_NEEDED if _within(places, TEMPORARY) else "PrivateTmp=yes",
        "CALLS": CALLS_NEEDED if "spread" in unit.words else CALLS,
    }


def _control(words: tuple[str, ...]) -> str:
    """Where the reload command finds the pool, when that was chosen."""
    values = [value for option, value in pairwise(words) if option == "--control"]
    return f" --control {exec_word(values[-1])}" if values else ""


def _budget_text(unit: Unit, is_known: bool) -> str:
    if unit.wait_s == unit.budget_s == math.inf:
        return "job_completion_wait has no limit: a stop takes as long as the jobs that are running"
    wait = f"{unit.wait_s:g} s" if is_known else f"up to {unit.wait_s:g} s"
    return (
        f"job_completion_wait ({wait}) and what follows it take at most {unit.budget_s:g} s, and {MANAGER_MARGIN_S:g} s"
        " to spare; longer while workers drain"
    )


def _within(places: tuple[str, ...], folders: tuple[str, ...]) -> bool:
    return any(place == folder or place.startswith(f"{folder}/") for place in places for folder in folders)


def literal(text: str) -> str:
    """A text in which systemd finds nothing to replace.

    Raises:
        ValueError: it has a line break.
    """
    if not text.isprintable():
        raise ValueError(f"{text!r} can not be written into a unit")
    return text.replace("%", "%%")


def program_word(path: str) -> str:
    """The first word of a command line: systemd replaces no variables in it, and refuses quotes.

    Raises:
        ValueError: it has a quote, a backslash or a line break.
    """
    if any(character in path for character in "\"'\\"):
        raise ValueError(f"systemd starts no program whose path has quotes or backslashes: {path}")
    return _quoted(path)


def exec_word(word: str) -> str:
    """One of the other words, whatever is in it but a line break."""
    return _quoted(word).replace("$", "$$")


def _quoted(word: str) -> str:
    escaped = literal(word).replace("\\", "\\\\").replace('"', '\\"')
    return escaped if PLAIN_WORD.fullmatch(word) else f'"{escaped}"'
