"""Threads that go on when the worker has ended: to cancel a job does not end what it runs in a thread."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import thread as pool_thread
from types import FrameType

logger = logging.getLogger("arq.worker")


def tell_who_goes_on() -> None:
    """Say for which threads the process will wait at its end, and what they do.

    Not for a worker in a thread of its own: the process goes on after it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    in_pools, others = [], []
    for thread, frame in _running():
        if pending := getattr(thread, "pending_work_items", None):
            in_pools.append(f"{thread.name}, which waits for {len(pending)} in other processes")
        elif any(_is_pools(below) for below in _below(frame)):
            in_pools.append(_where(thread, frame))
        elif not hasattr(thread, "pending_work_items") and not _is_pools(frame):
            others.append(_where(thread, frame))
    if in_pools:
        _say(in_pools, " of a cancelled job", " of cancelled jobs")
    if others:
        _say(others, "", "")


def _running() -> Iterator[tuple[threading.Thread, FrameType]]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is not None and not thread.daemon and thread is not threading.current_thread():
            yield thread, frame


def _below(frame: FrameType) -> Iterator[FrameType]:
    below = frame.f_back
    while below is not None:
        yield below
        below = below.f_back


def _is_pools(frame: FrameType) -> bool:
    """Whether it is the loop of a pool's thread. Is it the innermost frame, then the thread waits for work."""
    return frame.f_code.co_filename == pool_thread.__file__ and frame.f_code.co_name == "_worker"


def _where(thread: threading.Thread, frame: FrameType) -> str:
    code = frame.f_code
    return f"{thread.name} at {code.co_filename}:{frame.f_lineno} in {code.co_name}"


def _say(found: list[str], of_one: str, of_many: str) -> None:
    count = len(found)
    text = f"1 thread{of_one} still runs, and" if count == 1 else f"{count} threads{of_many} still run, and"
    whose = "its" if count == 1 else "their"
    logger.warning("%s the process waits for %s end: %s", text, whose, "; ".join(found[:5]))
