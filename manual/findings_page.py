"""findings/README.md: one line for each script, from its header."""

import re
from pathlib import Path
from typing import NamedTuple

from .markdown import GENERATED

FINDINGS = Path(__file__).parents[1] / "findings"
PAGE = FINDINGS / "README.md"
HEAD = """# Findings

Things about other people's software that surprised us while we made this one, each a script that shows it: it makes an
environment of its own with the versions that it names, prints what it sees, and takes about a minute. `bash findings/NAME.sh`
runs one. Those that change how one runs a queue are told in [what surprised us](../docs/explanation/what-surprised-us.md).

"""


class Finding(NamedTuple):
    """What the header of a script says.

    Attributes:
        file: name of the script.
        title: what is so, in a line.
        versions: of what, and where.
    """

    file: str
    title: str
    versions: str


def read(script: Path) -> Finding:
    """The header of a script.

    Raises:
        ValueError: it has no title, or says nothing of versions.
    """
    lines = script.read_text().splitlines()
    comments = [line.removeprefix("# ").removeprefix("#") for line in lines[1:] if line.startswith("#")]
    header = "\n".join(comments)
    versions = re.search(r"^Versions: (.*(?:\n  .*)*)", header, re.MULTILINE)
    if not comments or not comments[0] or versions is None:
        raise ValueError(
            f"{script}: its second line must be a title, and a line must begin with 'Versions: '"
        )
    return Finding(script.name, comments[0].rstrip("."), " ".join(versions[1].split()).rstrip("."))


def page() -> str:
    """The text of the page."""
    found = [read(script) for script in sorted(FINDINGS.glob("*.sh"))]
    lines = [f"* [{one.title}]({one.file}) ({one.versions})\n" for one in found]
    return GENERATED.format(source="the headers of the scripts") + HEAD + "".join(lines)
