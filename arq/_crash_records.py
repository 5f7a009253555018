"""What is known of jobs that were running when processes died. No I/O."""

from __future__ import annotations

from typing import NamedTuple


class Crashes(NamedTuple):
    """What is known of a job during whose runs processes died.

    Attributes:
        level: how often it was suspected of it, at least 1.
        blamed: how often it was found guilty; only these starts count.
        cause: how the last of these processes died, as `signal 9`.
    """

    level: int
    blamed: int
    cause: str


def read_crashes(note: bytes) -> Crashes | None:
    """What `include/crashes.lua` writes; None for anything else."""
    halves, _, rest = note.decode(errors="replace").partition(" ")
    blamed, _, cause = rest.partition(" ")
    if not (halves.isdecimal() and blamed.isdecimal()) or int(halves) < 2:
        return None
    return Crashes(int(halves) // 2, int(blamed), cause)
