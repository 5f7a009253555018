"""Whether a SystemExit or KeyboardInterrupt comes from a signal, or from the code that was running."""

from __future__ import annotations

import dis
import functools
import signal
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

#: The instructions of `raise`.
_RAISE = {dis.opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in dis.opmap}


def asks_to_stop(exc: BaseException) -> bool:
    """Whether an exception comes from a signal, a Ctrl-C for instance, and not from the code that was running.

    A signal handler raises out of whatever runs at that moment. It is told by its frame; Python's own handler for
    Ctrl-C has none, but what it raises does not come from a `raise`.
    """
    if not isinstance(exc, KeyboardInterrupt | SystemExit):
        return False
    frames = list(_frames(exc.__traceback__))
    handlers = set(_handlers())
    if any(frame.f_code in handlers for frame, _ in frames):
        return True
    if not isinstance(exc, KeyboardInterrupt) or not frames:
        return False
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    frame, instruction = frames[-1]
    return frame.f_code.co_code[instruction] not in _RAISE


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lasti
        trace = trace.tb_next


def _handlers() -> Iterator[CodeType]:
    """The code of the signal handlers that are installed."""
    for signum in signal.valid_signals():
        handler: Any = signal.getsignal(signum)
        while isinstance(handler, functools.partial):
            handler = handler.func
        handler = getattr(handler, "__func__", handler)
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            yield code
