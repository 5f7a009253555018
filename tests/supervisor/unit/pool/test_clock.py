"""Which modules look at the wall clock."""

import re

from tests.support.programs import ROOT


def test_r40_f50_no_decision_looks_at_the_wall_clock() -> None:
    """A clock that jumps must not end anybody. `bytecode_cache` and `lock_files` compare with the times of files."""
    sources = {path.stem: path.read_text() for path in (ROOT / "supervisor").rglob("*.py")}
    looking = {name for name, text in sources.items() if re.search(r"\btime\.time\(|datetime\.now\(", text)}
    assert looking == {"bytecode_cache", "check", "lock_files", "log_records", "steward"}
