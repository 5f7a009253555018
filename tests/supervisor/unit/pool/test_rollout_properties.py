"""Where nobody fails: however reloads, recycling and slow processes fall together, there are never too few workers."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from supervisor.exit_codes import ExitCode
from supervisor.options import Options
from supervisor.pool.events import Dump, Kill, Ready, Reload, RssSample, Stop
from supervisor.pool.state import Phase
from tests.supervisor.unit.pool.play import REPORT, Play


class CalmPools(RuleBasedStateMachine):
    """Every process does what it is asked for, at a time that hypothesis chooses."""

    @initialize(procs=st.integers(1, 4), surge=st.integers(1, 3), limit=st.sampled_from([0, 5]))
    def start(self, procs: int, surge: int, limit: int) -> None:
        options = Options("app.Settings", procs=procs, reload_surge=surge, max_jobs_per_child=limit,
                          boot_timeout_s=1e6, graceful_timeout_s=1e6, hang_timeout_s=0)  # fmt: skip
        self.play = Play(options).all_up()
        assert self.play.machine.pool.ready_count() == procs

    @rule(data=st.data())
    def a_new_one_is_ready(self, data: st.DataObject) -> None:
        pool = self.play.machine.pool
        keys = [child.key for child in pool.workers() if child.phase is Phase.BOOTING]
        if keys:
            self.play.feed(Ready(data.draw(st.sampled_from(keys)), REPORT))

    @rule(data=st.data())
    def an_old_one_has_finished(self, data: st.DataObject) -> None:
        pool = self.play.machine.pool
        keys = [child.key for child in pool.workers() if child.phase is Phase.DRAINING]
        if keys:
            self.play.ends(data.draw(st.sampled_from(keys)), 0, bye="stop")

    @rule(data=st.data(), complete=st.integers(0, 9))
    def jobs_are_done(self, data: st.DataObject, complete: int) -> None:
        key = data.draw(st.sampled_from(self.play.workers()))
        self.play.beat(key, complete=complete)

    @rule(data=st.data())
    def somebody_is_large(self, data: st.DataObject) -> None:
        self.play.feed(RssSample(data.draw(st.sampled_from(self.play.workers())), 500.0))

    @rule(times=st.integers(1, 3))
    def reload(self, times: int) -> None:
        self.play.feed(*[Reload("SIGHUP")] * times)

    @rule()
    def look(self) -> None:
        self.play.feed(Dump())

    @rule(seconds=st.sampled_from([0.01, 1.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.play.pass_time(seconds)

    @invariant()
    def never_too_few(self) -> None:
        pool = self.play.machine.pool
        assert pool.ready_count() >= pool.target

    @invariant()
    def never_too_many_those_that_drain_included(self) -> None:
        pool = self.play.machine.pool
        assert sum(1 for _ in pool.workers()) <= pool.target + pool.options.surge

    @invariant()
    def nobody_is_forced(self) -> None:
        signals = {order.signal for order in self.play.orders if isinstance(order, Kill)}
        assert signals <= {"TERM", "USR1"}

    def teardown(self) -> None:
        """A stop of such a pool is clean, and what was reloaded last is what runs."""
        self.settle()
        pool = self.play.machine.pool
        assert {child.generation for child in pool.workers()} == {pool.generation}
        assert pool.rollout is None
        self.play.feed(Stop("SIGTERM"))
        for _ in range(2):  # the workers, then the steward
            for key in list(self.play.alive):
                self.play.ends(key, 0, bye="stop") if "TERM" in self.play.signals_to(key) else None
        assert self.play.code is ExitCode.OK

    def settle(self) -> None:
        """Everybody does what was asked for until nothing is left to do."""
        pool = self.play.machine.pool
        for _ in range(200):
            waiting = [child for child in pool.workers() if child.phase is not Phase.READY]
            if not waiting and pool.rollout is None:
                return
            for child in waiting:
                if child.phase is Phase.BOOTING:
                    self.play.feed(Ready(child.key, REPORT))
                else:
                    self.play.ends(child.key, 0, bye="stop")
            self.play.pass_time(0.5)
        raise AssertionError("the rollout does not end")


TestCalmPools = pytest.mark.slow(CalmPools.TestCase)
TestCalmPools.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
