"""Faults around a reload: under load, with code that cannot be read, and twenty times."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.peers import WORKERS
from benchmarks.faults.processes import descriptors, is_alive, kill, threads
from benchmarks.faults.scene import APPS, GOOD_CODE, Note, Scene, since_s

NEW_VERSIONS = 3
NEW_CODE_LIMIT_S = 15.0
BROKEN_WATCH_S = 8.0
REPLACED_LIMIT_S = 10.0
RELOADS, RELOAD_LIMIT_S, TWENTY_LIMIT_S = 20, 15.0, 150.0
SYNTAX_ERROR = "VERSION = = 2\n"


def _reload(scene: Scene) -> int:
    return scene.signal(signal.Signals[scene.peer.reload])


def under_load(scene: Scene) -> Note:
    """New code, several times, while twenty jobs a second come in. A peer without a reload just finds the new file."""
    scene.start_ready()
    load = Load(scene)
    load.run(0.5)
    rounds = [_to_version(scene, load, str(number)) for number in range(2, 2 + NEW_VERSIONS)]
    load.run(0.5)
    settled_s = scene.until(load.is_settled, 10)
    return {
        "rounds": rounds,
        "new_code_s": _worst([one["new_code_s"] for one in rounds]),
        "over_s": _worst([one["over_s"] for one in rounds]),
        **load.facts(),
        "settled_s": settled_s,
        "by_signal": bool(scene.peer.reload),
        "main_exit_code": scene.main.poll(),
    }


def _worst(times_s: list[float | None]) -> float | None:
    known = [one for one in times_s if one is not None]
    return max(known) if len(known) == len(times_s) else None


def _to_version(scene: Scene, load: Load, version: str) -> Note:
    """Until new code was seen and the old workers are gone (where there is no reload: until it was seen)."""
    old = scene.workers()
    scene.write_code(version=version)
    began = _reload(scene) if scene.peer.reload else time.monotonic_ns()

    def is_over() -> bool:
        return bool(scene.starts_of(version)) and not (scene.peer.reload and any(map(is_alive, old)))

    over_s = load.run_until(is_over, NEW_CODE_LIMIT_S)
    new = scene.starts_of(version)
    return {"new_code_s": since_s(began, new[0]["at_ns"]) if new else None, "over_s": over_s}


class Load:
    """A job of 20 ms every 50 ms, and how many workers were there meanwhile."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._jobs = scene, list[str]()
        self._fewest = WORKERS

    def _send(self) -> None:
        self._jobs.append(self._scene.send("nap", f"load{len(self._jobs)}", 0.02))
        self._fewest = min(self._fewest, len(self._scene.workers()))
        time.sleep(0.05)

    def run(self, seconds: float) -> None:
        """For so long."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> float | None:
        """Seconds until the condition held; None when it did not."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            self._send()
            if condition():
                return round(time.monotonic() - began, 3)
        return None

    def is_settled(self) -> bool:
        """Nothing is under way."""
        return all(map(self._scene.is_settled, self._jobs))

    def facts(self) -> Note:
        """What became of all jobs."""
        return {
            "jobs": len(self._jobs),
            "not_done": sum(not self._scene.is_done(job) for job in self._jobs),
            "twice": sum(len(self._scene.starts(job)) > 1 for job in self._jobs),
            "fewest_workers": self._fewest,
        }


def broken_code(scene: Scene) -> Note:
    """A reload of a file with a syntax error: is the service still up?"""
    scene.start_ready()
    old = scene.workers()
    scene.write_code(SYNTAX_ERROR)
    began = _reload(scene) if scene.peer.reload else time.monotonic_ns()
    ended_s = scene.ended(BROKEN_WATCH_S)
    return {
        "main_exit_code": scene.main.poll(),
        "main_ended_s": None if ended_s is None else since_s(began),
        "old_workers": sum(map(is_alive, old)),
        "serves": scene.main.poll() is None and scene.serves("after", 5) is not None,
        "watched_s": BROKEN_WATCH_S,
    }


def release_link(scene: Scene) -> Note:
    """Started in a folder `current` that is a link; it leads to a new release; reload. Then the old release is removed
    and a worker killed: the one that takes its place needs the code, too.
    """
    old, new = (_release(scene, version) for version in ("1", "2"))
    scene.home = scene.directory / "current"
    scene.home.symlink_to(old)
    scene.environ["PWD"] = str(scene.home)  # as a shell has it
    del scene.environ["PYTHONPATH"]
    scene.start_ready()
    workers = scene.workers()
    link = scene.directory / "current.new"
    link.symlink_to(new)
    link.rename(scene.home)
    began = _reload(scene) if scene.peer.reload else time.monotonic_ns()
    load = Load(scene)
    load.run_until(lambda: bool(scene.starts_of("2")), NEW_CODE_LIMIT_S)
    if scene.peer.reload:
        scene.until(lambda: not any(map(is_alive, workers)), 5)
    by_new = scene.starts_of("2")
    return {
        "new_code_s": since_s(began, by_new[0]["at_ns"]) if by_new else None,
        "by_signal": bool(scene.peer.reload),
        "main_exit_code": scene.main.poll(),
        "watched_s": NEW_CODE_LIMIT_S,
        **_without_release(scene, old),
    }


def _release(scene: Scene, version: str) -> Path:
    folder = scene.directory / "releases" / version
    shutil.copytree(APPS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "version.py").write_text(GOOD_CODE.format(version=version))
    return folder


def _without_release(scene: Scene, old: Path) -> Note:
    """Is a worker that dies replaced, and do jobs go on, when the old release has been removed?"""
    if scene.main.poll() is not None:
        return {}
    shutil.rmtree(old)
    already = len(scene.ups())
    kill(scene.workers()[0])
    scene.until(lambda: len(scene.ups()) > already or scene.main.poll() is not None, REPLACED_LIMIT_S)
    return {
        "replaced": len(scene.ups()) > already,
        "exit_code_then": scene.main.poll(),
        "serves_then": scene.main.poll() is None and scene.serves("then", 5) is not None,
    }


def twenty_times(scene: Scene) -> Note:
    """Twenty reloads, one after another: does the main process grow?"""
    scene.start_ready()
    main, before = scene.main.pid, _size(scene)
    done, began = 0, time.monotonic()
    while done < RELOADS and time.monotonic() - began < TWENTY_LIMIT_S and _all_replaced(scene):
        done += 1
    took_s = round(time.monotonic() - began, 3)
    scene.until(lambda: _size(scene)["processes"] <= before["processes"], 3)
    return {
        "done": done,
        "took_s": took_s,
        "limit_s": TWENTY_LIMIT_S,
        "before": before,
        "after": _size(scene),
        "same_main": is_alive(main),
        "main_exit_code": scene.main.poll(),
    }


def _all_replaced(scene: Scene) -> bool:
    """Reload once; are there other workers, and the old ones gone?"""
    old, already = scene.workers(), len(scene.ups())
    _reload(scene)
    replaced_s = scene.until(
        lambda: len(scene.ups()) >= already + WORKERS and not any(map(is_alive, old)), RELOAD_LIMIT_S
    )
    return replaced_s is not None


def _size(scene: Scene) -> Note:
    pid = scene.main.pid
    return {"fds": descriptors(pid), "threads": threads(pid), "processes": len(scene.processes())}
