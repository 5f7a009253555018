"""A pool without processes: plays the parent's part against the machine, with a clock that is moved by hand."""

from dataclasses import dataclass, field
from typing import Any

from supervisor.exit_codes import ExitCode
from supervisor.options import Options
from supervisor.parent.loop import TURN_S
from supervisor.pool.events import (
    Beat,
    Bye,
    Command,
    Event,
    Exited,
    Fatal,
    Fork,
    Forked,
    ForkFailed,
    Kill,
    Notify,
    ParentStalled,
    Ready,
    Report,
    Role,
    Say,
    Tick,
)
from supervisor.pool.job_counts import JobCounts
from supervisor.pool.machine import Machine
from supervisor.pool.state import BEATING
from supervisor.worker_id import WorkerId


def order_for(role: Role, *, first: bool = False, previous: str = "") -> Fork:
    """The order to start a child, number 0 of the first generation."""
    return Fork(
        key=1,
        role=role,
        slot=0,
        generation=1,
        count=1,
        is_first=first,
        is_quiet=False,
        previous_worker_id=previous,
    )


def id_of(slot: int, key: int) -> str:
    """The id of the worker that was started by this order."""
    return str(WorkerId("pool", "host", slot, f"{key:08x}"))


REPORT = Report(queue="q", health_key="q:health-check", completion_wait_s=3.0, longest_job_s=20.0, redis="r1")


@dataclass
class Play:
    """`now` moves only by `pass_time`. What was ordered is kept in `orders`."""

    options: Options
    now: float = 100.0
    orders: list[Command] = field(default_factory=list)
    refuses_copies: bool = False

    def __post_init__(self) -> None:
        self.machine = Machine(self.options, lambda: 0.5)
        self.alive: dict[int, Fork] = {}
        self.killed: list[tuple[int, str, bool]] = []
        self._perform(self.machine.start(self.now))

    def feed(self, *events: Event) -> "Play":
        for event in events:
            self._perform(self.machine.handle(event, self.now))
        return self

    def pass_time(self, seconds: float, *, beating: bool = True) -> "Play":
        """Let time pass in steps, with a tick at each deadline and, if wanted, a beat of all that beat."""
        end = self.now + seconds
        while self.now < end and not self.machine.done:
            due = self.machine.deadline()
            step = (
                min(end, self.now + 0.5)
                if due is None
                else min(end, self.now + 0.5, max(due, self.now + 0.001))
            )
            self.now = step
            if beating:
                for key in self.beating_keys():
                    self.beat(key)
            self.feed(Tick())
        return self

    def stand_still(self, seconds: float) -> "Play":
        """The whole machine is suspended, and the parent is the first that goes on."""
        if self.machine.done:
            return self
        due = self.machine.deadline()
        patience_s = min(TURN_S, max(0.0, due - self.now) if due is not None else TURN_S)
        self.now += seconds
        if seconds > patience_s:
            self.feed(ParentStalled(seconds - patience_s))
        return self.feed(Tick())

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            self.orders.append(command)
            if isinstance(command, Fork) and command.source and self.refuses_copies:
                self.feed(ForkFailed(command.key, "no"))
            elif isinstance(command, Fork):
                self.alive[command.key] = command
                self.feed(Forked(command.key, 1000 + command.key, id_of(command.slot, command.key)))
            elif isinstance(command, Kill):
                self.killed.append((command.key, command.signal, command.group))

    # --- what children do -----------------------------------------------------------------------------------------

    def ready(self, *keys: int) -> "Play":
        return self.feed(*(Ready(key, REPORT) for key in keys))

    def beat(self, key: int, **counts: int) -> "Play":
        return self.feed(Beat(key, JobCounts(**counts)))

    def ends(self, key: int, code: int | None = None, signal: str | None = None, bye: str = "") -> "Play":
        if bye:
            self.feed(Bye(key, bye))
        del self.alive[key]
        return self.feed(Exited(key, code, signal))

    def fails(self, key: int, kind: str, code: int, error: str = "ImportError: x") -> "Play":
        self.feed(Fatal(key, kind, error, "Traceback ..."))
        return self.ends(key, code)

    def all_up(self) -> "Play":
        """Boot everybody."""
        for _ in range(3):
            for key, fork in list(self.alive.items()):
                if key not in self.ready_keys():
                    self.feed(Ready(key, REPORT if fork.role is Role.WORKER else Report()))
            self.pass_time(2.5)
        return self

    # --- what can be seen -----------------------------------------------------------------------------------------

    def ready_keys(self) -> list[int]:
        return [child.key for child in self.machine.pool.children.values() if child.ready_s is not None]

    def beating_keys(self) -> list[int]:
        children = self.machine.pool.children
        return [key for key in self.ready_keys() if children[key].role in BEATING]

    def workers(self) -> list[int]:
        return [key for key, fork in self.alive.items() if fork.role is Role.WORKER]

    def of_slot(self, slot: int) -> int:
        (key,) = [key for key in self.workers() if self.alive[key].slot == slot]
        return key

    def said(self, event: str) -> list[dict[str, Any]]:
        return [
            dict(order.fields) for order in self.orders if isinstance(order, Say) and order.event == event
        ]

    def notified(self) -> list[str]:
        return [order.state for order in self.orders if isinstance(order, Notify)]

    def signals_to(self, key: int) -> list[str]:
        return [signal for target, signal, _ in self.killed if target == key]

    @property
    def code(self) -> ExitCode:
        return self.machine.exit_code


def booted(procs: int = 2, **options: Any) -> Play:
    """A pool whose workers and steward are ready."""
    return Play(Options("app.Settings", procs=procs, **options)).all_up()
