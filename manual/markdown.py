"""What pages are made of."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Made from {source} by `python -m manual`: do not edit. -->\n\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(text: object) -> str:
    """As code; "" stays so."""
    return f"`{text}`" if str(text) else ""
