"""The benchmark driver computes, judges and draws what was measured; and it runs."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.plots import draw
from benchmarks.report import Results, ratio, table
from benchmarks.targets import judge
from benchmarks.work import steady
from tests.support.programs import ROOT


def per_s(*values: float) -> dict[int, dict[str, float]]:
    return {number: {"jobs/s": value} for number, value in enumerate(values)}


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BENCH_PYTHON_OURS": sys.executable}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip


def test_a_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    ours, theirs = per_s(100, 900, 300), per_s(10, 100, 10)
    assert ratio(ours, theirs, "jobs/s") == 10
    assert ratio(ours, per_s(50), "jobs/s") == 2, "rounds that the other has not are left out"
    assert ratio(ours, per_s(0, 0, 0), "jobs/s") is None


def test_a_table_has_median_spread_and_ratios() -> None:
    text = table("noop100", "jobs/s", {"ours": per_s(8000, 9000, 10000), "arq": per_s(1000, 1000, 1000)})
    assert "| ours | 9000 | 8000-10000 | 9.00 |" in text
    assert "| arq | 1000 | 1000-1000 | 1.00 |" in text


def test_the_rate_is_that_of_the_time_in_which_all_processes_work() -> None:
    one_alone = [(0.0, 0, 1), (1.0, 500, 1)]
    both = [(2.0, 600, 2), (3.0, 800, 2), (4.0, 990, 2)]
    assert steady(one_alone + both, 1000) == 200


@pytest.mark.parametrize(("ours", "word"), [(7000.0, "yes"), (5000.0, "**no**")])
def test_targets_are_judged(ours: float, word: str) -> None:
    results: Results = {"noop100": {"ours": per_s(ours), "arq-tuned": per_s(1000)}}
    (line,) = [line for line in judge(results).splitlines() if "against arq-tuned" in line]
    assert line.endswith(f"| {word} |")


def test_nothing_is_judged_where_nothing_was_measured() -> None:
    assert not judge({})
    assert "not measured" not in judge({"noop100": {"ours": per_s(1), "arq-tuned": per_s(1)}})


def test_plots_show_every_peer() -> None:
    results: Results = {"enqueue-one": {"ours": per_s(3000, 4000), "saq & co": per_s(0)}}
    picture = ElementTree.fromstring(draw(results, "a note")["enqueue"])
    words = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"ours", "saq & co", "3500"} <= words


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "unknown scenario 'nonsense'"),
        (["--peers", "ours,nobody"], "unknown peer 'nobody'"),
        (["--rounds", "0"], "--rounds must be at least 1, not 0"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], complaint: str) -> None:
    done = benchmarks(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]


@pytest.mark.processes
def test_a_scenario_runs_and_is_written_down(tmp_path: Path) -> None:
    done = benchmarks("enqueue-bulk", "--peers", "ours", "--rounds", "1", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "| ours |" in done.stdout
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md", ".svg"}
