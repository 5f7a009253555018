"""Every fault: its name, its row in the table, how it is caused, and whom it can be asked of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults import dying, hanging, reloading, starting, stopping, surroundings
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
    """`needs` names the attribute of a peer without which there is nothing to look at."""

    name: str
    group: str
    title: str
    cause: Callable[[Scene], Note]
    needs: Callable[[Peer], bool] = lambda _: True


def _reloads(peer: Peer) -> bool:
    return bool(peer.reload)


_FAULTS = (
    Fault("stop-idle", STOP, "SIGTERM, idle", stopping.idle),
    Fault("stop-busy", STOP, "SIGTERM while a job of 2 s runs", stopping.busy),
    Fault("stop-burst", STOP, "50 SIGINT in half a second, a job of 2 s runs", stopping.burst),
    Fault("stop-boot", STOP, "SIGTERM 0.02, 0.1, 0.25, 0.5, 1 s after the start", stopping.during_boot),
    Fault("stop-stopped", STOP, "SIGTERM while a worker is SIGSTOPped", stopping.with_stopped_worker),
    Fault("stop-stuck", STOP, "SIGTERM while a job is stuck in native code", stopping.with_stuck_worker),
    Fault("kill-main", DEATH, "SIGKILL of the main process, a job runs", dying.main_process),
    Fault("kill-idle", DEATH, "SIGKILL of an idle worker", dying.idle_worker),
    Fault("kill-all", DEATH, "SIGKILL of all workers", dying.all_workers),
    Fault("kill-busy", DEATH, "SIGKILL of a process that runs jobs of 3 s", dying.busy_worker),
    Fault("kill-helper", DEATH, "SIGKILL of a worker whose job started a program", dying.helper_program),
    Fault("hang-stopped", HANG, "SIGSTOP of a worker", hanging.stopped_worker),
    Fault("hang-stuck", HANG, "a job is stuck in native code for ever", hanging.stuck_worker),
    Fault("reload-load", RELOAD, "new code under load, three times", reloading.under_load),
    Fault("reload-broken", RELOAD, "new code with a syntax error", reloading.broken_code),
    Fault("reload-twenty", RELOAD, "twenty reloads: growth", reloading.twenty_times, _reloads),
    Fault("start-import", START, "import error at the start", starting.import_error),
    Fault("start-crash", START, "every worker crashes after 0.3 s", starting.crash_loop),
    Fault("start-twice", START, "started twice with the same name", starting.twice, lambda peer: peer.has_name),
    Fault("around-broker", AROUND, "broker away for 10 s, a job runs", surroundings.broker_away,
          lambda peer: not peer.is_web),
    Fault("around-full", AROUND, "stdout is a full device", surroundings.full_device),
    Fault("around-reader", AROUND, "the reader of stdout is gone", surroundings.reader_gone),
    Fault("around-init", AROUND, "process 1 of a container, 3 orphans", surroundings.process_one),
)  # fmt: skip

FAULTS = {fault.name: fault for fault in _FAULTS}
