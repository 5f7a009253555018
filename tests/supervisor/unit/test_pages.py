"""What the parent does before its first fork, so that children hardly write to what they share."""

import subprocess
import sys
import textwrap

import pytest

from supervisor.pages import endless_count

COUNTS_END = endless_count() is not None
SCATTERED = """
    kept = [bytes(60) for _ in range(20_000)]
    for at in range(0, len(kept), 40):  # less than one hole for each page is needed
        kept[at] = None
"""
WRITTEN = """
    def written():
        with open("/proc/self/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
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
    return int(run("import supervisor.pages, gc\n", SCATTERED, f"{prepare}\n", count))


def test_new_objects_lie_side_by_side() -> None:
    assert pages_of_new_objects("gc.collect()") > 100
    assert pages_of_new_objects("supervisor.pages.share_pages()") < 30


@pytest.mark.skipif(not COUNTS_END, reason="this Python counts all references")
def test_a_child_that_looks_at_everything_writes_to_little() -> None:
    look = """
    import gc, os, sys
    import supervisor.bodies, supervisor.pages

    {prepare}
    looked_at = [item for module in list(sys.modules.values()) for item in vars(module).values()]
    reader, writer = os.pipe()
    if os.fork() == 0:
        before = written()
        again = looked_at * 2
        os.write(writer, str(written() - before).encode())
        os._exit(0)
    os.wait()
    print(os.read(reader, 100).decode())
    """
    plain_kib = int(run(WRITTEN, textwrap.dedent(look).format(prepare="gc.collect()")))
    shared_kib = int(run(WRITTEN, textwrap.dedent(look).format(prepare="supervisor.pages.share_pages()")))
    assert shared_kib < plain_kib / 2


@pytest.mark.skipif(not COUNTS_END, reason="this Python counts all references")
def test_what_is_never_freed_works_and_ends_as_ever() -> None:
    """Containers still change, new objects are still freed, and the interpreter ends in order."""
    use = """
    import asyncio, atexit, gc, weakref
    import supervisor.bodies, supervisor.pages

    class Thing:
        pass

    old, atend = {"list": [1], "thing": Thing()}, []
    supervisor.pages.share_pages()
    old["list"] += [2, 3]
    old["list"].pop(0)
    del old["thing"]
    old |= {"more": "x" * 1000}
    thing = Thing()
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert old == {"list": [2, 3], "more": "x" * 1000} and gone() is None
    atexit.register(print, "end")

    async def main():
        async with asyncio.timeout(5):
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))

    asyncio.run(main())
    print("ran")
    """
    assert run(use) == "ran\nend\n"
