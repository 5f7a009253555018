"""The blocks of code on a page, and what is said there about running them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(
    r"(?P<marks>(?:^ *<!-- [^\n]* -->\n)*)^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"<!-- (not run|run by|terminal|file): (.*?) -->")
NAMED = re.compile(r"[#;] ([\w./@-]+\.[\w.]+|Dockerfile)\n")
#: What is shown, and is no code.
SHOWN = {"text", "", "{toctree}"}
#: What is looked at, and written into a file if its first line names one.
FILES = {"python", "ini", "yaml", "toml", "json", "lua", "promql"}


@dataclass(frozen=True, slots=True)
class Command:
    """A line behind `$`, and what must follow it; None: nobody says."""

    line: str
    output: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    Attributes:
        line: where it begins.
        language: what stands behind the fence.
        text: what is in it.
        marks: what comments above it say: `not run: REASON`, `run by: TEST`, `terminal: NAME`, `file: NAME`.
    """

    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The file that it is, "" if it is none."""
        named = NAMED.match(self.text)
        return self.marks.get("file") or (named[1] if named and self.language in FILES else "")

    @property
    def is_for_others(self) -> bool:
        """Is it not for the runner?"""
        if self.language == "text" and "terminal" in self.marks:
            return False
        return self.language in SHOWN or not self.marks.keys().isdisjoint({"not run", "run by"})

    def commands(self) -> Iterator[Command]:
        """The commands of a console block."""
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        for part in parts[1:]:
            line, _, output = part.partition("\n")
            while line.endswith("\\"):
                more, _, output = output.partition("\n")
                line = f"{line[:-1]} {more.removeprefix('>').strip()}"
            yield Command(
                re.sub(r"\s{2,}#.*", "", line), tuple(output.rstrip().split("\n")) if output.strip() else None
            )


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text = page.read_text()
    found = []
    for fence in FENCE.finditer(text):
        indent = fence["indent"]
        body = "".join(line.removeprefix(indent) for line in fence["text"].splitlines(keepends=True))
        marks = {mark[1]: mark[2] for mark in MARK.finditer(fence["marks"])}
        line = text.count("\n", 0, fence.start("language")) + 1
        found.append(Block(line, fence["language"].strip(), body, marks))
    return found


def indented_blocks(page: Path) -> list[str]:
    """First lines of blocks that are code by their indentation: nobody can say how they are run."""
    text = FENCE.sub("", page.read_text())
    return re.findall(
        r"\n\n {4,}([^\s*|-].*)", re.sub(r"^[*-] .*\n(?:\n?^ {2,}.*\n)*", "", text, flags=re.MULTILINE)
    )


def pattern(lines: tuple[str, ...]) -> str:
    """An expression for output that is as shown: `...` stands for the rest of a word, line, or several lines."""
    shown = ["(?:.*\n)*?" if line.strip() == "..." else _of_line(line) for line in lines]
    return "".join(shown)


def _of_line(line: str) -> str:
    words = re.split(r"(\s+)", line.rstrip())
    expected = "".join(
        r"\s+" if word.isspace() else re.escape(word).replace(r"\.\.\.", ".*?") for word in words if word
    )
    return expected + "[^\\S\n]*\n"
