"""The tables of README.md, from the newest file of results that the benchmarks have written."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import number, ratio

from .markdown import table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- Made from {source} by `python -m manual`. -->\n", "<!-- end -->\n"
#: Column -> peer of the benchmarks.
PEERS = {
    "arq 0.28": "arq",
    "arq 0.28, tuned": "arq-tuned",
    "dramatiq": "dramatiq",
    "saq": "saq",
    "taskiq": "taskiq",
    "huey": "huey",
}
#: Row -> scenario, who of ours.
RATES = {
    "no-op jobs, one process, `max_jobs=100`": ("noop100", "ours"),
    "the same, our log at WARNING": ("noop100", "ours-quiet"),
    "no-op jobs, one process, `max_jobs=10`": ("noop10", "ours"),
    "no-op jobs, two supervised processes": ("noop100x2", "ours-supervised"),
    "jobs that wait for 10 ms, `max_jobs=100`": ("sleep10", "ours"),
    "enqueue, 100 at a time": ("enqueue-gather", "ours"),
    "enqueue, one by one": ("enqueue-one", "ours"),
}
CPU = "CPU of worker and Redis for a job"
OURS = ("ours", "ours-quiet", "ours-supervised", "arq", "arq-tuned")
#: Row -> scenario, ours, that of the peers where it is another one, number, unit.
TIMES = {
    "Redis commands for a job": ("noop100", "ours", "noop100", "commands/job", ""),
    "round trips for a job": ("noop100", "ours", "noop100", "reads/job", ""),
    "from `enqueue_job` to the result, median": ("roundtrip", "ours", "roundtrip", "ms median", " ms"),
    "from `enqueue_job` to the job's first line, median": ("pickup", "ours", "pickup", "ms median", " ms"),
    "job of a SIGKILLed process runs again after": (
        "recovery",
        "ours-supervised",
        "recovery-peers",
        "s",
        " s",
    ),
    "job of a dead host runs again after": ("host-death", "ours-supervised", "host-death", "s", " s"),
    "memory of four processes": ("memory4", "ours-supervised", "memory4", "PSS MB", " MB"),
}

Rounds = dict[str, dict[str, float]]


def newest() -> Path:
    """The newest file of results that has all of it."""
    wanted = {where[at] for where in TIMES.values() for at in (0, 2)} | {
        scenario for scenario, _ in RATES.values()
    }
    files = (ROOT / "benchmarks" / "results").glob("*.json")
    return max(file for file in files if wanted <= json.loads(file.read_text())["results"].keys())


def tables() -> str:
    """Both tables, with what they were measured on."""
    found = json.loads(newest().read_text())
    results, machine = found["results"], found["machine"]
    about = f"Measured {machine['date']}: {machine['cores']} cores ({machine['machine']}), Python {machine['python']}, {machine['server']}."
    return f"{about}\n\n{_rates(results)}\n{_times(results)}"


def _rates(results: dict[str, Any]) -> str:
    rows = [
        [row, *(_factor(ratio(results[scenario][ours], results[scenario][peer], "jobs/s")) if peer in results[scenario] else "-"
                for peer in PEERS.values())]
        for row, (scenario, ours) in RATES.items()
    ]  # fmt: skip
    scenario = {peer: _with_cpu(rounds) for peer, rounds in results["noop100"].items()}
    cpu = [f"{_factor(ratio(scenario[peer], scenario['ours'], 'cpu'))} less" for peer in PEERS.values()]
    return table(("times as many", *PEERS), [*rows, [CPU, *cpu]])


def _with_cpu(rounds: Rounds) -> Any:
    return {at: {"cpu": one["worker us/job"] + one["redis us/job"]} for at, one in rounds.items()}


def _factor(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}x" if value >= 9.95 else f"{value:.1f}x"


def _times(results: dict[str, Any]) -> str:
    return table(
        ("", "this arq", "arq 0.28", "best of the others"),
        ((row, *_cells(results, *where)) for row, where in TIMES.items()),
    )


def _cells(results: dict[str, Any], scenario: str, ours: str, theirs: str, name: str, unit: str) -> list[str]:
    peers = {peer: rounds for peer, rounds in results[theirs].items() if peer not in OURS}
    back = {peer: _median(rounds, name) for peer, rounds in peers.items() if _came_back(rounds)}
    best = min(back, key=lambda peer: back[peer], default="")
    others = (
        f"{best} {number(back[best])}{unit}" if best else _not_within(next(iter(peers.values())), name, unit)
    )
    arq = results[theirs]["arq"]
    original = f"{number(_median(arq, name))}{unit}" if _came_back(arq) else _not_within(arq, name, unit)
    return [_shown(_median(results[scenario][ours], name), unit), original, others]


def _shown(value: float, unit: str) -> str:
    """A number with its unit; of seconds that would be 0.00, milliseconds."""
    return f"{value * 1000:.0f} ms" if unit == " s" and value < 0.01 else f"{number(value)}{unit}"


def _came_back(rounds: Rounds) -> bool:
    return all(one.get("came back", 1) for one in rounds.values())


def _not_within(rounds: Rounds, name: str, unit: str) -> str:
    """They were watched for so long, and nothing came."""
    return f"not within {number(_median(rounds, name))}{unit}"


def _median(rounds: Rounds, name: str) -> float:
    return median(one[name] for one in rounds.values())


def with_tables(text: str) -> str:
    """A page with the tables as they are to be."""
    start, _, rest = text.partition("<!-- Made from benchmarks/")
    _, _, rest = rest.partition(END)
    begin = BEGIN.format(source=newest().relative_to(ROOT))
    return f"{start}{begin}{tables()}{END}{rest}"
