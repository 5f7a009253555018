"""Faults of the terminal that a pool was started in: its window is closed, with and without `nohup`."""

from __future__ import annotations

import os
import select
import threading
from types import TracebackType
from typing import Self

from benchmarks.faults.processes import is_alive
from benchmarks.faults.scene import Note, Scene
from benchmarks.faults.stopping import fate, stop

WATCH_S = 15.0
RELOAD_WATCH_S = 5.0
LOOK_S = 0.05


class Terminal:
    """A window that reads what is written into it until it is closed. `end` is what its programs are given."""

    def __init__(self) -> None:
        self._window, self.end = os.openpty()
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        while not self._closed.is_set():
            if select.select([self._window], [], [], LOOK_S)[0]:
                os.read(self._window, 65536)

    def close(self) -> None:
        """The kernel sends SIGHUP to those whom the terminal controls; who writes into it now gets an error."""
        if not self._closed.is_set():
            self._closed.set()
            self._reader.join()
            os.close(self._window)
            os.close(self.end)


def closed(scene: Scene) -> Note:
    """The window is closed while a job of 2 s runs: does the pool end as it would by a stop, or live on for itself?"""
    with Terminal() as terminal:
        scene.start_ready(terminal=terminal.end)
        scene.send_started("nap", "job", 2)
        terminal.close()
        ended_s = scene.ended(WATCH_S)
        facts = {"stop_s": ended_s, "exit_code": scene.main.poll(), "watched_s": WATCH_S}
        if ended_s is None:
            return {**facts, **_serves_and_stops(scene)}
        return {**facts, "left": scene.left(), **fate(scene, "job")}


def closed_under_nohup(scene: Scene) -> Note:
    """The same for a pool that was told by `nohup` to ignore it."""
    with Terminal() as terminal:
        scene.start_ready("nohup", terminal=terminal.end)
        workers = scene.workers()
        terminal.close()
        scene.ended(RELOAD_WATCH_S)
        facts: Note = {"exit_code": scene.main.poll(), "watched_s": RELOAD_WATCH_S}
        if facts["exit_code"] is None:
            facts["workers_stayed"] = all(map(is_alive, workers))
            facts |= _serves_and_stops(scene)
        return facts


def _serves_and_stops(scene: Scene) -> Note:
    serves = scene.serves("after", 5) is not None
    stopping = stop(scene)
    return {"serves": serves, "then_stop_s": stopping["stop_s"], "left": stopping["left"]}
