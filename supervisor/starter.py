"""How a child comes to be: by a fork, or in a new interpreter where that is wanted or a fork would not be safe."""

from .anew import start_anew
from .bodies import BODIES
from .childenv import Brief
from .events import Role
from .logs import Journal
from .pages import share_pages
from .spawn import Pipes, UnsafeForkError, fork


class Starter:
    """Starts children. `method` is `fork` or `exec`."""

    def __init__(self, method: str, journal: Journal) -> None:
        self.method = method
        self._journal = journal

    def prepare(self) -> None:
        """Have ready what all children need, if they can share it."""
        if self.method == "fork":
            share_pages()

    def start(self, role: Role, brief: Brief, pipes: Pipes) -> int:
        """Start a child with these orders; return its pid.

        Raises:
            OSError: the system refuses (too many processes, no memory, no descriptor).
        """
        if self.method == "fork":
            try:
                return fork(lambda: BODIES[role](brief, pipes), pipes)
            except UnsafeForkError as error:
                self.method = "exec"
                self._journal.say("warning", "fork.unsafe", {"threads": error.threads, "instead": "exec"})
        return start_anew(role, brief, pipes)
