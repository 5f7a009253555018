"""What the tasks of an event loop are doing: the jobs of a worker with their stacks, and what they have started."""

import asyncio
import gc
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from textwrap import indent
from traceback import StackSummary, walk_stack
from types import FrameType
from typing import Any

from ..ipc.brief import Brief
from ..log_records import json_record, text_record
from ..printable_text import printable, printable_lines, redacted
from .tracebacks import CALLERS, theirs
from .worker_log import write_whole

DEEPEST = 100
MOST_TASKS = 100


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task. `job_id` is "" for one that is no job; `stack` has the frames of user code and what these called."""

    name: str
    job_id: str
    is_running: bool
    stack: str


def view_tasks(
    loop: asyncio.AbstractEventLoop,
    jobs: Mapping[str, tuple[asyncio.Task[Any], str]],
    frame: FrameType | None,
) -> list[TaskView]:
    """The jobs, then the other tasks that are not the worker's own.

    Args:
        loop: the event loop of this thread.
        jobs: job id -> its task, and the name of its function.
        frame: where the thread is now.
    """
    current = asyncio.current_task(loop)
    found = []
    for job_id, (task, name) in jobs.items():
        found.append(_view(task, name, job_id, frame if task is current else None))
    known = {task for task, _ in jobs.values()}
    others = sorted(asyncio.all_tasks(loop) - known, key=lambda task: task.get_name())
    found += [_view(task, _name_of(task), "", frame if task is current else None)
              for task in others if not _is_our_own(task)]  # fmt: skip
    return found[:MOST_TASKS]


def _view(task: asyncio.Task[Any], name: str, job_id: str, frame: FrameType | None) -> TaskView:
    frames = _waiting(task.get_coro()) if frame is None else _running(frame, task.get_coro())
    return TaskView(name, job_id, frame is not None, "".join(theirs(StackSummary.extract(frames)).format()))


def _running(frame: FrameType | None, coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """The frames of a coroutine that runs, the outermost first; where that is not known, of the whole thread."""
    outermost = _part(coroutine, "cr_frame", "gi_frame")
    found: list[tuple[FrameType, int]] = []
    for one, line in walk_stack(frame):
        found.append((one, line))
        if one is outermost:
            break
    return reversed(found)


def _waiting(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """The frames of a coroutine that waits, and of what it awaits, the outermost first."""
    for _ in range(DEEPEST):
        frame = _part(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            return
        yield frame, frame.f_lineno
        coroutine = _unwrapped(_part(coroutine, "cr_await", "gi_yieldfrom", "ag_await"))


def _part(coroutine: Any, *names: str) -> Any:
    return next((part for name in names if (part := getattr(coroutine, name, None)) is not None), None)


def _unwrapped(awaited: Any) -> Any:
    """A step of an asynchronous generator does not say whose it is; the garbage collector knows."""
    if awaited is None or _part(awaited, "cr_frame", "gi_frame", "ag_frame") is not None:
        return awaited
    if type(awaited).__name__ not in ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper"):
        return None
    return next(
        (one for one in gc.get_referents(awaited) if inspect.isasyncgen(one) or inspect.iscoroutine(one)),
        None,
    )


def _name_of(task: asyncio.Task[Any]) -> str:
    return f"{task.get_name()} {getattr(task.get_coro(), '__qualname__', '')}".rstrip()


def _is_our_own(task: asyncio.Task[Any]) -> bool:
    code = _part(task.get_coro(), "cr_code", "gi_code", "ag_code")
    return code is not None and code.co_filename.startswith(CALLERS)


def dump_tasks(brief: Brief, worker: Any, loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
    """What a worker's tasks are doing, for its log; `frame` is where its thread is now."""
    with suppress(Exception):  # they come and go while they are looked at
        names = dict(worker.running_jobs())
        jobs = {job_id: (task, names[job_id]) for job_id, task in list(worker.job_tasks.items())}
        write_tasks(brief.options.name, brief.slot, brief.options.log_format, view_tasks(loop, jobs, frame))


def write_tasks(pool: str, slot: int, log_format: str, views: list[TaskView]) -> None:
    """All of them to stderr, in one piece, whoever else is writing there."""
    fields: dict[str, object] = {"slot": slot, "child": os.getpid()}
    if log_format == "json":
        fields["jobs"] = [{"job_id": one.job_id, "function": one.name, "running": one.is_running, "stack": one.stack}
                          for one in views if one.job_id]  # fmt: skip
        fields["tasks"] = [{"name": one.name, "stack": one.stack} for one in views if not one.job_id]
        text = json_record("warning", pool, "child.tasks", fields)
    else:
        jobs = sum(bool(view.job_id) for view in views)
        fields |= {"jobs": jobs, "others": len(views) - jobs}
        text = text_record("warning", pool, "child.tasks", fields) + "".join(map(_text_of, views))
    write_whole(text)


def _text_of(view: TaskView) -> str:
    """For people."""
    what = f"job {view.job_id}:{view.name}" if view.job_id else f"task {view.name}"
    where = "runs at" if view.is_running else "waits at" if view.stack else "is in no code of the application"
    return f"  {printable(what)} {where}:\n{printable_lines(indent(redacted(view.stack), '  '))}"
