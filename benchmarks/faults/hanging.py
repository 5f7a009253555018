"""Faults in which a worker lives but does nothing."""

from __future__ import annotations

import signal

from benchmarks.faults.processes import is_alive, kill
from benchmarks.faults.scene import Note, Scene, since_s

JOBS_AFTER = 10
STOPPED_WATCH_S = 35.0
STUCK_WATCH_S = 100.0  # rq kills a job a minute after its limit, and looks every half minute
STUCK_IN = "stuck_in_native_code"


def stopped_worker(scene: Scene) -> Note:
    """SIGSTOP of a worker."""
    scene.start_ready()
    victim, already = scene.workers()[0], len(scene.ups())
    began = kill(victim, signal.SIGSTOP)
    return _watch(scene, victim, already, began, STOPPED_WATCH_S)


def stuck_worker(scene: Scene) -> Note:
    """A job that is stuck in native code for ever; the time limit for jobs is 10 s where there is one."""
    scene.start_ready()
    already = len(scene.ups())
    began = scene.send_started("stuck", "stuck")
    return {
        **_watch(scene, began["pid"], already, began["at_ns"], STUCK_WATCH_S),
        "starts": len(scene.starts("stuck")),
        "place_shown": STUCK_IN in scene.log(),
    }


def _watch(scene: Scene, victim: int, already: int, began: int, watch_s: float) -> Note:
    """Until the worker is gone and there is another, or the watch is over."""
    was_worker = (
        victim in scene.workers()
    )  # rq runs each job in a process of its own, which nobody has to replace
    gone = scene.until(lambda: not is_alive(victim), watch_s)
    gone_s = None if gone is None else since_s(began)
    if gone is not None and was_worker:
        scene.until(lambda: len(scene.ups()) > already or scene.main.poll() is not None, 10)
    back = scene.ups()[already:]
    return {
        "gone_s": gone_s,
        "was_worker": was_worker,
        "back_s": since_s(began, back[0]["at_ns"]) if back else None,
        "main_exit_code": scene.main.poll(),
        "jobs_after": JOBS_AFTER,
        "done_after": _done_after(scene),
        "watched_s": watch_s,
    }


def _done_after(scene: Scene) -> int:
    """How many new jobs are done within 5 s: a worker that hangs may still take some, and keep them."""
    if scene.main.poll() is not None:
        return 0
    jobs = [scene.send("nap", f"after{number}", 0) for number in range(JOBS_AFTER)]
    scene.until(lambda: all(map(scene.is_settled, jobs)), 5)
    return sum(map(scene.is_done, jobs))
