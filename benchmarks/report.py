"""Tables of what was measured."""

from __future__ import annotations

from statistics import median

Numbers = dict[str, float]
Results = dict[str, dict[str, dict[int, Numbers]]]  # scenario -> peer -> round -> numbers

BASES = ("arq", "arq-tuned")


def table(scenario: str, headline: str, by_peer: dict[str, dict[int, Numbers]]) -> str:
    """One scenario as Markdown: median of each number, spread and ratios of the headline."""
    names = list(
        dict.fromkeys(name for rounds in by_peer.values() for one in rounds.values() for name in one)
    )
    bases = [peer for peer in BASES if peer in by_peer]
    rest = [name for name in names if name != headline]
    head = ["peer", headline, "min-max", *(f"x {peer}" for peer in bases), *rest]
    lines = [f"### {scenario}", "", row(head), row(["-"] * len(head))]
    for peer, rounds in by_peer.items():
        values = [one[headline] for one in rounds.values()]
        cells = [peer, number(median(values)), f"{number(min(values))}-{number(max(values))}"]
        cells += [_times(ratio(rounds, by_peer[base], headline)) for base in bases]
        lines.append(row([*cells, *(number(median(one[name] for one in rounds.values())) for name in rest)]))
    return "\n".join(lines) + "\n"


def ratio(ours: dict[int, Numbers], theirs: dict[int, Numbers], headline: str) -> float | None:
    """Median of the ratios within each round: what else the machine did in a round hit both."""
    both = [(ours[at][headline], theirs[at][headline]) for at in ours.keys() & theirs.keys()]
    ratios = [one / other for one, other in both if other]
    return median(ratios) if ratios else None


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"
