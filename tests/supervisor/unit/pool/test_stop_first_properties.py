"""Stop-first, whatever happens in whatever order: never two in one slot, and nobody is forgotten."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from supervisor.options import Options
from supervisor.pool.events import WITH_CODE, Fatal, Loaded, Reload, Role, RssSample, Scale
from supervisor.pool.state import Phase
from tests.supervisor.unit.pool.play import Play

ENDS = st.sampled_from(
    [(0, None), (1, None), (3, None), (4, None), (75, None), (None, "SIGKILL"), (None, "SIGSEGV")]
)


class Pools(RuleBasedStateMachine):
    """Children, the kernel, the operator and the clock against one pool that replaces workers stop-first."""

    @initialize(
        procs=st.integers(1, 3),
        limits=st.sampled_from([{}, {"max_jobs_per_child": 5}, {"max_rss_mb": 50.0}]),
    )
    def start(self, procs: int, limits: dict[str, Any]) -> None:
        self.play = Play(Options("app.Settings", procs=procs, reload_surge=0, max_restarts=10_000, **limits))
        self.settle()

    def _children(self, *phases: Phase) -> list[int]:
        children = self.play.machine.pool.children.values()
        return sorted(child.key for child in children if child.phase in phases or not phases)

    def _one(self, data: st.DataObject, *phases: Phase) -> int | None:
        keys = self._children(*phases)
        return data.draw(st.sampled_from(keys)) if keys else None

    @rule(data=st.data())
    def somebody_has_its_code(self, data: st.DataObject) -> None:
        key = self._one(data, Phase.BOOTING)
        if key is not None:
            self.play.feed(Loaded(key))

    @rule(data=st.data())
    def somebody_is_ready(self, data: st.DataObject) -> None:
        key = self._one(data, Phase.BOOTING)
        if key is not None and self._is_let_in(key):
            self.play.ready(key)

    @rule()
    def all_go_on(self) -> None:
        for key in self._children(Phase.BOOTING):
            if self.play.machine.pool.children[key].phase is Phase.BOOTING:
                self.play.feed(Loaded(key))
        for key in self._children(Phase.BOOTING):
            if self._is_let_in(key):
                self.play.ready(key)

    def _is_let_in(self, key: int) -> bool:
        child = self.play.machine.pool.children[key]
        return child.was_let_in or child.role not in WITH_CODE

    @rule(data=st.data(), complete=st.integers(0, 20))
    def somebody_beats(self, data: st.DataObject, complete: int) -> None:
        key = self._one(data, Phase.READY)
        if key is not None:
            self.play.beat(key, complete=complete)

    @rule(data=st.data(), end=ENDS, kind=st.sampled_from(["", "import", "boot", "temp"]))
    def somebody_ends(self, data: st.DataObject, end: tuple[int | None, str | None], kind: str) -> None:
        key = self._one(data)
        if key is not None:
            if kind:
                self.play.feed(Fatal(key, kind, "Error: x", "Traceback"))
            self.play.ends(key, *end)

    @rule()
    def those_who_were_told_end(self) -> None:
        for key in list(self.play.alive):
            if self.play.signals_to(key):
                self.play.ends(key, 0, bye="stop")

    @rule(data=st.data())
    def somebody_grows(self, data: st.DataObject) -> None:
        key = self._one(data, Phase.READY)
        if key is not None:
            self.play.feed(*[RssSample(key, 100.0)] * 3)

    @rule()
    def reload(self) -> None:
        self.play.feed(Reload("SIGHUP"))

    @rule(by=st.integers(-1, 1))
    def scale(self, by: int) -> None:
        self.play.feed(Scale(by=by))

    @rule(is_refused=st.booleans())
    def forks_are_refused(self, is_refused: bool) -> None:
        self.play.refuses_copies = is_refused

    @rule(seconds=st.sampled_from([0.3, 7.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.play.pass_time(seconds)

    def settle(self) -> None:
        for _ in range(60):
            self.those_who_were_told_end()
            self.all_go_on()
            self.play.pass_time(1)

    # --- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def nobody_starts_while_another_is_there(self) -> None:
        pool = self.play.machine.pool
        slots = [child.slot for child in pool.workers() if child.was_let_in]
        assert len(slots) == len(set(slots))

    @invariant()
    def one_slot_is_given_up_at_a_time(self) -> None:
        pool = self.play.machine.pool
        assert sum(slot.predecessor is not None and slot.successor is not None for slot in pool.slots) <= 1

    @invariant()
    def every_spare_is_somebodys(self) -> None:
        pool = self.play.machine.pool
        known = {slot.spare.key for slot in pool.slots if slot.spare}
        known |= {
            one.spare.key for slot in pool.slots for one in (slot.child, slot.successor) if one and one.spare
        }
        spares = [child for child in pool.children.values() if child.role is Role.SPARE]
        assert all(child.key in known or child.phase.is_ending for child in spares)

    def teardown(self) -> None:
        """When nothing happens any more, every slot is filled and no reload is under way."""
        self.play.refuses_copies = False
        self.settle()
        pool = self.play.machine.pool
        assert [slot.child is not None and slot.child.phase is Phase.READY for slot in pool.slots] == [
            True
        ] * pool.target
        assert pool.rollout is None
        assert not any(slot.predecessor or slot.successor for slot in pool.slots)


TestStopFirst = pytest.mark.slow(Pools.TestCase)
TestStopFirst.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
