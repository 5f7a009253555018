"""Faults of files: those that were opened before the workers were forked, and those that a cleaner removes."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.faults.processes import is_alive
from benchmarks.faults.scene import Note, Scene
from benchmarks.faults.starting import second
from benchmarks.faults.stopping import stop

JOBS = 5
CLEANED_WATCH_S = 8.0


def opened_before_fork(scene: Scene) -> Note:
    """What Python imports at its start (an agent, a tracer) opens 30 files; jobs write a line into each."""
    shutil.copy(scene.directory / "agent.py", scene.directory / "sitecustomize.py")
    scene.start_ready()
    workers = scene.workers()
    jobs = [scene.send("agent", f"agent{number}") for number in range(JOBS)]
    scene.until(lambda: all(map(scene.is_settled, jobs)), 10)
    expected = sum(note["files"] for note in scene.notes("agent"))
    lines = [line for file in scene.directory.glob("agent.*.log") for line in file.read_text().splitlines()]
    return {
        "jobs": JOBS,
        "done": sum(map(scene.is_done, jobs)),
        "lines": len(lines),
        "expected": expected,
        "strange": sum(line not in jobs for line in lines),
        "workers_died": sum(not is_alive(pid) for pid in workers),
        "main_exit_code": scene.main.poll(),
    }


def removed(scene: Scene) -> Note:
    """A cleaner of old files takes lock, socket and pid file of a running pool. Then somebody starts it again."""
    scene.start_ready()
    first, files = scene.main, _files(scene)
    for file in files:
        file.unlink()
    back_s = scene.until(lambda: len(_files(scene)) >= len(files), CLEANED_WATCH_S)
    facts: Note = {
        "files": len(files),
        "back": len(_files(scene)),
        "back_s": back_s,
        "watched_s": CLEANED_WATCH_S,
        **second(scene),
    }
    facts["first_serves"] = first.poll() is None and scene.serves("after", 5) is not None
    return facts | {"stop": stop(scene)}


def _files(scene: Scene) -> list[Path]:
    return [file for pattern in scene.peer.files for file in scene.directory.glob(pattern)]
