"""The dashboard's process, as far as the parent has to do with it: the socket that it listens to, and what it is told.

The socket is the parent's: it is opened before anything is started, so that an address that can't be had is said at
once, and it stays when the process is replaced.
"""

from ..addresses import split_address
from ..host import descriptors
from ..host.event_log import EventLog
from ..host.listening_socket import address_of, listen
from ..ipc.messages import SubjectMessage
from ..ipc.parent_end import ParentEnd
from ..options import Options
from ..pool.state import Pool
from .pool_lock import CannotStartError

BACKLOG = 128


class WebFeed:
    """Remembers what this process has heard."""

    def __init__(self, redis_texts: dict[str, str]) -> None:
        self._redis_texts = redis_texts
        self._servers_text = ""
        self._told: tuple[int, str, str] | None = None
        self.listener_fd = -1
        self._address = ""

    def listen(self, options: Options) -> None:
        """Open the socket, if there is to be one.

        Raises:
            CannotStartError: the address can not be had.
        """
        if not options.web:
            return
        try:
            listener = listen(*split_address(options.web), BACKLOG)
        except OSError as error:
            why = f"--web: {error.strerror or error}; choose another address (port 0: any that is free)"
            raise CannotStartError(why) from error
        self._address = address_of(listener)
        self.listener_fd = descriptors.own(listener.detach())

    def close(self) -> None:
        """Nobody listens any more."""
        if self.listener_fd >= 0:
            descriptors.close(self.listener_fd)
            self.listener_fd = -1

    def announce(self, journal: EventLog, pool: Pool) -> None:
        """Say where the dashboard is, if there is one."""
        if self._address:
            pool.web_address = self._address
            journal.say("info", "web.listening", {"address": self._address})

    def take(self, link: ParentEnd) -> None:
        """What a worker has said of all servers, when it became ready."""
        if link.servers_text is not None:
            self._servers_text, link.servers_text = link.servers_text, None

    def push(self, web: ParentEnd | None, pool: Pool) -> None:
        """Tell it which queue the workers have, and where, when that is known or has changed."""
        report = pool.report
        if web is None or report is None:
            return
        told = web.key, self._servers_text or self._redis_texts.get(report.redis, ""), report.queue
        if told != self._told and web.send(SubjectMessage(report.queue, told[1]).encode()):
            self._told = told
