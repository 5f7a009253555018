"""Control groups in which a pool has little memory, where this user may make them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.host.cgroups import CGROUP
from tests.supervisor.harness import Pool
from tests.support.eventually import wait_until

LIMIT_BYTES = 300_000_000
# the directory of groups and the limit's file there, of the old kind and of the new
KINDS = ((CGROUP / "memory", "memory.limit_in_bytes"), (CGROUP, "memory.max"))


def _make_group(name: str) -> Path | None:
    """A control group with little memory; None where this user may not make one."""
    for base, limit in KINDS:
        group = base / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / "cgroup.procs").read_text()
            with open(group / limit, "r+") as file:  # where no groups are, a file must not come into being
                file.write(str(LIMIT_BYTES))
        except OSError:
            group.rmdir()
        else:
            return group
    return None


@contextmanager
def little_memory_for(pool: Pool) -> Iterator[Path]:
    """A group with little memory, which is removed when the pool has ended. Skips the test where there can be none."""
    group = _make_group(f"arq-test-{pool.mark}")
    if group is None:
        pytest.skip("this user may not make a control group with a memory limit")
    yield group
    pool.close()
    wait_until(lambda: not (group / "cgroup.procs").read_text(), what="the group is empty")
    group.rmdir()


def entering(group: Path) -> tuple[str, ...]:
    """A command that goes into the group and becomes the one behind it."""
    return ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
