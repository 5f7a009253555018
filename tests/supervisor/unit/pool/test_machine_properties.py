"""Whatever happens, in whatever order: what must hold for a pool at all times."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor.options import Options
from supervisor.pool.events import (
    Dump,
    Exited,
    Fatal,
    Fork,
    Kill,
    Quiet,
    Ready,
    Reload,
    Role,
    RssSample,
    Scale,
    Stop,
)
from supervisor.pool.state import Phase
from tests.supervisor.unit.pool.play import REPORT, Play

ENDS = st.sampled_from([
    (0, None, "stop"), (0, None, "burst"), (0, None, ""), (1, None, ""), (3, None, ""), (4, None, ""),
    (75, None, ""), (155, None, ""), (None, "SIGKILL", ""), (None, "SIGSEGV", ""),
])  # fmt: skip


class Pools(RuleBasedStateMachine):
    """Plays the kernel, the operator and the clock against one pool."""

    @initialize(
        procs=st.integers(1, 4),
        burst=st.booleans(),
        surge=st.integers(1, 2),
        limits=st.sampled_from(
            [{}, {"max_jobs_per_child": 5}, {"max_lifetime_s": 30.0}, {"max_rss_mb": 50.0}]
        ),
    )
    def start(self, procs: int, burst: bool, surge: int, limits: dict[str, Any]) -> None:
        self.play = Play(Options("app.Settings", procs=procs, burst=burst, reload_surge=surge, **limits))
        self.seen_code: int | None = None

    # --- what happens ---------------------------------------------------------------------------------------------

    def _any(self, data: st.DataObject) -> int | None:
        keys = sorted(self.play.alive)
        return data.draw(st.sampled_from(keys)) if keys else None

    @rule(data=st.data())
    def somebody_is_ready(self, data: st.DataObject) -> None:
        key = self._any(data)
        if key is not None:
            self.play.feed(Ready(key, REPORT))

    @rule(data=st.data(), complete=st.integers(0, 20))
    def somebody_beats(self, data: st.DataObject, complete: int) -> None:
        key = self._any(data)
        if key is not None:
            self.play.beat(key, complete=complete)

    @rule(data=st.data(), end=ENDS, kind=st.sampled_from(["", "import", "boot", "temp"]))
    def somebody_ends(self, data: st.DataObject, end: tuple[int | None, str | None, str], kind: str) -> None:
        key = self._any(data)
        if key is None:
            return
        if kind:
            self.play.feed(Fatal(key, kind, "Error: x", "Traceback"))
        self.play.ends(key, end[0], end[1], bye=end[2])

    @rule(data=st.data())
    def somebody_grows(self, data: st.DataObject) -> None:
        key = self._any(data)
        if key is not None:
            self.play.feed(RssSample(key, 100.0))

    @rule(key=st.integers(1, 50))
    def old_news(self, key: int) -> None:
        if key not in self.play.alive:
            self.play.feed(Exited(key, 0, None))

    @rule()
    def reload(self) -> None:
        self.play.feed(Reload("SIGHUP"))

    @rule(by=st.integers(-2, 2))
    def scale(self, by: int) -> None:
        self.play.feed(Scale(by=by))

    @rule()
    def other_requests(self) -> None:
        self.play.feed(Quiet(), Dump())

    @rule(seconds=st.sampled_from([0.1, 2.0, 100.0]))
    def everything_stands_still(self, seconds: float) -> None:
        self.play.stand_still(seconds)

    @precondition(lambda self: len(self.play.orders) > 40)
    @rule(hard=st.booleans())
    def stop(self, hard: bool) -> None:
        self.play.feed(Stop("SIGTERM", hard=hard))

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 7.0, 40.0]), beating=st.booleans())
    def time_passes(self, seconds: float, beating: bool) -> None:
        self.play.pass_time(seconds, beating=beating)

    # --- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def never_too_many(self) -> None:
        pool = self.play.machine.pool
        going = [child for child in pool.workers() if not child.phase.is_ending]
        assert len(going) <= pool.target + pool.options.surge
        slots = [child.slot for child in going]
        assert all(slots.count(slot) <= 2 for slot in slots)

    @invariant()
    def every_ending_child_has_a_deadline(self) -> None:
        for child in self.play.machine.pool.children.values():
            if child.phase.is_ending or child.phase is Phase.BOOTING:
                assert child.deadline_s is not None
                assert math.isfinite(child.deadline_s)

    @invariant()
    def nobody_is_signalled_after_it_was_reaped(self) -> None:
        alive: set[int] = set()
        seen = set()
        for order in self.play.orders:
            if isinstance(order, Fork):
                alive.add(order.key)
                assert order.key not in seen
                seen.add(order.key)
            elif isinstance(order, Kill):
                assert order.key in alive

    @invariant()
    def nobody_is_started_while_stopping(self) -> None:
        orders = self.play.orders
        starts = [index for index, order in enumerate(orders) if getattr(order, "event", "") == "stop.start"]
        if starts:
            assert not any(isinstance(order, Fork) for order in orders[starts[0] :])

    @invariant()
    def the_exit_code_is_set_once_and_only_when_nobody_is_left(self) -> None:
        machine = self.play.machine
        if machine.done:
            assert not machine.pool.children
            assert self.seen_code in (None, machine.exit_code)
            self.seen_code = machine.exit_code

    @invariant()
    def the_clock_is_not_asked_for_the_past(self) -> None:
        due = self.play.machine.deadline()
        assert due is None or due > self.play.now - 1e-9

    def teardown(self) -> None:
        """From everywhere there is a way out, and it is bounded."""
        play = self.play
        limit = play.now + 60
        play.feed(Stop("SIGTERM"))
        while not play.machine.done:
            assert play.now < limit
            for key, fork in list(play.alive.items()):
                sent = play.signals_to(key)
                if "KILL" in sent or (fork.role is not Role.WORKER and "TERM" in sent):
                    play.ends(key, signal="SIGKILL")
            play.pass_time(1, beating=False)


TestPools = pytest.mark.slow(Pools.TestCase)
TestPools.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
