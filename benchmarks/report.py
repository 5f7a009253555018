"""Tables of what was measured."""

from __future__ import annotations

from statistics import median

Numbers = dict[str, float]
Results = dict[str, dict[str, list[Numbers]]]  # scenario -> peer -> one dict a round


def table(scenario: str, headline: str, by_peer: dict[str, list[Numbers]]) -> str:
    """One scenario as Markdown: median of each number, spread and ratios of the headline."""
    names = list(dict.fromkeys(name for rounds in by_peer.values() for one in rounds for name in one))
    base: list[str] = [peer for peer in ("arq", "arq-tuned") if peer in by_peer]
    head = [
        "peer",
        headline,
        "min-max",
        *(f"x {peer}" for peer in base),
        *(n for n in names if n != headline),
    ]
    lines = [f"### {scenario}", "", _row(head), _row(["-"] * len(head))]
    lines += [_row(_cells(peer, rounds, headline, names, by_peer, base)) for peer, rounds in by_peer.items()]
    return "\n".join(lines) + "\n"


def _cells(
    peer: str,
    rounds: list[Numbers],
    headline: str,
    names: list[str],
    by_peer: dict[str, list[Numbers]],
    base: list[str],
) -> list[str]:
    values = [one[headline] for one in rounds]
    ratios = [_ratio(values, [one[headline] for one in by_peer[other]]) for other in base]
    others = [number(median(one[name] for one in rounds)) for name in names if name != headline]
    return [peer, number(median(values)), f"{number(min(values))}-{number(max(values))}", *ratios, *others]


def _ratio(values: list[float], bases: list[float]) -> str:
    """Median of the ratios within each round: what else the machine did in a round hit both."""
    ratios = [value / base for value, base in zip(values, bases, strict=True) if base]
    return f"{median(ratios):.2f}" if ratios else "-"


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
