"""Faults around a stop: idle, busy, asked fifty times, during the boot, with a worker that cannot hear."""

from __future__ import annotations

import signal
import time

from benchmarks.faults.processes import is_alive, kill
from benchmarks.faults.scene import Note, Scene, since_s

STOP_LIMIT_S = 30.0
BURST = 50
BOOT_MOMENTS_S = (0.02, 0.1, 0.25, 0.5, 1.0)


def stop(scene: Scene, limit_s: float = STOP_LIMIT_S) -> Note:
    """SIGTERM; the exit code (None: still running), how long it took, who is left a second after the end."""
    scene.signal(signal.SIGTERM)
    return wait_for_end(scene, limit_s)


def wait_for_end(scene: Scene, limit_s: float = STOP_LIMIT_S) -> Note:
    """The same for somebody who has sent the signals already."""
    took_s = scene.ended(limit_s)
    return {"stop_s": took_s, "exit_code": scene.main.poll(), "left": scene.left(), "limit_s": limit_s}


def run_again(scene: Scene, job: str, limit_s: float = 10.0) -> float | None:
    """Start the pool again, as a service manager would; seconds until the job was done."""
    scene.clear()
    began = time.monotonic_ns()
    scene.start_ready()
    done = scene.until(lambda: scene.is_done(job), limit_s)
    return None if done is None else since_s(began)


def fate(scene: Scene, job: str) -> Note:
    """What became of a job that was running when its pool was stopped."""
    facts: Note = {"done_before_end": scene.is_done(job)}
    if not facts["done_before_end"] and not scene.peer.is_web:
        facts["done_after_restart_s"] = run_again(scene, job)
    return {**facts, "starts": len(scene.starts(job)), "broken": scene.is_broken(job)}


def idle(scene: Scene) -> Note:
    """SIGTERM, nothing to do."""
    return {"boot_s": scene.start_ready(), **stop(scene)}


def busy(scene: Scene) -> Note:
    """SIGTERM while a job of 2 s runs."""
    scene.start_ready()
    scene.send_started("nap", "job", 2)
    return {**stop(scene), **fate(scene, "job")}


def after_programs(scene: Scene) -> Note:
    """SIGTERM, idle; an earlier job has started a program, and another one in a session of its own."""
    scene.start_ready()
    scene.send_started("programs", "job")
    scene.until(lambda: scene.is_settled("job"), 5)
    started = scene.notes("programs", "job")[0]
    facts = stop(scene)
    return {
        **facts,
        "program_left": is_alive(started["program"]),
        "daemon_left": is_alive(started["daemon"]),
    }


def burst(scene: Scene) -> Note:
    """Fifty SIGINT within half a second while a job of 2 s runs: an impatient terminal, a wrapper that repeats."""
    scene.start_ready()
    scene.send_started("nap", "job", 2)
    for _ in range(BURST):
        scene.signal(signal.SIGINT)
        time.sleep(0.01)
    return {**wait_for_end(scene), **fate(scene, "job")}


def during_boot(scene: Scene) -> Note:
    """SIGTERM a little after the start, at several moments."""
    moments = []
    for after_s in BOOT_MOMENTS_S:
        scene.start()
        time.sleep(after_s)
        moments.append({"after_s": after_s, **stop(scene, 15)})
        scene.clear()
    return {"moments": moments}


def with_stopped_worker(scene: Scene) -> Note:
    """SIGTERM while one worker is stopped by SIGSTOP (a debugger, a frozen cgroup)."""
    scene.start_ready()
    kill(scene.workers()[0], signal.SIGSTOP)
    return stop(scene)


def with_stuck_worker(scene: Scene) -> Note:
    """SIGTERM while a job is stuck in native code."""
    scene.start_ready()
    scene.send_started("stuck", "stuck")
    return stop(scene)
