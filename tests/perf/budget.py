"""The budget of a job. `python -m tests.perf.budget` makes the file anew, with Python 3.11, which makes most calls.

On a server without MSETEX, which needs most commands: `ARQ_TEST_SERVER=redis` before Redis 8.4.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.programs import ROOT
from tests.support.servers import running_server

FILE = Path(__file__).with_name("budget.toml")
Costs = dict[str, dict[str, float]]
#: Counts on the server are exact but for a heart beat on a slow machine; Python calls differ by 2 % from run to run and
#: by a few from one version of Python or redis-py to the next.
HEADROOM_PERCENT = {"commands": 5, "round_trips": 15, "python_calls": 12}


def found(dsn: str) -> Costs:
    """What a job costs now, measured in a process of its own."""
    command = [sys.executable, "-m", "tests.perf.measure", dsn]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=170)
    costs: Costs = json.loads(done.stdout)
    return costs


def allowed() -> Costs:
    """What a job may cost."""
    budget: Costs = tomllib.loads(FILE.read_text())
    return budget


def overruns(costs: Costs) -> list[str]:
    """One clear line for each count that is over its budget."""
    problems = [
        over(row, what, costs[row][what], budget)
        for row, counts in allowed().items()
        for what, budget in counts.items()
    ]
    return [problem for problem in problems if problem]


def least(one: Costs, other: Costs) -> Costs:
    """The smaller of each count."""
    return {
        row: {what: min(count, other[row][what]) for what, count in counts.items()}
        for row, counts in one.items()
    }


def over(row: str, what: str, now: float, budget: float) -> str:
    """One clear line, or nothing if it is within the budget."""
    if now <= budget:
        return ""
    return f"{row}: {what} a job: {now:.3f}, budget {budget:.3f} (tests/perf/budget.toml)"


def text(costs: Costs) -> str:
    """The file for these costs."""
    lines = [
        "# What a job may cost; the comment is what was found. Made anew by `python -m tests.perf.budget`, on a server",
        "# that has no MSETEX (`ARQ_TEST_SERVER=redis`, before Redis 8.4). Others need fewer commands.",
        "# Head-room: "
        + ", ".join(f"{name} {percent} %" for name, percent in HEADROOM_PERCENT.items())
        + ".",
        "# A budget that must grow needs a reason in the commit that lets it grow.",
    ]
    for row, counts in costs.items():
        lines += ["", f"[{row}]"]
        for what, percent in HEADROOM_PERCENT.items():
            lines.append(f"{what} = {counts[what] * (1 + percent / 100):.3f}  # {counts[what]:.3f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the file."""
    with running_server() as server:
        FILE.write_text(text(found(server.dsn)))
    print(FILE.read_text(), end="")


if __name__ == "__main__":
    main()
