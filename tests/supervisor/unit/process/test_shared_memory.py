"""What the parent does before its first fork, so that children hardly write to what they share."""

import subprocess
import sys
import textwrap

SCATTERED = """
    kept = [bytes(60) for _ in range(20_000)]
    for at in range(0, len(kept), 40):  # less than one hole for each page is needed
        kept[at] = None
"""


def run(*parts: str) -> str:
    """Run these parts of a program in a process of their own: what it does can not be undone."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", "".join(map(textwrap.dedent, parts))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def pages_of_new_objects(prepare: str) -> int:
    """How many pages 400 objects of 93 bytes, made after `prepare`, lie in."""
    count = "print(len({id(item) // 4096 for item in [bytes(60) for _ in range(400)]}))"
    return int(run("import supervisor.process.shared_memory, gc\n", SCATTERED, f"{prepare}\n", count))


def test_new_objects_lie_side_by_side() -> None:
    assert pages_of_new_objects("gc.collect()") > 100
    assert pages_of_new_objects("supervisor.process.shared_memory.share_pages()") < 30
