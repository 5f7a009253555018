"""Plots of what was measured, as SVG: panels of horizontal bars, best first, with the spread as a whisker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from benchmarks.report import Results, number
from benchmarks.scenarios import SCENARIOS

PANEL_WIDTH, ROW_HEIGHT, GAP = 440, 22, 18
LABEL_WIDTH, VALUE_WIDTH = 150, 64
OURS, ORIGINAL, OTHERS = "#1d4ed8", "#d97706", "#94a3b8"
SECOND_PART = "#dc2626"
FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Bar:
    """One bar: its parts add up to the value, `low` and `high` are the spread."""

    label: str
    color: str
    parts: tuple[float, ...]
    low: float
    high: float

    @property
    def value(self) -> float:
        """The whole length."""
        return sum(self.parts)


@dataclass(frozen=True)
class Panel:
    """Bars with one scale. `log` for values that differ a hundredfold."""

    title: str
    bars: tuple[Bar, ...]
    log: bool = False

    @property
    def height(self) -> int:
        """In pixels."""
        return ROW_HEIGHT * (len(self.bars) + 2)

    def draw(self, left: int, top: int) -> str:
        """The panel at this place."""
        room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH
        biggest = max(max(bar.high, bar.value) for bar in self.bars)
        smallest = min(min(bar.low, bar.value) for bar in self.bars)

        def length(value: float) -> float:
            if not self.log:
                return value / biggest * room if biggest else 0.0
            floor = 10 ** math.floor(math.log10(max(smallest, 1e-3)))
            return math.log10(max(value, floor) / floor) / max(math.log10(biggest / floor), 0.1) * room

        note = " (logarithmic)" if self.log else ""
        title = f"<text x='{left}' y='{top + 14}' font-weight='600'>{escape(self.title + note)}</text>"
        lines = [title]
        for index, bar in enumerate(self.bars):
            lines += self._bar(bar, left, top + ROW_HEIGHT * (index + 1), length)
        return "\n".join(lines)

    @staticmethod
    def _bar(bar: Bar, left: int, y: int, length: object) -> list[str]:
        assert callable(length)
        start = left + LABEL_WIDTH
        middle = y + ROW_HEIGHT / 2
        lines = [f"<text x='{start - 8}' y='{middle + 4}' text-anchor='end'>{escape(bar.label)}</text>"]
        reached = 0.0
        for part, color in zip(bar.parts, (bar.color, SECOND_PART), strict=False):
            width = length(reached + part) - length(reached)
            lines.append(
                f"<rect x='{start + length(reached):.1f}' y='{y + 4}' width='{max(width, 0.5):.1f}' "
                f"height='{ROW_HEIGHT - 8}' fill='{color}'/>"
            )
            reached += part
        low, high = start + length(bar.low), start + length(bar.high)
        if high - low > 1:
            lines.append(f"<path d='M{low:.1f} {middle}H{high:.1f}' stroke='#111827' stroke-width='1.5'/>")
        at = max(high, start + length(bar.value)) + 6
        lines.append(f"<text x='{at:.1f}' y='{middle + 4}'>{number(bar.value)}</text>")
        return lines


def svg(title: str, note: str, panels: Sequence[Panel]) -> str:
    """A whole picture: panels in two columns."""
    tops, columns = [], [56, 56]
    for panel in panels:
        column = columns.index(min(columns))
        tops.append((column, columns[column]))
        columns[column] += panel.height + GAP
    width, height = 2 * PANEL_WIDTH + 3 * GAP, max(columns) + 10
    body = [
        panel.draw(GAP + column * (PANEL_WIDTH + GAP), top)
        for panel, (column, top) in zip(panels, tops, strict=True)
    ]
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' font-size='12' {FONT}>\n"
        f"<rect width='100%' height='100%' fill='#ffffff'/>\n"
        f"<text x='{GAP}' y='22' font-size='16' font-weight='600'>{escape(title)}</text>\n"
        f"<text x='{GAP}' y='40' fill='#4b5563'>{escape(note)}; blue: this arq, orange: arq 0.28, grey: others</text>"
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"


def draw(results: Results, note: str) -> dict[str, str]:
    """All plots that these results are enough for, by name."""
    plots = {}
    for name, title, wanted in (
        ("throughput", "No-op jobs a second", _throughput(results)),
        ("enqueue", "Jobs enqueued a second", _panels(results, _ENQUEUE)),
        ("latency", "Latency on an idle worker, median in ms", _panels(results, _LATENCY, log=True)),
        ("crowds", "No-op jobs a second: long queues, jobs held elsewhere", _crowds(results)),
        ("cost", "What a job and a pool cost", _cost(results)),
        ("recovery", "Seconds until the job of a killed process runs again", _panels(results, _DEATH)),
    ):
        panels = [panel for panel in wanted if panel.bars]
        if panels:
            plots[name] = svg(title, note, panels)
    return plots


_ENQUEUE = {
    "enqueue-one": "awaited one by one",
    "enqueue-gather": "100 concurrent",
    "enqueue-bulk": "100 a call",
}
_LATENCY = {
    "pickup": "enqueue to the job's first line",
    "roundtrip": "enqueue to the result in hand",
    "lateness": "due time to the job's first line",
}
_DEATH = {
    "recovery-peers": "process killed (90: given up)",
    "host-death": "whole host killed (90: given up)",
    "recovery": "process killed, supervised",
}


def _bars(results: Results, scenario: str, name: str = "", prefix: str = "") -> list[Bar]:
    name = name or SCENARIOS[scenario].headline
    found = []
    for peer, rounds in results.get(scenario, {}).items():
        values = [one[name] for one in rounds.values()]
        found.append(Bar(prefix + peer, _color(peer), (median(values),), min(values), max(values)))
    return found


def _sorted(bars: list[Bar], *, less_is_better: bool) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: bar.value, reverse=not less_is_better))


def _panels(results: Results, titles: dict[str, str], *, log: bool = False) -> list[Panel]:
    return [
        Panel(title, _sorted(_bars(results, name), less_is_better=SCENARIOS[name].less_is_better), log=log)
        for name, title in titles.items()
    ]


def _throughput(results: Results) -> list[Panel]:
    titles = {
        "noop100": "1 process, max_jobs 100",
        "noop100x2": "2 processes, max_jobs 100",
        "noop100x4": "4 processes on 2 cores, max_jobs 100",
        "noop10": "1 process, max_jobs 10",
        "noop10x2": "2 processes, max_jobs 10",
        "sleep10": "jobs of 10 ms, max_jobs 100",
    }
    return _panels(results, titles)


def _crowds(results: Results) -> list[Panel]:
    depths = {"depth1k": "1,000", "depth10k": "10,000", "depth100k": "100,000", "depth1m": "1,000,000"}
    held = {"held0": "none", "held500": "500", "held2000": "2,000"}
    return [
        Panel(
            title,
            tuple(bar for name, label in names.items() for bar in _bars(results, name, "", f"{label}: ")),
        )
        for title, names in (("jobs queued", depths), ("jobs held by other workers", held))
    ]


def _cost(results: Results) -> list[Panel]:
    cpu = []
    for peer, rounds in results.get("noop100", {}).items():
        parts = tuple(
            median(one[name] for one in rounds.values()) for name in ("worker us/job", "redis us/job")
        )
        cpu.append(Bar(peer, _color(peer), parts, sum(parts), sum(parts)))
    return [
        Panel("CPU us a job: worker, and Redis in red", _sorted(cpu, less_is_better=True)),
        *(
            Panel(
                title, _sorted(_bars(results, scenario, name), less_is_better=True), log=name == "commands/s"
            )
            for scenario, name, title in (
                ("noop100", "commands/job", "Redis commands a job"),
                ("memory4", "PSS MB", "memory of four processes, PSS in MB"),
                ("idle", "commands/s", "Redis commands a second of an idle worker"),
            )
        ),
    ]


def _color(peer: str) -> str:
    if peer.startswith("ours"):
        return OURS
    return ORIGINAL if peer.startswith("arq") else OTHERS
