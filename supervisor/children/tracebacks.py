"""What a user should see of an exception: the frames of their own code, without the way that led there."""

import asyncio
import os
from collections.abc import Iterator
from traceback import StackSummary, TracebackException

from ..printable_text import redacted

LONGEST = 30_000
HEAD = "Traceback (most recent call last):\n"
# what calls user code; it says nothing about what is wrong with it
CALLERS = (
    *(
        os.path.join(os.path.abspath(__file__).rpartition(f"{os.sep}supervisor{os.sep}")[0], package, "")
        for package in ("arq", "supervisor")
    ),
    os.path.join(os.path.dirname(asyncio.__file__), ""),
    "uvloop/",
)


def trace_of(error: BaseException) -> str:
    """The traceback from the first frame of user code on; "" when no code of theirs has run."""
    summary = TracebackException.from_exception(error)
    chain = list(_chain(summary))
    for one in chain:
        one.stack = StackSummary.from_list(theirs(one.stack))
    if not any(one.stack for one in chain):
        is_source_broken = isinstance(error, SyntaxError)
        return redacted(HEAD + "".join(summary.format_exception_only())) if is_source_broken else ""
    return redacted("".join(summary.format()))[-LONGEST:]


def whole_trace_of(error: BaseException) -> str:
    """The same, with our own frames when there are no others: then it is a matter of ours."""
    return trace_of(error) or redacted("".join(TracebackException.from_exception(error).format()))[-LONGEST:]


def _chain(summary: TracebackException | None) -> Iterator[TracebackException]:
    while summary is not None:
        yield summary
        summary = summary.__cause__ or (None if summary.__suppress_context__ else summary.__context__)


def theirs(stack: StackSummary) -> StackSummary:
    """Without the machinery of imports, and without our frames above theirs."""
    frames = [frame for frame in stack if "importlib" not in frame.filename]
    while frames and frames[0].filename.startswith(CALLERS):
        del frames[0]
    return StackSummary.from_list(frames)
