"""Looks for results: one round trip for all who wait at the same time."""

from __future__ import annotations

from redis.exceptions import RedisError

from ._redis.batch_sizes import PageSize
from ._redis.enqueue_batcher import Batcher, send_apart
from ._redis.producer_connection import Lane
from .jobs import look_answers, look_commands

#: Jobs that are looked at together: before the size of results is known, and however large they are.
_FIRST, _LEAST = 100, 8
#: A job's id and queue; the bytes of its result, and whether it is in the queue.
_Wanted = tuple[str, str]
_Found = tuple[bytes | None, bool]


class Looks(Batcher[_Wanted, _Found]):
    """Looks at jobs, a few MB of results at a time.

    Args:
        lane: the way to Redis.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._page = PageSize(_FIRST, _LEAST)
        super().__init__(self._look_at, self._page.count)

    async def _look_at(self, wanted: list[_Wanted]) -> list[_Found | Exception]:
        """What there is of jobs: for each one an answer or an exception."""
        try:
            found = look_answers(await self._lane.commands(look_commands(wanted)))
        except RedisError as exc:
            return await send_apart(self._look_at, wanted, exc, self._lane.is_there)
        if len(wanted) > 1:
            self._page.had([len(one[0]) for one in found if isinstance(one, tuple) and one[0] is not None])
            self.most = self._page.count
        return found
