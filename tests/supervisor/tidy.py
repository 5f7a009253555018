"""What a fault must not leave behind: in a supervisor that goes on, and after one that has ended."""

import os
import re
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

import psutil

# signals and life line: two ends each
OWN_PIPES = 4
# the steward, the dashboard and the workers, which are also written to
OWN_NAMES = ("arq:", "python")
TOLD = re.compile(r"arq:(st|we|\d+):")


def untidy(pid: int) -> list[str]:
    """Zombies, threads and descriptors that a supervisor with these children has no reason to have."""
    try:
        children = psutil.Process(pid).children()
        states = [(child.pid, child.status(), child.name()) for child in children]
        # what jobs have left behind, and the supervisor has adopted, has no pipe
        states = [one for one in states if one[2].startswith(OWN_NAMES) or one[1] == psutil.STATUS_ZOMBIE]
        pipes = pipes_of(pid)
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except (OSError, psutil.Error):  # one of them ends at this moment: look again
        return ["changing"]
    found = [f"zombie {child}" for child, state, _ in states if state == psutil.STATUS_ZOMBIE]
    found += [f"{threads} threads"] if threads != 1 else []
    wanted = OWN_PIPES + len(states) + sum(TOLD.match(name) is not None for _, _, name in states)
    return found if len(pipes) == wanted else [*found, f"{len(pipes)} ends of pipes instead of {wanted}"]


def pipes_of(pid: int) -> list[str]:
    """Pipes that are not its standard streams."""
    links = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    standard = {links.get(fd) for fd in (0, 1, 2)}
    return [link for link in links.values() if link.startswith("pipe:") and link not in standard]


def left_behind(directory: Path) -> list[str]:
    """Locks in this directory that somebody still holds."""
    return [f"{path} is locked" for path in directory.rglob("*.lock") if is_held(path)]


def is_held(path: Path) -> bool:
    """Does another process hold this lock?"""
    with open(path, "rb") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
    return False
