"""The row of an option: what is said about it besides the name, type and default of its field. No I/O."""

import inspect
import math
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar, cast

ROW = "option"
ENVIRONMENT = "ARQ_SUPERVISE_"
# the upper end of a range that has none worth telling
ENDLESS = 1e9

T = TypeVar("T")


class OptionError(ValueError):
    """An option is out of its range; the text names the option, the value and the range."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"{option} {value}: must be {allowed}")
        self.option = option


class Kind(StrEnum):
    """What the value of an option is, as an error tells it."""

    NUMBER = "a number"
    COUNT = "a whole number"
    TEXT = "a text"
    TEXTS = "a tuple of texts"
    FLAG = "True or False"


TYPES: dict[Kind, Any] = {
    Kind.NUMBER: (int, float),
    Kind.COUNT: (int,),
    Kind.TEXT: (str,),
    Kind.TEXTS: (tuple, list),
    Kind.FLAG: (bool,),
}


class Subject(StrEnum):
    """The groups of `--help`, in their order."""

    RUNNING = "Running"
    STARTING = "Starting"
    RESTARTING = "Restarting"
    RECYCLING = "Recycling"
    STOPPING = "Stopping"
    RELOADING = "Reloading"
    CONTROL = "Control"
    PROBES = "Probes and metrics"
    WEB = "Dashboard"
    LOGS = "Logs"
    REDIS = "Redis"
    DEVELOPMENT = "Development"
    HELP = "Help"


@dataclass(slots=True)
class Row:
    """One option. Name, type and default are those of its field.

    Args:
        flags: as click takes them: `-p --procs`, `--uvloop/--no-uvloop`; "" if the command line has none.
        help: one sentence, for `--help`, docstring and manual.
        unit: the word that stands for a value; of a number that is no count: its unit.
        least, most: the range of a number.
        choices: the words that may be given, if there are only these; of a flag: off and on.
        applies: what applies when the default says nothing.
        allowed: the range as the manual tells it, where it depends on other options.
        cli_default: the default of the command line, where it is another one.
        other_spelling: the field of an option that says the same in other words.
        is_question: does the command answer it, instead of running a pool?
        goes_with: the questions without which the option would be ignored.
        is_carried: is it put into the ExecStart of a unit, when it is on the command line of `--print-unit`?
        usual: what it is in a unit when it is not.
        sets: directives of the unit that follow from it.
        named_env: the environment variable, where that is not ARQ_SUPERVISE_ and the option.
    """

    flags: str
    subject: Subject
    help: str
    kind: Kind = Kind.TEXT
    unit: str = ""
    least: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    applies: str = ""
    allowed: str = ""
    cli_default: str = ""
    other_spelling: str = ""
    is_question: bool = False
    goes_with: tuple[str, ...] = ()
    is_carried: bool = True
    usual: str = ""
    sets: str = ""
    named_env: str = ""
    name: str = ""
    type: str = ""
    default: Any = None

    @property
    def option(self) -> str:
        """The long name, as `--procs`."""
        return self.flags.split(" ")[-1].partition("/")[0]

    @property
    def env(self) -> str:
        """The name of the environment variable."""
        return self.named_env or ENVIRONMENT + self.option.removeprefix("--").replace("-", "_").upper()

    @property
    def label(self) -> str:
        """What people call it."""
        return self.option or self.env

    @property
    def limits(self) -> str:
        """The values that it may have, "" where that is any."""
        if self.choices:
            *others, last = map(repr, self.choices)
            return f"{', '.join(others)} or {last}"
        if self.least == -math.inf:
            return ""
        if self.most >= ENDLESS:
            return f"at least {self.least:g}"
        return f"between {self.least:g} and {self.most:g}"

    @property
    def shown_default(self) -> str:
        """What holds when the command line says nothing, "" where there is nothing to tell."""
        if self.cli_default or self.applies:
            return self.cli_default or self.applies
        if self.choices and self.kind is Kind.FLAG:
            return self.choices[bool(self.default)]
        if "/" in self.flags:
            return "on" if self.default else "off"
        if self.kind is Kind.FLAG:
            return "" if self.is_question or self.goes_with else "off"
        return "" if self.default in (MISSING, None, "", ()) else shown(self.default)

    def check(self, value: Any) -> None:
        """See that this is a value for it. None is, if that is the default.

        Raises:
            OptionError: it is not.
        """
        if value is None and self.default is None:
            return
        if not isinstance(value, TYPES[self.kind]):
            raise OptionError(self.label, repr(value), self.kind)
        if self.kind is Kind.TEXT and self.choices and value not in self.choices:
            raise OptionError(self.label, repr(value), self.limits)
        if self.kind in (Kind.NUMBER, Kind.COUNT) and self.least > -math.inf:
            most = min(self.most, ENDLESS) if self.kind is Kind.NUMBER else self.most
            if not self.least <= value <= most:  # nor is nan within
                raise OptionError(self.label, shown(value), self.limits)


def shown(value: Any) -> str:
    """A value as people write it: 60, not 60.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- fields of a dataclass, each with its row -----------------------------------------------------------------
