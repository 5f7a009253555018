"""Every fault: its name, its row in the table, how it is caused, and whom it can be asked of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults import (
    dying,
    files,
    hanging,
    reloading,
    starting,
    stopping,
    surroundings,
    terminals,
)
from benchmarks.faults.peers import Peer
from benchmarks.faults.scene import Note, Scene

STOP, DEATH, HANG, RELOAD, START, AROUND = (
    "Stop",
    "Killed processes",
    "Hung workers",
    "Reload",
    "Start",
    "What is around",
)


@dataclass(frozen=True)
class Fault:
    """`lacks` says why there is nothing to look at with this peer, or "" where there is."""

    name: str
    group: str
    title: str
    cause: Callable[[Scene], Note]
    lacks: Callable[[Peer], str] = lambda _: ""


def _reload(peer: Peer) -> str:
    return "" if peer.reload else "it has no reload"


def _name(peer: Peer) -> str:
    return "" if peer.has_name else "it has no name, file or port that two could share"


def _files(peer: Peer) -> str:
    return "" if peer.files else "it keeps no such file"


def _broker(peer: Peer) -> str:
    return "requests have no broker" if peer.is_web else ""


def _jobs(peer: Peer) -> str:
    return "nobody keeps requests" if peer.is_web else ""


_FAULTS = (
    Fault("stop-idle", STOP, "SIGTERM, idle", stopping.idle),
    Fault("stop-busy", STOP, "SIGTERM while a job of 2 s runs", stopping.busy),
    Fault("stop-burst", STOP, "50 SIGINT in half a second, a job of 2 s runs", stopping.burst),
    Fault("stop-boot", STOP, "SIGTERM 0.02, 0.1, 0.25, 0.5, 1 s after the start", stopping.during_boot),
    Fault("stop-stopped", STOP, "SIGTERM while a worker is SIGSTOPped", stopping.with_stopped_worker),
    Fault("stop-stuck", STOP, "SIGTERM while a job is stuck in native code", stopping.with_stuck_worker),
    Fault("stop-programs", STOP, "SIGTERM, idle; a job has started a program, and one in a session of its own",
          stopping.after_programs),
    Fault("kill-main", DEATH, "SIGKILL of the main process, a job runs", dying.main_process),
    Fault("kill-idle", DEATH, "SIGKILL of an idle worker", dying.idle_worker),
    Fault("kill-all", DEATH, "SIGKILL of all workers", dying.all_workers),
    Fault("kill-busy", DEATH, "SIGKILL of a process that runs jobs of 3 s", dying.busy_worker),
    Fault("kill-helper", DEATH, "SIGKILL of a worker whose job started a program", dying.helper_program),
    Fault("kill-host", DEATH, "the host dies, a job runs; all is started again; redelivery set to 20 s where it can be",
          dying.whole_host, _jobs),
    Fault("hang-stopped", HANG, "SIGSTOP of a worker", hanging.stopped_worker),
    Fault("hang-stuck", HANG, "a job is stuck in native code for ever", hanging.stuck_worker),
    Fault("reload-load", RELOAD, "new code under load, three times", reloading.under_load),
    Fault("reload-broken", RELOAD, "new code with a syntax error", reloading.broken_code),
    Fault("reload-link", RELOAD, "its folder is a link, switched to a new release; the old one is removed",
          reloading.release_link),
    Fault("reload-twenty", RELOAD, "twenty reloads: growth", reloading.twenty_times, _reload),
    Fault("start-import", START, "import error at the start", starting.import_error),
    Fault("start-crash", START, "every worker crashes after 0.3 s", starting.crash_loop),
    Fault("start-twice", START, "started twice with the same name", starting.twice, _name),
    Fault("around-broker", AROUND, "broker away for 10 s, a job runs", surroundings.broker_away, _broker),
    Fault("around-full", AROUND, "stdout is a full device", surroundings.full_device),
    Fault("around-reader", AROUND, "the reader of stdout is gone", surroundings.reader_gone),
    Fault("around-files", AROUND, "what Python imports at its start has opened 30 files; jobs write into them",
          files.opened_before_fork),
    Fault("around-cleaner", AROUND, "lock, socket and pid file removed; then a second start", files.removed, _files),
    Fault("around-terminal", AROUND, "its terminal is closed, a job of 2 s runs", terminals.closed),
    Fault("around-nohup", AROUND, "its terminal is closed, started under `nohup`", terminals.closed_under_nohup),
    Fault("around-init", AROUND, "process 1 of a container, 3 orphans", surroundings.process_one),
)  # fmt: skip

FAULTS = {fault.name: fault for fault in _FAULTS}
