"""Charts as SVG, made on the server: attributes and classes, no style and no script. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

from ..admin import Histogram, StatsPoint
from .rendering import as_utc, number, took

#: Size of a chart in its own units; it is stretched to the width of the page.
_WIDTH, _HEIGHT = 600, 120
#: Columns of a chart at most.
_MOST_COLUMNS = 72
_FIRST_MS = 8


class Column(NamedTuple):
    """One column: its begin, and what is stacked in it, the lowest first."""

    start_ms: int
    parts: tuple[int, ...]


class Chart(NamedTuple):
    """A chart, and what stands beside it.

    Attributes:
        svg: the picture.
        highest: the largest value.
        begin, end: labels of the time.
    """

    svg: Markup
    highest: str
    begin: str
    end: str


def columns(points: Sequence[StatsPoint], since_ms: int, until_ms: int, step_s: int) -> list[Column]:
    """Done, failed and retried of several points together, so that there are not too many columns."""
    step_ms = _step_ms(since_ms, until_ms, step_s)
    sums: dict[int, list[int]] = {}
    for point in points:
        row = sums.setdefault(point.start_ms // step_ms * step_ms, [0, 0, 0])
        row[0] += point.done
        row[1] += point.failed
        row[2] += point.retried
    return [
        Column(start, tuple(sums.get(start, (0, 0, 0)))) for start in _starts(since_ms, until_ms, step_ms)
    ]


def depths(points: Sequence[StatsPoint], since_ms: int, until_ms: int, step_s: int) -> list[Column]:
    """The most jobs that were due."""
    step_ms = _step_ms(since_ms, until_ms, step_s)
    most: dict[int, int] = {}
    for point in points:
        start = point.start_ms // step_ms * step_ms
        most[start] = max(most.get(start, 0), point.depth or 0)
    return [Column(start, (most.get(start, 0),)) for start in _starts(since_ms, until_ms, step_ms)]


def durations(
    points: Sequence[StatsPoint], since_ms: int, until_ms: int, step_s: int, which: Literal["run", "wait"]
) -> list[Column]:
    """In ms: the time that half of the jobs did not exceed, and how much more 95 of 100 needed."""
    step_ms = _step_ms(since_ms, until_ms, step_s)
    sums: dict[int, list[int]] = {}
    for point in points:
        buckets = (point.run if which == "run" else point.wait).buckets
        row = sums.setdefault(point.start_ms // step_ms * step_ms, [0] * len(buckets))
        for n, count in enumerate(buckets):
            row[n] += count
    found = []
    for start in _starts(since_ms, until_ms, step_ms):
        there = Histogram(tuple(sums[start])) if start in sums else Histogram()
        half, most = round(there.percentile(50) or 0), round(there.percentile(95) or 0)
        found.append(Column(start, (half, most - half)))
    return found


def duration_chart(found: Sequence[Column], about: str) -> Chart:
    """Of what `durations` has found."""
    highest = max((sum(column.parts) for column in found), default=0)
    label = f"{about}: 95 of 100 within {took(highest)} at most"
    return _chart(found, ("half", "most"), highest, label, took(highest), _durations_told)


def _durations_told(column: Column) -> str:
    half, more = column.parts
    return f"half within {took(half)}, 95 of 100 within {took(half + more)}"


def _step_ms(since_ms: int, until_ms: int, step_s: int) -> int:
    step_ms = step_s * 1000
    return step_ms * max(1, -(-(until_ms - since_ms) // (step_ms * _MOST_COLUMNS)))


def _starts(since_ms: int, until_ms: int, step_ms: int) -> range:
    return range(since_ms // step_ms * step_ms, until_ms + 1, step_ms)


def column_chart(found: Sequence[Column], names: Sequence[str], about: str) -> Chart:
    """Stacked columns.

    Args:
        names: what each part is; also the class that gives it its colour, `bar-done` for `done`.
        about: what the chart shows, for those who do not see it.
    """
    highest = max((sum(column.parts) for column in found), default=0)

    def told(column: Column) -> str:
        pairs = zip(names, column.parts, strict=True)
        return ", ".join(f"{number(part)} {name}" for name, part in pairs if part)

    return _chart(found, names, highest, _summary(found, names, about), number(highest), told)


def _chart(
    found: Sequence[Column],
    names: Sequence[str],
    highest: int,
    label: str,
    highest_told: str,
    told: Callable[[Column], str],
) -> Chart:
    width = _WIDTH / max(1, len(found))
    bars = [_column(column, n * width, width, highest, names, told) for n, column in enumerate(found)]
    svg = Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{about}">'
        "{bars}</svg>"
    ).format(w=_WIDTH, h=_HEIGHT, about=label, bars=Markup("").join(bars))
    begin, end = (as_utc(found[n].start_ms) for n in (0, -1)) if found else ("", "")
    return Chart(svg, highest_told, begin, end)


def _summary(found: Sequence[Column], names: Sequence[str], about: str) -> str:
    sums = [sum(column.parts[n] for column in found) for n in range(len(names))]
    if len(names) == 1:
        return f"{about}: {number(max((column.parts[0] for column in found), default=0))} at most"
    return f"{about}: " + ", ".join(
        f"{number(total)} {name}" for name, total in zip(names, sums, strict=True)
    )


def _column(
    column: Column,
    left: float,
    width: float,
    highest: int,
    names: Sequence[str],
    told: Callable[[Column], str],
) -> Markup:
    if not any(column.parts):
        return Markup("")
    parts, top = [], float(_HEIGHT)
    for name, part in zip(names, column.parts, strict=True):
        height = max(1.0, part / highest * (_HEIGHT - 4)) if part else 0.0
        top -= height
        if part:
            parts.append(_bar(name, left, top, width * 0.85, height))
    return Markup("<g><title>{}</title>{}</g>").format(
        f"{as_utc(column.start_ms)}: {told}", Markup("").join(parts)
    )


def _bar(name: str, left: float, top: float, width: float, height: float) -> Markup:
    return Markup('<rect class="bar-{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        name, f"{left:.1f}", f"{max(0.0, top):.1f}", f"{width:.1f}", f"{height:.1f}"
    )


def histogram(found: Histogram, about: str) -> Markup:
    """How durations are spread: a column for each power of two."""
    highest, width = max(found.buckets, default=0), 8
    bars = []
    for n, count in enumerate(found.buckets):
        if count:
            height = max(1.0, count / highest * 22)
            text = f"{_range(n, len(found.buckets))}: {number(count)}"
            bar = _bar("depth", n * width, 24 - height, width - 1, height)
            bars.append(Markup("<g><title>{}</title>{}</g>").format(text, bar))
    label = (
        f"{about}: half within {took(found.percentile(50))}, 95 of 100 within {took(found.percentile(95))}"
    )
    return Markup('<svg class="spread" viewBox="0 0 {} 24" role="img" aria-label="{}">{}</svg>').format(
        len(found.buckets) * width, label, Markup("").join(bars)
    )


def _range(bucket: int, number_of: int) -> str:
    low = 0 if bucket == 0 else _FIRST_MS << (bucket - 1)
    return (
        f"{took(low)} and more" if bucket == number_of - 1 else f"{took(low)} to {took(_FIRST_MS << bucket)}"
    )
