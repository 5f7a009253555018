"""What `ps` and `top` show for a process."""

import ctypes
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec

NAME_BYTES = 15
PACKAGE = "setproctitle"
# looked for by the parent, once: each child that looks for itself writes to 0.3 MB of pages that it would share
HAS_PACKAGE = find_spec(PACKAGE) is not None
# in /proc/<pid>/stat, counted from the first field after the program's name
ARGUMENTS_START, ARGUMENTS_END = 45, 46


def present_as(role: str, mark: str, pool: str, generation: int, slot: int | None = None) -> None:
    """Name this process after its pool and its part in it; `mark` stands for that in the short name."""
    place = pool if slot is None else f"{pool}/{slot}"
    set_name(f"arq:{mark}:{pool}")
    set_title(f"arq-supervise: {role}[{place}] gen {generation}")


def set_name(name: str) -> None:
    """The short name (`ps -o comm`, `top`): 15 bytes."""
    with suppress(OSError), open("/proc/self/comm", "wb") as file:
        file.write(name.encode()[:NAME_BYTES])


def set_title(title: str) -> None:
    """The command line (`ps -f`, `pgrep -f`), cut to the length of the one that the process was started with.

    It lies in our own memory, and Python has made its copy long ago. Where the system does not tell, nothing happens.
    The package setproctitle would not find it again: where user code may want that, it is used from the start.
    """
    if HAS_PACKAGE:
        with suppress(Exception):  # it is not ours
            import_module(PACKAGE).setproctitle(title)
        return
    with suppress(OSError, ValueError, IndexError):
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[ARGUMENTS_START]), int(fields[ARGUMENTS_END])
        if room := (end - start if start else 0):
            data = title.encode(errors="replace")[: room - 1].ljust(room, b"\0")
            ctypes.memmove(start, data, room)
