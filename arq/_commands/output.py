"""What commands print: a table for people, or one JSON object a line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from .._admin.times import iso as iso  # noqa: PLC0414  (where all commands have it from)
from .._admin.times import span as span  # noqa: PLC0414
from .._printable import printable
from ..utils import truncate

_SHORTEST = 8
_COLORS = {"queued": "cyan", "deferred": "blue", "running": "green", "done": "white", "failed": "red"}


def json_line(fields: dict[str, Any]) -> None:
    """Print one object."""
    click.echo(json.dumps(fields, ensure_ascii=True, allow_nan=False, default=str))


def clock(unix_ms: int | None) -> str:
    """A time as people read it, in the timezone of the terminal."""
    if unix_ms is None:
        return "?"
    try:
        return datetime.fromtimestamp(unix_ms / 1000).astimezone().isoformat(" ", timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{unix_ms} ms"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings. On a terminal the last column is cut where the line ends, others before that if
    nothing else helps; elsewhere nothing is cut.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headings, *cells]) for column in range(len(headings))]
    if is_terminal():
        widths = _fitting(widths, shutil.get_terminal_size().columns)
    head = _line(headings, widths)
    click.echo(click.style(head, bold=True) if _has_colors() else head)
    for row in cells:
        click.echo(_colored(_line(row, widths), row))


def with_server(row: Sequence[str], server: str | bool) -> tuple[str, ...]:
    """A row with the name of a server behind its first cell, if there is one; True: the heading of that."""
    return (row[0], "SERVER" if server is True else server, *row[1:]) if server else tuple(row)


def is_terminal() -> bool:
    """Whether people read what is printed."""
    return sys.stdout.isatty()


def _has_colors() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR")


def _fitting(widths: list[int], columns: int) -> list[int]:
    """Widths that fit into a line: the last column gives first, then the widest."""
    between = 2 * (len(widths) - 1)
    over = sum(widths) + between - columns
    for column in [len(widths) - 1, *sorted(range(len(widths) - 1), key=lambda one: -widths[one])]:
        gives = max(0, min(over, widths[column] - _SHORTEST))
        widths[column] -= gives
        over -= gives
    return widths


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        truncate(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)
    ).rstrip()


def _colored(line: str, row: Sequence[str]) -> str:
    """A state in its colour."""
    for cell in row if _has_colors() else ():
        if cell in _COLORS:
            return line.replace(f" {cell}", f" {click.style(cell, fg=_COLORS[cell])}", 1)
    return line
