"""What arq is meant to reach, and whether it does: ratios of one interleaved run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.report import Results, number, ratio, row
from benchmarks.scenarios import SCENARIOS

OURS = ("ours", "ours-quiet", "ours-supervised")
ORIGINAL = ("arq", "arq-tuned")
_Found = tuple[float, str]  # the value, and a word on what it is compared with


class NotMeasuredError(Exception):
    """The run had no such scenario or peer."""


@dataclass(frozen=True)
class Target:
    """One row: `find` computes the value, which must be at least (or, with `most`, at most) `needed`."""

    work: str
    find: Callable[[Results], _Found]
    needed: float
    aim: str
    unit: str = "x"
    most: bool = False

    def line(self, results: Results) -> str:
        """The row of the table."""
        try:
            value, word = self.find(results)
        except NotMeasuredError:
            return row([self.work, self._needed(), self.aim, "not measured", ""])
        holds = value <= self.needed if self.most else value >= self.needed
        found = f"{number(value)}{self._suffix()} {word}".strip()
        return row([self.work, self._needed(), self.aim, found, "yes" if holds else "**no**"])

    def _needed(self) -> str:
        return f"{'at most' if self.most else 'at least'} {self.needed:g}{self._suffix()}"

    def _suffix(self) -> str:
        return self.unit if self.unit == "x" else f" {self.unit}" if self.unit else ""


def judge(results: Results) -> str:
    """The table of targets as Markdown; rows that the run says nothing about are left out if none would be left in."""
    lines = [target.line(results) for target in TARGETS]
    if all("not measured" in line for line in lines):
        return ""
    shown = [line for line in lines if len(results) > 3 or "not measured" not in line]
    head = [row(["work", "needed", "aim", "found", "holds"]), row(["-"] * 5)]
    return "\n".join(["### Targets", "", *head, *shown]) + "\n"


def _value(results: Results, scenario: str, peer: str, name: str = "") -> float:
    try:
        rounds = results[scenario][peer]
        return median(one[name or SCENARIOS[scenario].headline] for one in rounds.values())
    except KeyError:
        raise NotMeasuredError from None


def _versus(scenario: str, peer: str, other: str, other_scenario: str = "") -> Callable[[Results], _Found]:
    """How many times the headline of `other` this peer's is, round by round."""

    def find(results: Results) -> _Found:
        name = SCENARIOS[scenario].headline
        _value(results, scenario, peer), _value(results, other_scenario or scenario, other)
        found = ratio(results[scenario][peer], results[other_scenario or scenario][other], name)
        if found is None:
            raise NotMeasuredError
        return found, ""

    return find


def _versus_best(scenario: str, peer: str) -> Callable[[Results], _Found]:
    """The same against the best of the peers other than the original."""

    def find(results: Results) -> _Found:
        others = [one for one in results.get(scenario, {}) if one not in OURS + ORIGINAL]
        if not others:
            raise NotMeasuredError
        pick = min if SCENARIOS[scenario].less_is_better else max
        best = pick(others, key=lambda one: _value(results, scenario, one))
        value, _word = _versus(scenario, peer, best)(results)
        return value, f"({best}: {number(_value(results, scenario, best))})"

    return find


def _plain(scenario: str, peer: str, name: str = "") -> Callable[[Results], _Found]:
    """A number as it is."""
    return lambda results: (_value(results, scenario, peer, name), "")


def _share(scenario: str, peer: str, limit: float) -> Callable[[Results], _Found]:
    return lambda results: (_value(results, scenario, peer) / limit * 100, "")


_M100, _M10 = "no-op, 1 process, max_jobs 100", "no-op, 1 process, max_jobs 10"
_HELD = "no-op while {} jobs are held elsewhere, against none"
TARGETS = (
    Target(f"{_M100}, against arq-tuned", _versus("noop100", "ours", "arq-tuned"), 6, "9x"),
    Target(f"{_M100}, against the best peer", _versus_best("noop100", "ours"), 4, ""),
    Target(f"{_M100}, log at WARNING, against arq-tuned", _versus("noop100", "ours-quiet", "arq-tuned"), 10, "16x"),
    Target(f"{_M10}, against arq-tuned", _versus("noop10", "ours", "arq-tuned"), 4.5, "7x"),
    Target("no-op, 2 processes, against arq-tuned", _versus("noop100x2", "ours-supervised", "arq-tuned"), 9, "15x"),
    Target(
        "the same, against own one process", _versus("noop100x2", "ours-supervised", "ours", "noop100"), 1.2, "1.4x",
    ),
    Target(
        "no-op, 4 processes, against own two",
        _versus("noop100x4", "ours-supervised", "ours-supervised", "noop100x2"), 0.9, "above 1x",
    ),
    Target("10 ms jobs, max_jobs 100: share of 10,000/s", _share("sleep10", "ours", 10_000), 75, "85 %", "%"),
    Target("enqueue, awaited one by one, against arq", _versus("enqueue-one", "ours", "arq"), 2.2, "3x"),
    Target("the same: round trips a job", _plain("enqueue-one", "ours", "reads/job"), 1.02, "1", "", most=True),
    Target("enqueue, 100 concurrent, against arq", _versus("enqueue-gather", "ours", "arq"), 7, "12x"),
    Target(
        "enqueue in bulk, against arq's 100 concurrent",
        _versus("enqueue-bulk", "ours", "arq", "enqueue-gather"), 9, "15x",
    ),
    Target(_HELD.format(500), _versus("held500", "ours", "ours", "held0"), 0.85, "0.97x"),
    Target(_HELD.format("2,000"), _versus("held2000", "ours", "ours", "held0"), 0.85, "0.97x"),
    Target("1 million queued, against 1 thousand", _versus("depth1m", "ours", "ours", "depth1k"), 0.9, "1x"),
    Target("pick-up latency, against the best peer", _versus_best("pickup", "ours"), 1, "0.7x", most=True),
    Target("enqueue to result, against the best peer", _versus_best("roundtrip", "ours"), 1, "0.5x", most=True),
    Target("lateness of a deferred job, median", _plain("lateness", "ours"), 5, "2 ms", "ms", most=True),
    Target("Redis commands a job, max_jobs 100", _plain("noop100", "ours", "commands/job"), 9, "7", "", most=True),
    Target("server reads a job, max_jobs 100", _plain("noop100", "ours", "reads/job"), 0.05, "0.02", "", most=True),
    Target("Redis commands/s of an idle worker", _plain("idle", "ours"), 2.5, "1", "", most=True),
    Target("the same, 600 jobs held elsewhere", _plain("idle600", "ours"), 5, "2.5", "", most=True),
    Target(
        "4 processes with parent and steward, PSS", _plain("memory4", "ours-supervised"), 75, "65 MB", "MB", most=True,
    ),
    Target(
        "job of a SIGKILLed process runs again after", _plain("recovery", "ours-supervised"), 1, "0.3 s", "s",
        most=True,
    ),
    Target("job of a dead host runs again after", _plain("host-death", "ours-supervised"), 40, "35 s", "s", most=True),
)  # fmt: skip
