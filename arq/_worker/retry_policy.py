"""Whether and when a job is tried again that has raised, by the options of its function and its worker. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from inspect import iscoroutine
from typing import Any

from .._errors import Retry, RetryJob
from .._interrupt_origin import asks_to_stop
from .._retry_options import Backoff, RetryOptions, classes, is_number, limit_s
from ..utils import LONGEST_S, safe_repr, to_ms, to_seconds

#: For policies that say when to stop, and not how long to wait.
_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What holds for a job.

    Attributes:
        retry_on, give_up_on: classes of exceptions; what `give_up_on` has wins.
        retry_on_timeout: whether a run that took too long is repeated; None: as `retry_on` says of a TimeoutError.
        backoff: how long to wait, by number of the try and exception.
        retry_for_s: no try begins later than so many s after the job was enqueued.
    """

    retry_on: tuple[type[BaseException], ...]
    give_up_on: tuple[type[BaseException], ...]
    retry_on_timeout: bool | None
    backoff: Callable[[int, BaseException], Any]
    retry_for_s: float

    def is_transient(self, exc: BaseException, *, timed_out: bool) -> bool:
        """Whether what has failed may go well another time. All that is in a group must; `Retry` asks for it itself."""
        leaves = list(leaves_of(exc))
        if any(isinstance(one, self.give_up_on) for one in (exc, *leaves)):
            return False
        if timed_out and self.retry_on_timeout is not None:
            return self.retry_on_timeout
        return isinstance(exc, self.retry_on) or all(
            isinstance(one, (*self.retry_on, Retry, RetryJob)) for one in leaves
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that has failed.

    Attributes:
        raised: what the job has raised.
        timed_out: its time was up.
        tries: how many there have been that count, with this one.
        most_tries: how many there may be.
        waited_ms: since the job was enqueued.
    """

    raised: BaseException
    timed_out: bool
    tries: int
    most_tries: float
    waited_ms: int


def policy_of(own: RetryOptions | None, of_worker: RetryOptions | None) -> RetryPolicy:
    """What holds for a function: what it says itself, then what its worker says."""
    mine, common = own or RetryOptions(), of_worker or RetryOptions()

    def first(name: str) -> Any:
        given = getattr(mine, name)
        return getattr(common, name) if given is None else given

    retry_on, on_timeout = first("retry_on"), first("retry_on_timeout")
    says_how = not (mine.give_up_on is None and mine.backoff is None and mine.retry_for is None)
    if retry_on is None and says_how and not on_timeout:
        retry_on = Exception  # it speaks of tries: then there are some
    return RetryPolicy(
        classes(retry_on),
        classes(first("give_up_on")),
        on_timeout,
        first("backoff") or _BACKOFF,
        limit_s(first("retry_for")),
    )


def next_try_ms(policy: RetryPolicy, failure: Failure) -> int | None:
    """ms from now until the job is tried again; None: it has failed for good.

    Raises:
        ValueError: nobody can say, because the function that is asked for the pause raises or returns no time.
    """
    if failure.tries >= failure.most_tries:
        return None
    try:
        is_transient = policy.is_transient(failure.raised, timed_out=failure.timed_out)
    except Exception as exc:
        raise ValueError(f"retry_on and give_up_on can't be compared: {safe_repr(exc)}") from exc
    if not is_transient:
        return None
    delay_ms = max(_pause_ms(policy, failure), *_wishes_ms(failure.raised), 0)
    if failure.waited_ms + delay_ms > policy.retry_for_s * 1000:
        return None
    return delay_ms


def _wishes_ms(exc: BaseException) -> Iterator[int]:
    """How long those wait that are in a group and have said it themselves."""
    for one in leaves_of(exc):
        if isinstance(one, Retry):
            yield one.defer_score or 0


def _pause_ms(policy: RetryPolicy, failure: Failure) -> int:
    try:
        found = policy.backoff(failure.tries, failure.raised)
    except BaseException as exc:
        if asks_to_stop(exc):
            raise
        raise ValueError(f"backoff raised {safe_repr(exc)}{_place(exc)}") from exc
    pause_s = to_seconds(found) if isinstance(found, timedelta) else found
    if not is_number(pause_s) or not 0 <= pause_s <= LONGEST_S:
        if iscoroutine(found):
            found.close()
        raise ValueError(f"backoff returned {safe_repr(found)}, which is no time in seconds from 0 on")
    return to_ms(pause_s)


def _place(exc: BaseException) -> str:
    """Where it was raised."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"


def leaves_of(exc: BaseException) -> Iterator[BaseException]:
    """What is in a group, however deep; of all others, they themselves."""
    if isinstance(exc, BaseExceptionGroup):
        for one in exc.exceptions:
            yield from leaves_of(one)
    else:
        yield exc
