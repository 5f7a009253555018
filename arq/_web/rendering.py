"""Pages as HTML: the template engine, and how times, numbers and texts are written."""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .._admin.times import iso, span
from .._printable import printable, printable_lines

#: Stands where there is no value.
NOTHING = "-"
#: Characters of a text in a table.
_CUT = 80


class Asset(NamedTuple):
    """A file of the page."""

    body: bytes
    media_type: str


def _read(name: str, media_type: str) -> Asset:
    return Asset((files(__package__) / "static" / name).read_bytes(), media_type)


ASSETS = {
    "dashboard.css": _read("dashboard.css", "text/css; charset=utf-8"),
    "dashboard.js": _read("dashboard.js", "text/javascript; charset=utf-8"),
    "icon.svg": _read("icon.svg", "image/svg+xml"),
}
#: Changes when one of them does.
ASSETS_MARK = hashlib.sha256(b"".join(asset.body for asset in ASSETS.values())).hexdigest()[:12]


def number(value: float | None) -> str:
    """With commas: 12,345."""
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"


def took(ms: float | None) -> str:
    """How long something took: 12ms, 3.4s, 5m06s."""
    if ms is None:
        return NOTHING
    if ms < 1000:
        return f"{ms:.0f}ms"
    return f"{ms / 1000:.3g}s" if ms < 60_000 else span(ms)


def absolute(unix_ms: int | None) -> str:
    """A time for people, in UTC."""
    text = iso(unix_ms)
    return f"{unix_ms} ms" if text is None else text.replace("T", " ").replace("Z", " UTC")


def when(unix_ms: int | None, now_ms: int) -> Markup:
    """A time, told from now; the absolute one on hover."""
    if unix_ms is None:
        return Markup("-")
    away = now_ms - unix_ms
    text = f"{span(away)} ago" if away > 0 else f"in {span(-away)}"
    if abs(away) < 1000:
        text = "now"
    stamp, full = iso(unix_ms) or "", absolute(unix_ms)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, full, text)


def text(value: object) -> str:
    """A text that comes from elsewhere, on one line: escape codes and marks of direction are made visible."""
    return printable(str(value)).encode(errors="backslashreplace").decode()


def lines(value: object) -> str:
    """The same with its line breaks."""
    return printable_lines(str(value)).encode(errors="backslashreplace").decode()


def cut(value: object, most: int = _CUT) -> Markup:
    """A text on one line; of a long one the begin, and a way to see all."""
    shown = text(value)
    if len(shown) <= most:
        return Markup("<span>{}</span>").format(shown)
    return Markup('<details class="cut"><summary>{}…</summary><span class="all">{}</span></details>').format(
        shown[:most], shown
    )


def prose(value: str) -> Markup:
    """A text of ours: what stands between backticks is code."""
    parts = value.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else Markup("{}").format(part)
        for n, part in enumerate(parts)
    )


@functools.cache
def environment() -> Environment:
    """The template engine: everything is escaped, and what is not there is an error.

    All templates are read here, once: after an upgrade, those on the disk are not made for the program that runs.
    """
    found = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        prose=prose,
        number=number,
        took=took,
        text=text,
        lines=lines,
        cut=cut,
        span=span,
        absolute=absolute,
        when=when,
        iso=iso,
    )
    for name in found.list_templates(extensions=["html"]):
        found.get_template(name)
    return found


def as_utc(unix_ms: int) -> str:
    """A time of the day, for the labels of charts."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%H:%M")
