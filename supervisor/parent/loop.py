"""The parent: wait, turn what happened into events, do what the machine orders. Nothing else.

Single-threaded, no event loop, no connection, no user code: it can not hang and can always fork. Library code is
imported here before the first fork, so that its pages are shared with every child.
"""

import os
import random
import secrets
import selectors
import signal
import time
import traceback
from contextlib import suppress

from ..children import redis_server
from ..control.handlers import Handlers
from ..control.lock_files import TakenError
from ..control.paths import host_name
from ..control.server import Client, ControlServer
from ..exit_codes import ExitCode
from ..host import descriptors
from ..host.cgroups import NewOomKills
from ..host.controlling_terminal import Terminal
from ..host.cpus import starts_at_once
from ..host.event_log import EventLog
from ..host.nonblocking_writer import NonblockingWriter
from ..host.usage import usage_of
from ..host.working_directory import named_folder
from ..ipc.brief import make_brief
from ..ipc.parent_end import ParentEnd
from ..log_records import lost_lines
from ..options import Options
from ..pool.events import (
    Command,
    Event,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Kill,
    LetIn,
    Notify,
    Outgoing,
    ParentStalled,
    Pick,
    ReloadDone,
    Role,
    RssSample,
    Say,
    Stop,
    Tick,
    Trace,
)
from ..pool.machine import Machine
from ..pool.status import PoolStatus
from ..pool.status_from_state import take_status
from ..pool.status_line import StatusLine
from ..process.child_processes import Processes
from ..process.descendants import adopt_orphans
from ..process.fork import errno_name, hold_standard_descriptors
from ..process.signals import SignalPipe, event_of
from .pool_lock import CannotStartError, Ownership
from .start_record import say_hup_ignored, say_start, warn_of_crowd
from .starter import Starter
from .steward_feed import StewardFeed
from .systemd_notify import Notifier
from .web_feed import WebFeed

TURN_S = 1.0
LATE_S = 0.2
WEIGH_EVERY_S = 10.0
LAST_RESORT_S = 5.0
BEHIND_S = 0.1
LAST_LINES_S = 1.0


