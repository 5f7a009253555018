"""Faults in what is around: the broker, standard output, being process 1."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmarks.faults.processes import ZOMBIE, is_alive, kill, parents, state
from benchmarks.faults.scene import Note, Scene
from benchmarks.faults.stopping import stop

AWAY_S = 10.0


def broker_away(scene: Scene) -> Note:
    """The broker is stopped for 10 s, with its data kept, while a job of 3 s runs."""
    assert scene.broker is not None
    scene.start_ready()
    scene.send_started("nap", "during", 3)
    workers = scene.workers()
    scene.broker.stop()
    scene.close_producer()
    scene.open_producer()  # it connects when it sends; its own start must not count as slowness of the pool
    time.sleep(AWAY_S)
    ended = scene.main.poll()
    scene.broker.start()
    if ended is not None:
        return {"main_exit_code": ended}
    serves_s = scene.serves("after", 30)
    scene.until(lambda: len(scene.starts("during")) > 1, 10)
    return {
        "main_exit_code": scene.main.poll(),
        "serves_s": serves_s,
        "done": scene.is_done("during"),
        "starts": len(scene.starts("during")),
        "workers_replaced": sum(not is_alive(pid) for pid in workers),
    }


def full_device(scene: Scene) -> Note:
    """Standard output and error are a device without space."""
    with Path("/dev/full").open("wb") as device:
        return _mute(scene, device)


def reader_gone(scene: Scene) -> Note:
    """Standard output and error are a pipe whose reader has died."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        return _mute(scene, pipe)


def _mute(scene: Scene, output: object) -> Note:
    scene.open_producer()
    scene.start(output=output)  # type: ignore[arg-type]
    serves_s = scene.until(lambda: len(scene.ups()) >= 2 or scene.main.poll() is not None, 15)
    if scene.main.poll() is not None or serves_s is None:
        return {"serves": False, "exit_code": scene.main.poll()}
    return {"serves": scene.serves("job", 10) is not None, **stop(scene)}


def process_one(scene: Scene) -> Note:
    """Process 1 of a container: who waits for orphans, and does SIGTERM work?"""
    scene.start_ready("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    main = next(pid for pid, parent in parents().items() if parent == scene.main.pid)
    workers = len(scene.ups())
    for number in range(3):
        scene.send_started("orphan", f"orphan{number}")
    scene.until(lambda: False, 2.5)
    zombies = [pid for pid, parent in parents().items() if parent == main and state(pid) == ZOMBIE]
    facts: Note = {"zombies": len(zombies), "workers_restarted": len(scene.ups()) - workers,
                   "main_alive": is_alive(main)}  # fmt: skip
    kill(main, signal.SIGTERM)
    took_s = scene.ended(15)
    return {**facts, "stop_s": took_s, "exit_code": scene.main.poll(), "limit_s": 15}
