"""A claim of one job that is sent behind a wait for a token: the job comes with the token, without a round trip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._redis import scripts
from .._redis.scripts import ClaimAnswer, Refusal
from .._redis.without_lua import has_no_scripts, is_not_known
from .commit_and_claim import Exchange


class WaitingClaim:
    """One at a time.

    Args:
        exchange: gives the exchange of the worker, which has to know what becomes of the claim.
    """

    def __init__(self, exchange: Callable[[], Exchange]) -> None:
        self._exchange = exchange
        #: the epoch in which the claim was made
        self._epoch = 0

    def command(self) -> tuple[Any, ...] | None:
        """The command; None: not now. Its answer goes to `answered`; if none comes, `lost` must be told."""
        exchange = self._exchange()
        if exchange.claim_lost or exchange.has_endings:
            return None
        self._epoch = exchange.epoch
        return exchange.claim_one_behind_a_wait().by_sha()

    def answered(self, raw: Any) -> ClaimAnswer | None:
        """What it brought; None: it was refused or does not count, an ordinary exchange must ask."""
        if isinstance(raw, Exception):
            if not (is_not_known(raw) or has_no_scripts(raw)):
                self.lost()
            return None
        answer, exchange = scripts.read_claim(raw), self._exchange()
        # If we have asked since what is ours, the answer to that has this job, too, or it is over already.
        if isinstance(answer, Refusal) or self._epoch != exchange.epoch:
            return None
        return exchange.accept(answer, answer.begin_at)

    def lost(self) -> None:
        """No answer will come."""
        self._exchange().ask_what_is_ours()
