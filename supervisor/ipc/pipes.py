"""The descriptors by which a child is told and tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pipes:
    """A child's ends. `orders_fd` is -1 for children that are only told by signals.

    `socket_fd` is the socket through which a spare is given the pipes of its copy, or the one at which the dashboard
    listens; -1 for all others.
    """

    beat_fd: int
    life_fd: int
    orders_fd: int = -1
    socket_fd: int = -1

    @property
    def numbers(self) -> tuple[int, ...]:
        """All of them, as they are handed on."""
        return self.beat_fd, self.life_fd, self.orders_fd, self.socket_fd
