"""Writes the pages of docs/reference that are made of the code: `python -m manual`."""

from pathlib import Path

from arq._commands import reference_page
from supervisor.commands import options_page

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PAGES = {"options.md": options_page.page, "arq-commands.md": reference_page.page}


def main() -> None:
    """Write all of them."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())


if __name__ == "__main__":
    main()
