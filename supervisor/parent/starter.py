"""How a child comes to be: by a fork, or in a new interpreter where that is wanted or a fork would not be safe."""

from ..children import atexit_hooks
from ..children.roles import MAIN_OF
from ..host.event_log import EventLog
from ..ipc.brief import Brief
from ..ipc.parent_end import ParentEnd
from ..ipc.pipes import Pipes
from ..options import DEFAULT_START_METHOD
from ..pool.events import WITH_CODE, Role
from ..process.exec import start_interpreter, write_brief
from ..process.fork import fork, thread_count
from ..process.shared_memory import share_pages
from .preloaded_libraries import OWN, Preloaded


def _run_forked(role: Role, brief: Brief, pipes: Pipes) -> int:
    if role in WITH_CODE:
        atexit_hooks.forget_inherited()
    return MAIN_OF[role](brief, pipes)


class Starter:
    """Starts children. `wanted` is `fork` or `exec`, or None: what is safe."""

    def __init__(self, wanted: str | None, journal: EventLog) -> None:
        self.method = wanted or DEFAULT_START_METHOD
        self._is_fork_wanted = wanted == "fork"
        self._is_warned = False
        self._journal = journal
        self._preloaded: Preloaded | None = None

    def prepare(self, has_log_dict: bool = False) -> None:
        """Have ready what all children need, if they can share it; `has_log_dict`: whether logs are set up by one."""
        if self.method == "fork":
            share_pages(has_log_dict)
            self._preloaded = Preloaded()

    def start(self, role: Role, brief: Brief, pipes: Pipes, source: ParentEnd | None = None) -> int:
        """Start a child with these orders, as a copy of the one behind `source` if there is one; return its pid.

        Raises:
            OSError: the system refuses (too many processes, no memory, no descriptor).
        """
        if source is not None:
            return source.copy(write_brief(brief), pipes)
        if self.method == "fork" and role in WITH_CODE:
            self._look_at_libraries()
        if self.method == "fork":
            self._look_at_threads()
        if self.method == "fork":
            return fork(lambda: _run_forked(role, brief, pipes), pipes, despite_threads=self._is_fork_wanted)
        return start_interpreter(role, brief, pipes)

    def _look_at_threads(self) -> None:
        """They are a reason not to fork, unless the user has said `--start-method fork`: some tools are made for it."""
        threads = thread_count()
        if threads == 1 or self._is_warned:
            return
        self._is_warned = True
        if not self._is_fork_wanted:
            self.method = "exec"
        instead = "fork, as was asked for; it may hang" if self._is_fork_wanted else "exec"
        self._journal.say("warning", "fork.unsafe", {"threads": threads, "instead": instead})

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
