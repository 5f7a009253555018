"""Who answers at the control socket: requests as events for the machine, and the answers, some of them later."""

import math
from collections.abc import Callable

from ..options import COMMANDS, MOST_PROCS
from ..pool.events import Dump, Event, Quiet, Reload, ReloadDone, Resume, Scale, Stop
from ..pool.shutdown import budget_s
from ..pool.state import Pool
from ..pool.status import PoolStatus
from .protocol import Answer, Request
from .server import Client, ControlServer

Feed = Callable[[Event], None]


class Handlers:
    """Knows which clients wait for what. `status` makes the answer to that request."""

    def __init__(
        self, server: ControlServer, pool: Pool, feed: Feed, status: Callable[[], PoolStatus]
    ) -> None:
        self._server = server
        self._pool = pool
        self._feed = feed
        self._status = status
        self._for_reload: list[Client] = []
        self._for_stop: list[Client] = []

    def take(self, client: Client, request: Request) -> None:
        """Answer now, or note who waits."""
        handler = getattr(self, f"on_{request.command}", None) if request.command in COMMANDS else None
        if handler is None:
            known = ", ".join(COMMANDS)
            self._refuse(client, f"unknown command {request.command!r}: use one of {known}")
        elif self._pool.stopping is not None and request.command not in ("status", "stop"):
            self._refuse(client, "the pool is stopping")
        else:
            handler(client, request)

    def _refuse(self, client: Client, error: str) -> None:
        self._server.answer(client, Answer(ok=False, error=error))

    def _done(self, client: Client, said: str) -> None:
        """It is done or begun; `said` says what, to a person."""
        self._server.answer(client, Answer(ok=True, said=said))

    def on_status(self, client: Client, _: Request) -> None:
        """The whole state."""
        self._server.answer(client, Answer(ok=True, status=self._status()))

    def on_reload(self, client: Client, request: Request) -> None:
        """New code; with `wait`, answered when it is in place or has failed."""
        rollout = self._pool.rollout
        if request.wait:
            # the reload that is under way began before this request: its result is not the answer
            client.skip = 1 if rollout is not None and rollout.reason == "reload" else 0
            client.is_waiting = True
            self._for_reload.append(client)
        self._feed(Reload("control"))
        if not request.wait:
            self._done(
                client, "begun: the workers are replaced; how it ends is in the pool's log (--wait waits)"
            )

    def on_stop(self, client: Client, request: Request) -> None:
        """End the pool; with `wait`, answered with its exit code."""
        if request.wait:
            client.is_waiting = True
            self._for_stop.append(client)
        else:
            limit_s = budget_s(self._pool)
            limit = (
                "no limit: job_completion_wait has none" if limit_s == math.inf else f"{limit_s:g} s at most"
            )
            self._done(client, f"begun: running jobs may end ({limit}); --wait waits for the end")
        self._feed(Stop("control"))

    def on_quiet(self, client: Client, _: Request) -> None:
        """No new jobs."""
        self._feed(Quiet())
        self._done(client, "the workers take no new jobs, until `--ctl resume` or a reload")

    def on_resume(self, client: Client, _: Request) -> None:
        """Jobs again."""
        was_quiet = self._pool.is_quiet
        self._feed(Resume())
        self._done(client, "the workers take jobs again" if was_quiet else "the pool was not quiet")

    def on_scale(self, client: Client, request: Request) -> None:
        """Another number of workers."""
        wanted = request.to
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= MOST_PROCS:
            self._refuse(client, f"{wanted}: must be a whole number between 1 and {MOST_PROCS}")
            return
        before = self._pool.target
        self._feed(Scale(to=wanted))
        self._done(
            client,
            f"{before} -> {wanted} workers" if before != wanted else f"it has {wanted} workers already",
        )

    def on_dump(self, client: Client, request: Request) -> None:
        """Stacks of all workers, or of one slot, into the log."""
        slot = request.slot
        if slot is not None and not (isinstance(slot, int) and slot in range(len(self._pool.slots))):
            self._refuse(client, f"there is no slot {slot}: they are 0 to {len(self._pool.slots) - 1}")
            return
        self._feed(Dump(slot))
        whose = "all workers" if slot is None else f"slot {slot}"
        self._done(
            client,
            f"stacks and tasks of {whose} are being written to the pool's log (stderr of the supervisor)",
        )

    # --- later ----------------------------------------------------------------------------------------------------

    def reload_done(self, done: ReloadDone) -> None:
        """Tell those who wait for this reload."""
        still = []
        for client in self._for_reload:
            if client.skip:
                client.skip -= 1
                still.append(client)
            else:
                said = f"done: generation {self._pool.generation}" if done.ok else ""
                answer = Answer(ok=done.ok, error=done.error, trace=done.trace, said=said)
                self._server.answer(client, answer)
        self._for_reload = still

    def stopping(self) -> None:
        """A reload that has not happened by now will not happen."""
        for client in self._for_reload:
            self._refuse(client, "the pool is stopping")
        self._for_reload = []

    def stopped(self, code: int) -> None:
        """The last word to those who wait for the end."""
        for client in self._for_stop:
            said = f"done: the pool has ended with exit code {code}"
            self._server.answer(client, Answer(ok=True, code=code, said=said))
