"""Faults at the start: code that cannot be imported, workers that crash, a name that is taken."""

from __future__ import annotations

import time

from benchmarks.faults.processes import cpu_s
from benchmarks.faults.scene import Note, Scene, since_s

IMPORT_WATCH_S = 10.0
CRASH_WATCH_S = 30.0
IMPORT_ERROR = "from journal import note\n\nnote('attempt')\nraise ImportError('no payments here')\n"
CRASH_AFTER_S = 0.3


def import_error(scene: Scene) -> Note:
    """The application cannot be imported."""
    scene.open_producer()
    scene.write_code(IMPORT_ERROR)
    began = time.monotonic_ns()
    scene.start()
    scene.ended(IMPORT_WATCH_S)
    code = scene.main.poll()
    return {
        "exit_code": code,
        "ended_s": None if code is None else since_s(began),
        "attempts": len(scene.notes("attempt")),
        "tracebacks": scene.log().count("Traceback (most recent call last)"),
        "left": scene.left() if code is not None else len(scene.processes()),
        "watched_s": IMPORT_WATCH_S,
    }


def crash_loop(scene: Scene) -> Note:
    """Every worker crashes 0.3 s after it began."""
    scene.open_producer()
    (scene.directory / "crash-after-s").write_text(str(CRASH_AFTER_S))
    began = time.monotonic_ns()
    scene.start()
    scene.ended(CRASH_WATCH_S)
    code = scene.main.poll()
    late = [note for note in scene.ups() if since_s(began, note["at_ns"]) > CRASH_WATCH_S - 10]
    return {
        "exit_code": code,
        "ended_s": None if code is None else since_s(began),
        "starts": len(scene.ups()),
        "starts_in_last_10_s": len(late),
        "cpu_s": round(cpu_s(scene.main.pid), 2) if code is None else None,
        "watched_s": CRASH_WATCH_S,
    }


def twice(scene: Scene) -> Note:
    """The same command, name and pidfile a second time, while the first runs."""
    scene.start_ready()
    first = scene.main
    facts = second(scene)
    return {**facts, "first_serves": first.poll() is None and scene.serves("after", 5) is not None}


def second(scene: Scene) -> Note:
    """Start the pool once more; what becomes of that one. The first is `main` again afterwards."""
    already = len(scene.ups())
    other = scene.start()
    began = time.monotonic_ns()
    scene.until(lambda: other.poll() is not None or len(scene.ups()) > already, 10)
    scene.pools.reverse()
    return {
        "second_exit_code": other.poll(),
        "took_s": since_s(began),
        "second_works": len(scene.ups()) > already,
    }
