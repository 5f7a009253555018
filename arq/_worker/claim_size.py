"""How many jobs a claim asks for: half of the places, or all of them where jobs end as soon as they have begun."""

from __future__ import annotations

import asyncio

from .context import Context

#: With more places than these, half of them are enough to share the cost of an exchange.
_FEW_PLACES = 40
#: Jobs are short if a turn of the event loop, in s, is enough for all that a claim has brought.
_SHORT_TURN_S = 0.005
#: So many claims go by before jobs that were not short are tried again.
_CLAIMS_BETWEEN_TRIALS = 16


class ClaimSize:
    """Judges by the jobs of the last claims.

    Usually half of the places is filled while the jobs in the other half run: Redis and the worker work at the same
    time. Where there are few places and jobs take less time than it takes to ask for others, that would be a round
    trip for each few jobs: then all that were taken end first, and one exchange carries them all.

    Args:
        context: the worker's.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._begun = self._claims_to_go = 0
        self._are_short = self._was_long = False

    def begun(self, count: int) -> None:
        """So many jobs have just been started."""
        self._begun += count

    def most(self) -> int:
        """For how many jobs to ask at most."""
        places = self._context.options.max_jobs
        return places if self._are_short else (places + 1) // 2

    async def let_short_jobs_end(self) -> None:
        """Let what was started have its first turn, if that is expected to be enough for it."""
        begun, self._begun = self._begun, 0
        context = self._context
        if not begun or context.options.max_jobs > _FEW_PLACES:
            self._are_short = False
            return
        if self._claims_to_go:
            self._claims_to_go -= 1
            return
        ended, now_s = context.jobs.ended(), context.clock()
        await asyncio.sleep(0)
        was_long, self._was_long = self._was_long, context.clock() - now_s > _SHORT_TURN_S
        have_ended = context.jobs.ended() - ended >= begun / 2
        self._are_short = have_ended and not (
            was_long and self._was_long
        )  # one alone may be the machine's fault
        if not self._are_short:
            self._claims_to_go = _CLAIMS_BETWEEN_TRIALS
