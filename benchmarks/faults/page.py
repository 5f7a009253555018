"""The tables of `docs/fault-comparison.md`, made from a results file: `python -m benchmarks.faults.page [FILE]`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.grades import Grade
from benchmarks.faults.peers import PEERS
from benchmarks.faults.verdicts import judge

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "fault-comparison.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Results = dict[str, Any]


def newest() -> Path:
    """The results that the page shows."""
    return max((HERE / "results").glob("*.json"))


def render(results: Results) -> str:
    """Everything between the two marks."""
    parts = [_where(results), _sums(results), _settings(results)]
    groups = dict.fromkeys(fault.group for fault in FAULTS.values())
    parts += [_group(results, group) for group in groups]
    return "\n\n".join(parts)


def _where(results: Results) -> str:
    m = results["machine"]
    cells = [seen for found in results["peers"].values() for seen in found["cells"].values()]
    took_s = sum(seen.get("cell_s", 0.0) for seen in cells)
    return (
        f"Measured on {m['date']}: Linux {m['kernel']} on {m['machine']}, {m['cores']} cores, Python {m['python']}, "
        f"{m['server']}; {len(results['peers'])} peers, {len(FAULTS)} faults, "
        f"{took_s / 60:.0f} minutes if one comes after another."
    )


def _sums(results: Results) -> str:
    rows = [_row("", *(f"{grade.value} {grade.name.lower()}" for grade in Grade)), _row(*["-"] * 5)]
    for name, found in results["peers"].items():
        grades = Counter(judge(fault, seen).grade for fault, seen in found["cells"].items())
        rows.append(_row(PEERS[name].heading, *(grades[grade] for grade in Grade)))
    return "\n".join(rows)


def _settings(results: Results) -> str:
    rows = [_row("", "version", "run with"), _row("-", "-", "-")]
    for name, found in results["peers"].items():
        versions = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
        rows.append(_row(PEERS[name].heading, versions, found["settings"]))
    return "\n".join(rows)


def _group(results: Results, group: str) -> str:
    names = list(results["peers"])
    rows = [_row("", *(PEERS[name].heading for name in names)), _row(*["-"] * (len(names) + 1))]
    for fault in (one for one in FAULTS.values() if one.group == group):
        cells = [judge(fault.name, results["peers"][name]["cells"][fault.name]) for name in names]
        rows.append(_row(f"**{fault.title}**", *cells))
    return "\n".join([f"### {group}", "", *rows])


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def with_tables(page: str, tables: str) -> str:
    """The page, with what is between its marks replaced."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def main() -> None:
    """Rewrite the page."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else newest()
    PAGE.write_text(with_tables(PAGE.read_text(), render(json.loads(source.read_text()))))


if __name__ == "__main__":
    main()
