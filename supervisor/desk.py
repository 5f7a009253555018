"""Who answers at the control socket: requests as events for the machine, and the answers, some of them later."""

from collections.abc import Callable
from typing import Any

from .control import Client, ControlServer, Request
from .events import Dump, Event, Quiet, Reload, ReloadDone, Scale, Stop
from .model import Pool
from .options import MOST_PROCS

Feed = Callable[[Event], None]
COMMANDS = ("status", "reload", "stop", "quiet", "scale", "dump")


class Desk:
    """Knows which clients wait for what. `status` makes the answer to that request."""

    def __init__(
        self, server: ControlServer, pool: Pool, feed: Feed, status: Callable[[], dict[str, Any]]
    ) -> None:
        self._server = server
        self._pool = pool
        self._feed = feed
        self._status = status
        self._for_reload: list[Client] = []
        self._for_stop: list[Client] = []

    def take(self, request: Request) -> None:
        """Answer now, or note who waits."""
        handler = getattr(self, f"on_{request.command}", None) if request.command in COMMANDS else None
        if handler is None:
            known = ", ".join(COMMANDS)
            self._refuse(request, f"unknown command {request.command!r}: use one of {known}")
        elif self._pool.stopping is not None and request.command not in ("status", "stop"):
            self._refuse(request, "the pool is stopping")
        else:
            handler(request)

    def _refuse(self, request: Request, error: str) -> None:
        self._server.answer(request.client, {"ok": False, "error": error})

    def _done(self, request: Request) -> None:
        self._server.answer(request.client, {"ok": True})

    def on_status(self, request: Request) -> None:
        """The whole state."""
        self._server.answer(request.client, {"ok": True, "status": self._status()})

    def on_reload(self, request: Request) -> None:
        """New code; with `wait`, answered when it is in place or has failed."""
        rollout = self._pool.rollout
        if request.body.get("wait"):
            # the reload that is under way began before this request: its result is not the answer
            request.client.skip = 1 if rollout is not None and rollout.reason == "reload" else 0
            request.client.is_waiting = True
            self._for_reload.append(request.client)
        self._feed(Reload("control"))
        if not request.body.get("wait"):
            self._done(request)

    def on_stop(self, request: Request) -> None:
        """End the pool; with `wait`, answered with its exit code."""
        if request.body.get("wait"):
            request.client.is_waiting = True
            self._for_stop.append(request.client)
        else:
            self._done(request)
        self._feed(Stop("control"))

    def on_quiet(self, request: Request) -> None:
        """No new jobs."""
        self._feed(Quiet())
        self._done(request)

    def on_scale(self, request: Request) -> None:
        """Another number of workers."""
        wanted = request.body.get("to")
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= MOST_PROCS:
            self._refuse(request, f"scale {wanted}: must be a whole number between 1 and {MOST_PROCS}")
            return
        self._feed(Scale(to=wanted))
        self._done(request)

    def on_dump(self, request: Request) -> None:
        """Stacks of all workers, or of one slot, into the log."""
        slot = request.body.get("slot")
        if slot is not None and slot not in range(len(self._pool.slots)):
            self._refuse(request, f"dump {slot}: there is no such slot")
            return
        self._feed(Dump(slot))
        self._done(request)

    # --- later ----------------------------------------------------------------------------------------------------

    def reload_done(self, done: ReloadDone) -> None:
        """Tell those who wait for this reload."""
        still = []
        for client in self._for_reload:
            if client.skip:
                client.skip -= 1
                still.append(client)
            else:
                self._server.answer(client, {"ok": done.ok, "error": done.error, "trace": done.trace})
        self._for_reload = still

    def stopping(self) -> None:
        """A reload that has not happened by now will not happen."""
        for client in self._for_reload:
            self._server.answer(client, {"ok": False, "error": "the pool is stopping"})
        self._for_reload = []

    def stopped(self, code: int) -> None:
        """The last word to those who wait for the end."""
        for client in self._for_stop:
            self._server.answer(client, {"ok": True, "code": code})
