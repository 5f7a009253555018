"""The table of faults names what is there, and all of it."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1]
ROW = re.compile(r"^\| (F\d\d) \| (.+?) \| ((?:R\d\d ?)+) \| (.+) \|$", re.MULTILINE)
FAULTS = [f"F{number:02}" for number in range(1, 58)]


def rows() -> dict[str, set[str]]:
    """The tests of each fault, as `file::name`."""
    text = (FOLDER / "faults" / "README.md").read_text()
    return {fault: set(re.findall(r"`([^`]+)`", tests)) for fault, _, _, tests in ROW.findall(text)}


def known() -> set[str]:
    """Every test of the supervisor."""
    return {
        f"{path.relative_to(FOLDER)}::{name}"
        for path in FOLDER.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_fault_has_a_row_with_tests_that_exist() -> None:
    table = rows()
    assert sorted(table) == FAULTS
    assert all(table.values())
    assert not set().union(*table.values()) - known()


def test_every_test_of_a_fault_is_in_its_row() -> None:
    table = rows()
    for test in known():
        for number in re.findall(r"_f(\d\d)(?=_)", test.partition("::")[2]):
            assert test in table[f"F{number}"]


def test_each_fault_is_made_to_happen_to_a_real_pool() -> None:
    unproved = {fault for fault, found in rows().items() if all(test.startswith("unit/") for test in found)}
    assert not unproved


def test_the_harness_looks_for_leftovers_in_every_test() -> None:
    """Not each test by itself: whoever stops a pool, and whoever has had one, looks."""
    source = (FOLDER / "harness.py").read_text()
    assert "self.check_tidy()" in source.partition("    def stop(")[2].partition("    def ")[0]
    assert "left_behind(directory)" in source.partition("\ndef pool_in(")[2].partition("\nclass ")[0]
