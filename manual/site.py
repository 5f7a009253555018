"""Checks a built site: `python -m manual.site build/docs`. It must work from file://, without any other server."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Elements that a browser loads by itself, and where they say what.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


@dataclass(slots=True)
class Page(HTMLParser):
    """What a page loads, where it leads, and what links may name in it."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """What HTMLParser calls."""
        given = dict(attrs)
        self.names.update(name for name in (given.get("id"), given.get("name")) if name)
        if loaded := given.get(LOADED.get(tag, "")):
            self.loads.append(loaded)
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)


@cache
def page_at(path: Path) -> Page:
    """The page, read."""
    page = Page()
    page.feed(path.read_text())
    return page


def faults(site: Path) -> Iterator[str]:
    """One line for each link that leads nowhere, and for whatever a page would load from elsewhere."""
    for path in sorted(site.rglob("*.html")):
        page, name = page_at(path), path.relative_to(site)
        for address in page.loads:
            if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
                yield f"{name} loads {address} from another server"
        for address in (*page.loads, *page.links):
            if is_dead(address, path):
                yield f"{name}: {address} leads nowhere"


def is_dead(address: str, page: Path) -> bool:
    """Does the address of something in this site lead nowhere?"""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return True
    named = unquote(parts.fragment)
    return bool(named) and target.suffix == ".html" and named not in page_at(target).names


def main(site: str) -> int:
    """Check the site, and tell.

    Returns:
        the exit code: 1 if something is wrong.
    """
    found = list(faults(Path(site).resolve()))
    pages = len(list(Path(site).rglob("*.html")))
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{site}/index.html: {pages} pages, {len(found)} dead links\n")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
