"""Writes the pages of docs/reference that are made of the code, tables of README.md, findings/README.md: `python -m manual`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from arq._commands import reference_page
from supervisor.commands import options_page

from . import api_pages, environment_page, findings_page, performance_tables, settings_pages, table_pages

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "options.md": options_page.page,
    "arq-commands.md": reference_page.page,
    "settings.md": settings_pages.worker_page,
    "redis-settings.md": settings_pages.redis_page,
    "environment.md": environment_page.page,
    "exit-codes-and-signals.md": table_pages.codes_page,
    "log-events.md": table_pages.events_page,
    "metrics.md": table_pages.metrics_page,
    "keys.md": table_pages.keys_page,
} | {api_pages.file_of(module): partial(api_pages.page, module) for module in api_pages.MODULES}


def text_of(name: str) -> str:
    """What is to stand in a page."""
    return PAGES[name]().rstrip("\n") + "\n"


def main() -> None:
    """Write all of them."""
    for name in PAGES:
        (REFERENCE / name).write_text(text_of(name))
    findings_page.PAGE.write_text(findings_page.page())
    readme = performance_tables.README
    readme.write_text(performance_tables.with_tables(readme.read_text()))


if __name__ == "__main__":
    main()
