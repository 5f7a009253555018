"""Docstrings as this project writes them: text, and sections of named entries (`Args:`, `Raises:`)."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTIONS = ("Args", "Attributes", "Returns", "Raises")
HEADING = re.compile(rf"({'|'.join(SECTIONS)}):")
ENTRY = re.compile(r"([*\w., ]+?)(?: \(([^:]*)\))?: (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a section.

    Attributes:
        names: what it is about: parameters, fields, exceptions.
        about: what stands in parentheses behind the name; "" mostly.
        text: what is said of it.
    """

    names: tuple[str, ...]
    about: str
    text: str


@dataclass(slots=True)
class Docstring:
    """A docstring, taken apart.

    Attributes:
        paragraphs: its text, on a line each; those behind the sections come last.
        sections: `Args`, `Attributes` and `Raises`.
        returns: what stands under `Returns:`.
    """

    paragraphs: list[str] = field(default_factory=list)
    sections: dict[str, list[Entry]] = field(default_factory=dict)
    returns: str = ""

    def entry(self, section: str, name: str) -> Entry:
        """What a section says of a name.

        Raises:
            LookupError: nothing.
        """
        for one in self.sections.get(section, ()):
            if name in one.names:
                return one
        raise LookupError(f"{section} says nothing of {name!r}")


def parsed(text: str | None) -> Docstring:
    """A docstring, taken apart.

    Raises:
        ValueError: a line of a section is none.
    """
    found = Docstring()
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        heading = HEADING.match(block)
        if heading is None:
            found.paragraphs.append(_joined(block))
        elif heading[1] == "Returns":
            found.returns = _joined(block.partition("\n")[2])
        else:
            found.sections[heading[1]] = list(_entries(block.partition("\n")[2]))
    return found


def _entries(block: str) -> Iterator[Entry]:
    for one in re.split(r"\n(?! )", textwrap.dedent(block)):
        matched = ENTRY.fullmatch(one)
        if matched is None:
            raise ValueError(f"this is no entry of a section: {one!r}")
        names = tuple(name.strip() for name in matched[1].split(","))
        yield Entry(names, matched[2] or "", _joined(matched[3]))


def _joined(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines()).strip()
