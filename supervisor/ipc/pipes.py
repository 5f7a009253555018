"""The descriptors by which a child is told and tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pipes:
    """A child's ends. `orders_fd` is -1 for children that are only told by signals."""

    beat_fd: int
    life_fd: int
    orders_fd: int = -1
