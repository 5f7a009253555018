"""Lines of at most 80 columns, with colour where somebody looks at a terminal."""

import os
import re
import sys
import textwrap
from collections.abc import Iterator

COLUMNS = 79
INDENT = 12

BOLD, DIM, RED, GREEN, CYAN = "1", "2", "31", "32", "36"
#: what is painted, and how; a label is what begins a line
COLOURS = (
    (re.compile(r"^  [a-z][a-z ]{0,8}\d?(?=\s{1,9}\S)"), BOLD),
    (re.compile(r"█+|#{2,}"), CYAN),
    (re.compile(r"\bkill -9 \d+|\bkilled$|\bSIGKILL\b"), RED),
    (re.compile(r"\bnone lost\b|\bgracefully\b|\bexit code 0\b"), GREEN),
    (re.compile(r"https?://\S+"), CYAN),
    (re.compile(r"^\$ .*|^    --.*"), DIM),
)


def has_colour() -> bool:
    """On a terminal, unless the user wants none (https://no-color.org)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def painted(line: str) -> str:
    """The line with its colours, if there are any."""
    if has_colour():
        for pattern, colour in COLOURS:
            line = pattern.sub(f"\x1b[{colour}m\\g<0>\x1b[0m", line)
    return line


def show(*lines: str) -> None:
    """Print them, at once also where nobody looks at a terminal."""
    print("\n".join(map(painted, lines)), flush=True)


def row(label: str, text: str) -> Iterator[str]:
    """A text behind its label, in as many lines as it needs."""
    first, others = f"  {label:<9} ", " " * INDENT
    yield from filled(text, first, others)


def filled(text: str, first: str = "", others: str = "", columns: int = COLUMNS) -> list[str]:
    """Broken between words; a word that is too long stays whole."""
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def command_lines(words: list[str]) -> list[str]:
    """A command as one types it, in lines that end in a backslash where it goes on."""
    options = " ".join(words[2:]).replace(" --", "\n--").splitlines()
    glued = " ".join(one.replace(" ", "\xa0") for one in options)
    lines = filled(glued, f"$ {' '.join(words[:2])} ", "    ", COLUMNS - 2)
    return [line.replace("\xa0", " ") + " \\" * (line is not lines[-1]) for line in lines]
