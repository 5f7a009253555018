"""How a child comes to be: by a fork, or in a new interpreter where that is wanted or a fork would not be safe."""

from .anew import start_anew
from .bodies import BODIES
from .childenv import Brief
from .events import Role
from .logs import Journal
from .pages import share_pages
from .preloaded import OWN, Preloaded
from .spawn import Pipes, UnsafeForkError, fork


class Starter:
    """Starts children. `method` is `fork` or `exec`."""

    def __init__(self, method: str, journal: Journal) -> None:
        self.method = method
        self._journal = journal
        self._preloaded: Preloaded | None = None

    def prepare(self) -> None:
        """Have ready what all children need, if they can share it."""
        if self.method == "fork":
            share_pages()
            self._preloaded = Preloaded()

    def start(self, role: Role, brief: Brief, pipes: Pipes) -> int:
        """Start a child with these orders; return its pid.

        Raises:
            OSError: the system refuses (too many processes, no memory, no descriptor).
        """
        if self.method == "fork" and role is Role.WORKER:
            self._look_at_libraries()
        if self.method == "fork":
            try:
                return fork(lambda: BODIES[role](brief, pipes), pipes)
            except UnsafeForkError as error:
                self.method = "exec"
                self._journal.say("warning", "fork.unsafe", {"threads": error.threads, "instead": "exec"})
        return start_anew(role, brief, pipes)

    def _look_at_libraries(self) -> None:
        """What was imported before an upgrade is not to be mixed with what is imported after it."""
        changed = self._preloaded.changed() if self._preloaded is not None else []
        if not changed:
            return
        self._preloaded = None  # said once
        if any(name in OWN for name in changed):
            fields = {"libraries": changed, "instead": "the old ones: restart arq-supervise"}
        else:
            self.method = "exec"
            fields = {
                "libraries": changed,
                "instead": "exec; to share their memory again, restart arq-supervise",
            }
        self._journal.say("warning", "libraries.changed", fields)
