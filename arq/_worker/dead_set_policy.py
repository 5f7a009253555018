"""Which jobs go into the dead set of their queue, and with what. No I/O."""

from __future__ import annotations

from typing import Protocol

from .._dead_letters import DeadLetter, error_text, kind_of, traceback_text
from .._endings import Burial
from .._errors import PayloadRefused
from .._function import Function
from ..utils import LONGEST_S, to_ms
from .attempt import Attempt, Outcome, Verdict


class Defaults(Protocol):
    """What functions that say nothing of their own get: the options of the worker."""

    keep_result_s: float
    keep_result_forever: bool
    dead_letter: bool
    dead_max: int
    dead_ttl_s: float

    @property
    def worker_id(self) -> str:
        """Who the worker is."""


def keep_result_ms(attempt: Attempt, defaults: Defaults) -> int | None:
    """How long to keep the result; 0: not at all, None: for ever."""
    forever, keep_s = defaults.keep_result_forever, defaults.keep_result_s
    function = attempt.function
    if function is not None:
        if function.keep_result_forever is not None:
            forever = function.keep_result_forever
        if function.keep_result_s is not None:
            keep_s = function.keep_result_s
    return None if forever or keep_s > LONGEST_S else round(keep_s * 1000) if keep_s > 0 else 0


def dies(outcome: Outcome, defaults: Defaults) -> bool:
    """Whether a job goes into the dead set: it has failed for good, there is something to keep, and it is wanted."""
    attempt = outcome.attempt
    if outcome.verdict is not Verdict.FAILED or attempt.job.payload is None:
        return False
    function = attempt.function
    wanted = None if not isinstance(function, Function) else function.dead_letter
    if wanted is None:
        # what was refused is kept also where no results are: nobody may have meant it to be lost
        is_refused = isinstance(attempt.problem, PayloadRefused)
        return defaults.dead_letter and (is_refused or keep_result_ms(attempt, defaults) != 0)
    return wanted


def burial_of(outcome: Outcome, defaults: Defaults) -> Burial | None:
    """What the dead set gets of a job; None: nothing."""
    if not dies(outcome, defaults):
        return None
    attempt, error = outcome.attempt, outcome.value
    letter = DeadLetter(
        attempt.function_name,
        error_text(error),
        kind_of(error),
        traceback_text(error) if isinstance(error, BaseException) else "",
        attempt.job_try,
        attempt.enqueue_ms,
        attempt.start_ms,
        outcome.finish_ms,
        defaults.worker_id,
    )
    return Burial(letter.encoded(), letter.tries, defaults.dead_max, to_ms(defaults.dead_ttl_s))


def error_of_try(outcome: Outcome) -> bytes:
    """Why a try has failed that is followed by another one; b"" where that is no failure."""
    if outcome.verdict is not Verdict.RETRY or outcome.snoozed or not outcome.note:
        return b""
    return error_text(outcome.value).encode(errors="backslashreplace")
