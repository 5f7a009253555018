"""What the control group of this process says: its share of the CPUs, and whom the kernel has killed for memory."""

from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def groups(controller: str, root: Path = CGROUP, membership: Path = MEMBERSHIP) -> Iterator[Path]:
    """Directories of the groups that this process is in, the nearest first: of the new kind, then of the old.

    `root` is where control groups are mounted; inside a container that is all there is to see.
    """
    for base, path in [(root, _path("", membership)), (root / controller, _path(controller, membership))]:
        group = base / path.strip("/")
        yield from (one for one in (group, *group.parents) if one.is_relative_to(base))


def _path(controller: str, membership: Path) -> str:
    """Our group in the hierarchy of this controller ("" for the new, common one)."""
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return ""


def numbers(file: Path) -> dict[str, int]:
    """Lines `name number`; empty when there is no such file."""
    try:
        pairs = [line.split() for line in file.read_text("utf-8").splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def oom_kills(root: Path = CGROUP, membership: Path = MEMBERSHIP) -> int | None:
    """How many processes of our group the kernel has killed for memory so far; None where it does not count."""
    for group in groups("memory", root, membership):
        for name in ("memory.events", "memory.oom_control"):
            count = numbers(group / name).get("oom_kill")
            if count is not None:
                return count
    return None


class NewOomKills:
    """What the kernel has killed for memory since it was asked before."""

    def __init__(self) -> None:
        self._seen = oom_kills()

    def count(self, signal: str | None) -> int | None:
        """Processes since the last KILL that nobody here has sent; None where `signal` is another, or unknown."""
        if signal != "SIGKILL":
            return None
        before, self._seen = self._seen, oom_kills()
        return None if before is None or self._seen is None else self._seen - before
