"""The pool as a machine: events and the time go in, orders come out. It does nothing itself."""

from collections.abc import Callable, Iterator
from functools import partial

from ..exit_codes import ExitCode
from ..options import MOST_PROCS, Options
from ..worker_id import parse_worker_id
from . import dev_restart, give_up, job_kills, parent_stall, recycling, resize, rollout, spares
from .events import (
    Changed,
    Command,
    Dump,
    Event,
    Fork,
    Forked,
    ForkFailed,
    Kill,
    MetricsState,
    Notify,
    ParentStalled,
    QueueState,
    Quiet,
    RedisState,
    Released,
    ReleaseFailed,
    Reload,
    Resume,
    Role,
    Scale,
    Stop,
    Tick,
)
from .lifecycle import happen
from .restart_limit import RestartLimit
from .shutdown import (
    SAME_REQUEST_S,
    advance_stop,
    ask_again,
    begin_stop,
    budget_s,
    keep_patience,
    needs_patience,
    warn_about_limits,
)
from .state import Child, Phase, Pool, Slot


class Machine:
    """Decides everything about one pool.

    `jitter` returns numbers in [0, 1), for pauses and lives that differ; `incarnation` is a name that no other run of
    any pool has; `starts_at_once` is how many workers may be starting at the same time.
    """

    def __init__(
        self,
        options: Options,
        jitter: Callable[[], float],
        incarnation: str = "",
        starts_at_once: int = MOST_PROCS,
    ) -> None:
        self._starts_at_once = starts_at_once
        self._now = 0.0
        limit = RestartLimit(options.restarts_allowed, options.restart_window_s)
        self.pool = Pool(options, jitter, limit, target=options.procs, incarnation=incarnation)
        wanted = {Role.REDIS: options.embedded_redis, Role.WATCHER: options.watch, Role.WEB: options.web}
        helpers = [Role.STEWARD, *(role for role, is_wanted in wanted.items() if is_wanted)]
        self.pool.helpers = {role: self.pool.new_slot(role, 0) for role in helpers}
        self.pool.slots = [self.pool.new_slot(Role.WORKER, index) for index in range(options.procs)]

    @property
    def done(self) -> bool:
        """Is it over? Only when no child is left."""
        return self.pool.exit_code is not None

    @property
    def exit_code(self) -> ExitCode:
        """How the pool ended; only when it is done."""
        assert self.pool.exit_code is not None
        return self.pool.exit_code

    def start(self, now: float) -> list[Command]:
        """The first orders."""
        self.pool.started_s = now
        return self.handle(Tick(), now)

    def handle(self, event: Event, now: float, *, is_last: bool = True) -> list[Command]:
        """What follows from this event at this time (monotonic seconds, never less than before).

        With many workers it is cheaper to look at all of them once, after the last of several events.
        """
        if self.done:
            return []
        self.pool.orders = []
        self._now = now
        key = getattr(event, "key", None)
        if isinstance(event, Forked | ForkFailed):
            self._forked(event, now)
        elif key is not None:
            happen(self.pool, self.pool.children.get(key), event, now)
        else:
            self._to_pool(event, now)
        if isinstance(
            event, Tick
        ):  # only when everything that was said before is heard: silence must be real
            self._pass_deadlines(now)
        if is_last:
            self._reconcile(now)
        return self.pool.orders

    def deadline(self) -> float | None:
        """When to call again with a Tick, if nothing happens before."""
        # what is due already was looked at in the last call, and waits for an event now
        return min((due_s for due_s in self._deadlines() if due_s > self._now), default=None)

    def _deadlines(self) -> Iterator[float]:
        pool = self.pool
        for child in pool.children.values():
            if child.deadline_s is not None:
                yield child.deadline_s
            if child.retire_s is not None and child.phase is Phase.READY:
                yield child.retire_s
        if needs_patience(pool):
            yield pool.extend_at_s
        if pool.stopping is not None:
            # whoever means to wake up then can tell whether it was held up
            yield pool.stopping.asked_s + SAME_REQUEST_S / 2
            return
        if pool.options.exit_on_tempfail_s and pool.tempfail_since_s is not None:
            yield pool.tempfail_since_s + pool.options.exit_on_tempfail_s
        yield from job_kills.deadlines(pool)
        yield from spares.deadlines(pool)
        yield from (slot.not_before_s for slot in pool.all_slots() if self._wants_child(slot))
        if pool.rollout is not None:
            yield from (slot.not_before_s for slot in pool.slots)

    # --- events of one child ----------------------------------------------------------------------------------

    def _forked(self, event: Forked | ForkFailed, now: float) -> None:
        child = self.pool.children[event.key]
        slot = self.pool.slot_of(child)
        if isinstance(event, Forked):
            child.pid, child.worker_id = event.pid, event.worker_id
            reason, pause_s = (slot.reason, slot.pause_s) if slot else (child.role.value, 0.0)
            self.pool.say("child.spawn", slot=child.slot, pid=child.pid, gen=child.generation, role=child.role.value,
                          reason=reason, backoff_s=round(pause_s, 3))  # fmt: skip
            return
        del self.pool.children[event.key]
        pause_s = spares.RETRY_S if slot is None else slot.backoff.next_pause_s()
        self.pool.say("fork.failed", "error", role=child.role.value, slot=child.slot, error=event.error,
                      errno=event.errno, retry_in=f"{pause_s:.1f}s")  # fmt: skip
        if slot is None:
            spares.note_end(self.pool, None, child, now)
        elif slot.successor is child:
            slot.successor, slot.not_before_s = None, now + pause_s
            rollout.successor_failed(self.pool, slot, child, event.error, 1.0, now)
        else:
            slot.child, slot.not_before_s = None, now + pause_s

    # --- events of the pool -----------------------------------------------------------------------------------

    def _to_pool(self, event: Event, now: float) -> None:
        match event:
            case Stop():
                self._stop(event, now)
            case ParentStalled():
                parent_stall.excuse(self.pool, event.late_s, now)
            case Dump():
                self._dump(event.slot)
            case Released() | ReleaseFailed() | RedisState() | QueueState() | MetricsState():
                self._hear_steward(event)
            case Reload() | Changed() | Scale() | Quiet() | Resume() if self.pool.stopping is not None:
                self.pool.say("ignored", request=type(event).__name__.lower(), why="stopping")
            case Reload() | Changed() | Scale() | Quiet() | Resume():
                self._rearrange(event, now)
            case _:
                assert isinstance(event, Tick), event

    def _rearrange(self, event: Reload | Changed | Scale | Quiet | Resume, now: float) -> None:
        pool = self.pool
        match event:
            case Reload() if not pool.options.watch:
                rollout.request_reload(pool, event.cause)
            case Reload():
                dev_restart.restart_all(pool, now)
            case Changed():
                pool.say("watch.change", paths=list(event.paths[:5]), n=len(event.paths))
                dev_restart.restart_all(pool, now)
            case Scale():
                target = event.to if event.to is not None else pool.target + event.by
                resize.scale(pool, min(max(target, 1), MOST_PROCS), now)
            case Quiet():
                resize.quieten(pool)
            case Resume():
                resize.resume(pool)

    def _stop(self, event: Stop, now: float) -> None:
        if self.pool.stopping is None:
            begin_stop(self.pool, ExitCode.OK, event.cause, now, stage=2 if event.hard else 1)
        else:
            ask_again(self.pool, event.hard, now)

    def _dump(self, slot: int | None) -> None:
        if slot is None:
            self._say_state()
        for child in self.pool.workers():
            if slot is None or child.slot == slot:
                # whose stacks these are comes first: what the child itself says may never come
                self.pool.say("child.stacks", slot=child.slot, pid=child.pid, gen=child.generation)
                self.pool.order(Kill(child.key, "USR1"))

    def _say_state(self) -> None:
        """What the decisions know, for the log."""
        pool = self.pool
        children = [f"{child.role.value}/{child.slot}:{child.phase.name.lower()}:{child.pid}:gen{child.generation}"
                    for child in pool.children.values()]  # fmt: skip
        pool.say("supervisor.state", gen=pool.generation, procs=pool.target, ready=pool.ready_count(),
                 quiet=pool.is_quiet, reloading=pool.rollout is not None, stopping=pool.stopping is not None,
                 restarts=f"{pool.limit.within(self._now)}/{pool.limit.most}", children=children)  # fmt: skip

    def _released(self, event: Released | ReleaseFailed) -> None:
        pool = self.pool
        worker = parse_worker_id(event.worker_id)
        slot = None if worker is None else worker.slot
        if isinstance(event, ReleaseFailed):
            pool.say("jobs.release_failed", "warning", slot=slot, worker=event.worker_id, error=event.error)
            return
        loss = pool.lost.pop(event.worker_id, None)
        count = len(event.job_ids) if event.count is None else event.count
        if count or loss is not None:
            cause = "vanished" if loss is None else loss.detail if loss.why == "died" else loss.why
            pool.say("jobs.released", "warning" if event.blamed else "info", slot=slot, worker=event.worker_id, n=count,
                     ids=list(event.job_ids[:10]), cause=cause, blamed=event.blamed or None)  # fmt: skip
        if loss is not None:
            job_kills.hear(pool, event, loss)

    def _hear_steward(self, event: Released | ReleaseFailed | RedisState | QueueState | MetricsState) -> None:
        match event:
            case RedisState():
                self._note_redis(event)
            case QueueState():
                self.pool.queue_state = event
            case MetricsState(address=address, error=""):
                self.pool.say("metrics.listening", address=address)
            case MetricsState():
                why = "jobs run on without metrics and probes: free the address, or choose another with --metrics"
                self.pool.say("metrics.failed", "error", address=event.address, error=event.error, why=why)
            case _:
                self._released(event)

    def _note_redis(self, event: RedisState) -> None:
        self.pool.redis_error = event.error
        if event.error:
            self.pool.say("redis.lost", "warning", error=event.error)
        else:
            self.pool.say("redis.back")

    # --- what should be, against what is ----------------------------------------------------------------------

    def _pass_deadlines(self, now: float) -> None:
        for child in list(self.pool.children.values()):
            if child.deadline_s is not None and now >= child.deadline_s:
                happen(self.pool, child, Tick(), now)

    def _reconcile(self, now: float) -> None:
        pool = self.pool
        if pool.stopping is None and give_up.is_burst_over(pool):
            begin_stop(pool, ExitCode.OK, "burst", now)
        give_up.give_up_waiting(pool, now)
        give_up.give_up_restarting(pool, now)
        if pool.stopping is None:
            dev_restart.finish_restart(pool, now)
            rollout.begin_wanted(pool, now)
            start = partial(self._fork, now=now)
            self._fill_slots(start, now)
            recycling.look_for_old(pool, now)
            rollout.advance(pool, now, start)
            spares.advance(pool, now, start)
            self._say_ready()
        if pool.stopping is not None:
            advance_stop(pool, now)
        keep_patience(pool, now)

    def _fill_slots(self, start: spares.Start, now: float) -> None:
        """Start whom there should be; a machine that starts too many at once gets nowhere with any of them."""
        generation = rollout.generation_of_newcomers(self.pool)
        starting = spares.starting_count(self.pool)
        for slot in list(self.pool.all_slots()):
            has_turn = slot.role is not Role.WORKER or starting < self._starts_at_once
            if has_turn and self._wants_child(slot) and now >= slot.not_before_s:
                slot.child = spares.take(self.pool, slot, start) or start(slot, generation)
                starting += slot.role is Role.WORKER

    def _wants_child(self, slot: Slot) -> bool:
        """Is it this slot's turn? Redis first, then one worker alone: its failure is everybody's."""
        pool = self.pool
        is_taken = slot.child is not None or spares.is_taken(pool, slot)
        if is_taken or slot.is_done or pool.stopping is not None:
            return False
        if slot.role is Role.STEWARD:
            return pool.was_ready
        if slot.role is not Role.WORKER:
            return True
        redis = pool.helpers.get(Role.REDIS)
        if pool.waits_for_change or pool.restart_wanted or (redis is not None and not redis.was_ready):
            return False
        return pool.was_ready or slot.index == 0

    def _fork(
        self, slot: Slot, generation: int, *, now: float, role: Role | None = None, source: int = 0
    ) -> Child:
        pool = self.pool
        child = Child(
            key=pool.next_key,
            role=role or slot.role,
            slot=slot.index,
            generation=generation,
            born_s=now,
            deadline_s=now + pool.options.boot_timeout_s,
            cohort=pool.cohort(generation),
        )
        pool.next_key += 1
        pool.children[child.key] = child
        order = Fork(
            key=child.key,
            role=child.role,
            slot=slot.index,
            generation=generation,
            count=pool.target,
            is_first=slot.is_first(generation),
            is_quiet=pool.is_quiet,
            previous_worker_id=slot.last_worker_id,
            cohort=child.cohort,
            waits=spares.is_to_wait(pool, child),
            source=source,
        )
        pool.order(order)
        return child

    def _say_ready(self) -> None:
        """Say once that the pool works."""
        pool = self.pool
        needed = min(pool.options.ready_needed, pool.target)
        if pool.said_ready or pool.ready_count() < needed:
            return
        pool.said_ready = True
        reports = [child.report for child in pool.workers() if child.report is not None]
        pool.say("pool.ready", ready=f"{pool.ready_count()}/{pool.target}",
                 concurrency=sum(report.max_jobs for report in reports), stop_budget_s=budget_s(pool))  # fmt: skip
        pool.order(Notify("READY=1"))
        warn_about_limits(pool)