# what these return is a field; to a type checker it is the default, as with `dataclasses.field`


def _field(default: T, row: Row) -> T:
    found: Any = field(default=default, metadata={ROW: row})
    return cast("T", found)


def required(flags: str, subject: Subject, text: str, **more: Any) -> dict[str, Row]:
    """The metadata of a field without a default."""
    return {ROW: Row(flags, subject, text, **more)}


def seconds(default: T, flags: str, subject: Subject, text: str, least: float = 0.0, **more: Any) -> T:
    """A duration."""
    return _field(default, Row(flags, subject, text, Kind.NUMBER, "SECONDS", least, **more))


def number(default: T, flags: str, subject: Subject, text: str, unit: str, **more: Any) -> T:
    """A number, in this unit, from 0 on."""
    return _field(default, Row(flags, subject, text, Kind.NUMBER, unit, 0.0, **more))


def count(default: T, flags: str, subject: Subject, text: str, least: float, **more: Any) -> T:
    """A whole number."""
    return _field(default, Row(flags, subject, text, Kind.COUNT, "N", least, **more))


def flag(default: T, flags: str, subject: Subject, text: str, **more: Any) -> T:
    """On or off; with `/` in its flags it can be switched off as well."""
    return _field(default, Row(flags, subject, text, Kind.FLAG, **more))


def word(default: T, flags: str, subject: Subject, text: str, unit: str = "", **more: Any) -> T:
    """A text; several, when the default is a tuple."""
    kind = Kind.TEXTS if isinstance(default, tuple) else Kind.TEXT
    return _field(default, Row(flags, subject, text, kind, unit, **more))


def rows_of(options: type) -> Iterator[Row]:
    """The rows of a dataclass, with the names, types and defaults of its fields."""
    one: Any
    for one in fields(options):
        row: Row = one.metadata[ROW]
        row.name, row.default = one.name, one.default
        row.type = one.type.__name__ if one.type in (str, int, float, bool) else str(one.type)
        yield row


# --- docstrings -----------------------------------------------------------------------------------------------

RAISES = """
Raises:
    OptionError: an option has a value that it can't have, by itself or beside another one; a ValueError. The text
        names the option as on the command line, the value and what is allowed.
"""


def documented(options: type[T]) -> type[T]:
    """Put all options into the docstring of their dataclass: type, unit, range, default, and the name outside."""
    lines = "".join(f"    {_argument(row)}\n" for row in rows_of(options))
    options.__doc__ = f"{inspect.cleandoc(options.__doc__ or '')}\n\nArgs:\n{lines}{RAISES}"
    return options


def _argument(row: Row) -> str:
    unit = row.unit.lower() if row.unit == "SECONDS" else row.unit
    limits = row.allowed or row.limits if row.kind is not Kind.FLAG else ""
    about = ", ".join(
        filter(None, (row.type, unit if row.kind is Kind.NUMBER else "", limits, _default_text(row)))
    )
    return f"{row.name} ({about}): {row.option or f'{row.env} in the environment'}\n        {row.help}"


def _default_text(row: Row) -> str:
    if row.default is MISSING:
        return "required"
    value = shown(row.default) if row.kind is Kind.NUMBER and row.default is not None else repr(row.default)
    return f"default {value}" + (f": {row.applies}" if row.applies else "")