class Parent:
    """Runs one pool."""

    def __init__(self, options: Options) -> None:
        hold_standard_descriptors()
        self._options = options
        self._machine = Machine(options, random.random, secrets.token_hex(4), starts_at_once())
        self._notifier = Notifier(os.environ, os.getpid())
        self._status_line = StatusLine()
        self._outlet = NonblockingWriter(lost_lines(options.name, options.log_format))
        self._journal = EventLog(self._outlet, options.name, options.log_format, options.log_level)
        self._starter = Starter(options.start_method, self._journal)
        self._processes = Processes(options.kill_group_on_exit)
        self._signals = SignalPipe()
        self._terminal = Terminal()
        self._selector = descriptors.own_object(selectors.DefaultSelector())
        self._links: dict[int, ParentEnd] = {}
        self._life_read_fd, self._life_write_fd = descriptors.pipe()
        self._host = host_name()
        self._folder = named_folder(os.environ), os.getcwd()
        self._redis = ("", "")
        self._steward_feed = StewardFeed(self._status, has_metrics=bool(options.metrics))
        self._web_feed = WebFeed(self._steward_feed.redis_texts)
        self._oom_kills = NewOomKills()
        self._pinged_s = 0.0
        self._weighed_s = time.monotonic()
        self._control: ControlServer | None = None
        self._handlers: Handlers | None = None
        self._ownership = Ownership(options, self._journal)
        self._turned_s = time.monotonic()

    def run(self) -> int:
        """Until the pool is over; returns its exit code."""
        self._selector.register(self._signals.fileno(), selectors.EVENT_READ, self._signals)
        try:
            with self._signals:  # which another thread may not have: until then this process is as it was
                adopt_orphans()
                self._claim_pool()
                self._web_feed.listen(self._options)
                self._redis = redis_server.choose_place(self._options)
                self._starter.prepare(has_log_dict=bool(self._options.custom_log_dict))
                return self._run()
        except TakenError as error:
            self._journal.raw(f"arq-supervise: {error}")
            return ExitCode.TAKEN
        except (CannotStartError, redis_server.NoPlaceError) as error:
            self._journal.raw(f"arq-supervise: {error}")
            return ExitCode.USAGE
        finally:
            self._close()

    def _close(self) -> None:
        if self._redis[0]:
            redis_server.remove(self._redis[0])
        self._ownership.close()
        self._web_feed.close()
        self._selector.close()
        self._outlet.finish(LAST_LINES_S)
        self._outlet.close()
        descriptors.close(self._life_read_fd)
        descriptors.close(self._life_write_fd)

    def _claim_pool(self) -> None:
        self._ownership.claim(self._selector)
        self._control = self._ownership.control
        if self._control is not None:
            self._handlers = Handlers(self._control, self._machine.pool, self._feed, self._status)

    def _status(self) -> PoolStatus:
        usage = usage_of([os.getpid(), *self._processes.pids()])
        return take_status(self._machine.pool, time.monotonic(), os.getpid(), self._host, usage)

    def _run(self) -> int:
        try:
            say_start(self._journal, self._machine.pool, self._starter.method, self._redis[0])
            self._web_feed.announce(self._journal, self._machine.pool)
            warn_of_crowd(self._journal, self._options.procs)
            if self._signals.ignores_hup:
                say_hup_ignored(self._journal)
            self._perform(self._machine.start(time.monotonic()))
            while not self._machine.done:
                self._turn()
            code = int(self._machine.exit_code)
            self._tell_leftovers(os.getpid(), self._processes.end_strays())
        except Exception:  # noqa: BLE001  # a bug of ours: the children must not outlive it
            self._journal.raw(traceback.format_exc())
            self._processes.end_all(self._pause_at_the_end, LAST_RESORT_S)
            return ExitCode.INTERNAL
        if self._handlers is not None:
            self._handlers.stopped(code)
        return code

    def _pause_at_the_end(self) -> None:
        self._selector.select(0.1)
        self._signals.drain()

    # --- one turn -------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        patience_s = self._patience_s()
        ready = self._selector.select(patience_s)
        now = time.monotonic()
        late_s, self._turned_s = now - self._turned_s - patience_s, now
        if late_s > LATE_S:  # a stalled machine, a frozen container: nobody is to blame for that
            self._feed(ParentStalled(late_s))
            if self._control is not None:
                self._control.excuse(late_s)
        self._take_signals()
        for key, _ in ready:
            self._attend(key.data, now)
        self._reap()
        self._feed(Tick())
        self._keep_house(now)
        self._steward_feed.push(self._link_of(Role.STEWARD), self._machine.pool)
        self._web_feed.push(self._link_of(Role.WEB), self._machine.pool)
        self._tell_manager(now)

    def _attend(self, whom: object, now: float) -> None:
        """Somebody has something for us."""
        if isinstance(whom, ParentEnd):
            self._listen(whom)
        elif self._control is not None and whom is self._control:
            self._control.accept(now)
        elif self._control is not None and isinstance(whom, Client):
            request = self._control.serve(whom)
            if request is not None and self._handlers is not None:
                self._handlers.take(whom, request)

    def _keep_house(self, now: float) -> None:
        """What is done now and then."""
        self._processes.look_for_strays(now)
        self._terminal.look(now)
        self._ownership.look(now)
        self._outlet.flush()
        if self._control is not None and self._handlers is not None:
            self._control.drop_idle(now)
            if self._machine.pool.stopping is not None:
                self._handlers.stopping()
        if self._options.max_rss_mb and now - self._weighed_s >= WEIGH_EVERY_S:
            self._weighed_s = now
            for key, usage in self._processes.by_key(usage_of(self._processes.pids())).items():
                self._feed(RssSample(key, usage.rss_mb))

    def _patience_s(self) -> float:
        turn_s = BEHIND_S if self._outlet.is_behind else min(TURN_S, self._notifier.watchdog_s or TURN_S)
        deadline = self._machine.deadline()
        return turn_s if deadline is None else min(turn_s, max(0.0, deadline - time.monotonic()))

    def _feed(self, event: Event) -> None:
        is_last = (
            getattr(event, "key", None) is None
        )  # what one child says can wait for the Tick that ends the turn
        self._perform(self._machine.handle(event, time.monotonic(), is_last=is_last))

    def _take_signals(self) -> None:
        for number in self._signals.drain():
            has_hung_up = number == signal.SIGHUP and self._terminal.has_gone(time.monotonic())
            event = Stop("terminal closed") if has_hung_up else event_of(number)
            if event is not None:
                self._feed(event)

    def _listen(self, link: ParentEnd) -> None:
        events, is_open = link.read()
        self._steward_feed.redis_texts.update(link.redis_texts)
        self._web_feed.take(link)
        self._steward_feed.note_jobs(link.job_rows)
        link.job_rows = []
        self._outlet.dropped += link.unlogged
        link.unlogged = 0
        if link.dropped and not link.told_dropped:  # once a child: one that writes nonsense goes on doing so
            link.told_dropped = link.dropped
            fields = {"role": link.role.name.lower(), "key": link.key, "lines": link.dropped}
            self._journal.say("warning", "child.unreadable", fields)
        for event in events:
            self._feed(event)
        if not is_open and link.read_fd >= 0:
            with suppress(KeyError, ValueError):
                self._selector.unregister(link.read_fd)

    def _reap(self) -> None:
        for end in self._processes.reap():
            if end.key is None:
                status = end.signal or f"exit:{end.code}"
                self._journal.say("debug", "child.unknown", {"pid": end.pid, "status": status})
                continue
            link = self._links.pop(end.key)
            self._listen(link)  # its last words come before its end
            with suppress(KeyError, ValueError):
                self._selector.unregister(link.read_fd)
            link.close()
            self._tell_leftovers(end.pid, end.leftovers)
            self._feed(Exited(end.key, end.code, end.signal, self._oom_kills.count(end.signal), end.number))

    def _tell_leftovers(self, pid: int, processes: tuple[str, ...]) -> None:
        if processes:
            self._journal.say("warning", "child.leftovers", {"of": pid, "killed": list(processes)})

    def _tell_manager(self, now: float) -> None:
        """Signs of life and the line for people, from this loop and nowhere else."""
        self._notifier.send_kept()
        if self._notifier.is_heard and (text := self._status_line.news(self._machine.pool, now)):
            self._notifier.send(f"STATUS={text}")
        period_s = self._notifier.watchdog_s
        if period_s is not None and self._turned_s - self._pinged_s >= min(1.0, period_s):
            self._pinged_s = self._turned_s
            self._notifier.send("WATCHDOG=1")

    # --- orders ---------------------------------------------------------------------------------------------------

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Fork():
                    self._perform_fork(command)
                case Kill() | Outgoing() | Pick() | LetIn():
                    self._tell_child(command)
                case Say():
                    self._journal.say(command.level, command.event, command.fields)
                case Trace():
                    self._journal.raw(command.text)
                case Notify():
                    self._notifier.send(command.state)
                case ReloadDone():
                    self._answer_reload(command)

    def _perform_fork(self, order: Fork) -> None:
        brief = make_brief(self._options, order, self._host, self._redis, self._folder)
        link = None
        try:
            link = ParentEnd(order.key, order.role, self._life_read_fd, self._web_feed.listener_fd)
            source = self._links[order.source] if order.source else None
            pid = self._starter.start(order.role, brief, link.child_pipes, source)
        except OSError as error:
            if link is not None:
                link.close()
            self._feed(ForkFailed(order.key, str(error), errno_name(error)))
            return
        link.after_fork()
        self._links[order.key] = link
        self._processes.adopt(order.key, pid, brief.worker_id, is_idle=order.role is Role.SPARE)
        self._selector.register(link.read_fd, selectors.EVENT_READ, link)
        if order.role is Role.STEWARD:
            self._steward_feed.start_over()
        self._feed(Forked(order.key, pid, brief.worker_id))

    def _link_of(self, role: Role) -> ParentEnd | None:
        return next((link for link in self._links.values() if link.role is role), None)

    def _tell_child(self, order: Kill | Outgoing | Pick | LetIn) -> None:
        link = self._links.get(order.key)
        if isinstance(order, LetIn):
            self._processes.set_to_work(order.key)
        if not isinstance(order, Kill):
            if link is not None:
                link.tell(order)
            return
        if link is not None and link.role is Role.STEWARD:
            self._steward_feed.is_stale = True  # it acts on the last roster when it is told to end
            self._steward_feed.push(self._link_of(Role.STEWARD), self._machine.pool)
        self._processes.kill(order.key, order.signal, order.group)

    def _answer_reload(self, done: ReloadDone) -> None:
        if self._handlers is not None:
            self._handlers.reload_done(done)
