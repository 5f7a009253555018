"""How Sphinx builds the manual: `make docs`. Pages are Markdown, and read well without it."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from arq.version import VERSION

project = "arq and arq-supervise"
author = "arq contributors"
version = release = VERSION
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"arq {VERSION}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
# excerpts are fetched, which browsers refuse from file://
html_show_search_summary = False
# values stand there as they are written
smartquotes = False
# a page of reference has many headings of one name: "Raises" is one in each function
suppress_warnings = ["myst.duplicate_anchor"]

PAGE_IN_A_LIST = re.compile(r"^(?:[*-]|\d+\.) \[[^]]+\]\(([^)#:]+)\.md\)", re.MULTILINE)
#: Pages that lead to others. The order of their lists is that of the navigation.
LISTS = re.compile(r"(?:.*/)?(?:index|README)")
LINK = re.compile(r"\]\(([^)\s#:]+(?<!svg)(?<!png))(#[^)]*)?\)")


def carry_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Links to pages outside of this folder lead to copies of them in the site, so that it is whole."""
    folder = Path(app.srcdir, page).parent

    def carried(link: re.Match[str]) -> str:
        is_outside = not (folder / link[1]).resolve().is_relative_to(app.srcdir)
        return f"](path:{link[1]})" if is_outside else link[0]

    source[0] = LINK.sub(carried, source[0])


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """The pages that a list names are below it in the navigation: one list, for readers and for Sphinx."""
    if LISTS.fullmatch(page):
        pages = "\n".join(dict.fromkeys(PAGE_IN_A_LIST.findall(source[0])))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("source-read", carry_files)
    app.connect("source-read", add_navigation)
