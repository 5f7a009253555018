"""The endings of jobs that Redis does not have yet."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from .._endings import Done, Ending
from .._redis import batch_sizes
from . import job_log
from .batches import Batches


class Batch(NamedTuple):
    """What is written together.

    Attributes:
        endings: how jobs ended.
        written: to be resolved when they are written; None if others must be written for that, too.
    """

    endings: list[Ending]
    written: asyncio.Future[None] | None


def sizes(endings: Sequence[Ending]) -> list[int]:
    """How many bytes their results have."""
    return [len(ending.result) if isinstance(ending, Done) else 0 for ending in endings]


def _resolve(future: asyncio.Future[None], _: object = None) -> None:
    if not future.done():
        future.set_result(None)


class Outbox:
    """Keeps endings until Redis has them.

    Attributes:
        has_large: whether one may be larger than Redis takes.
        is_suspect: whether a write has failed, perhaps because of what was to be written.
        batches: which claims are open.
        given_up: id and claim of jobs of whose endings Redis takes nothing. They are nobody's until their locks lapse.
    """

    def __init__(self) -> None:
        self._endings: list[Ending] = []
        #: how many bytes their results have, at least
        self._bytes = 0
        self._repeated: set[str | bytes] = set()
        self._written: asyncio.Future[None] | None = None
        self.has_large = self.is_suspect = False
        self.batches = Batches()
        self.given_up: set[tuple[str | bytes, bytes]] = set()

    def __len__(self) -> int:
        return len(self._endings)

    def __iter__(self) -> Iterator[Ending]:
        return iter(self._endings)

    @property
    def is_repeating(self) -> bool:
        """Whether some of what is written next, or later, may be written already."""
        return bool(self._repeated)

    def add(self, ending: Ending) -> None:
        """Keep one more; the next exchange writes it."""
        self._endings.append(ending)
        if type(ending) is Done:
            size = len(ending.result)
            self._bytes += size
            if size > batch_sizes.ALWAYS_TAKEN:
                self.has_large = True

    def written(self) -> asyncio.Future[None]:
        """Done when everything that is here now is written."""
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        return self._written

    def take(self) -> Batch:
        """Take out what is written next: not too many, and not too much at a time."""
        if self._bytes <= batch_sizes.MOST_BYTES and len(self._endings) <= batch_sizes.MOST_ITEMS:
            taken, self._endings, self._bytes = self._endings, [], 0
        else:
            count = batch_sizes.fitting(sizes(self._endings[: batch_sizes.MOST_ITEMS]))
            taken, self._endings = self._endings[:count], self._endings[count:]
            self._bytes = sum(sizes(self._endings))
        written = None
        if not self._endings:
            written, self._written = self._written, None
        return Batch(taken, written)

    def put_back(self, batch: Batch) -> None:
        """Keep what was taken: it may not be written."""
        self._endings[:0] = batch.endings
        self._bytes += sum(sizes(batch.endings))
        self._repeated.update(ending.job_id for ending in batch.endings)
        if any(size > batch_sizes.ALWAYS_TAKEN for size in sizes(batch.endings)):
            self.has_large = True
        if batch.written is not None:
            if self._written is None:
                self._written = batch.written
            else:  # somebody asked anew meanwhile: both are answered by the same write
                self._written.add_done_callback(functools.partial(_resolve, batch.written))

    def settle(self, batch: Batch, late: Collection[int]) -> None:
        """Forget what was taken: it is written. Say which endings came too late.

        One that was sent twice may have been written the first time.

        Args:
            batch: what was taken.
            late: the indices of those that came too late.
        """
        for index in late:
            if batch.endings[index].job_id not in self._repeated:
                job_log.not_ours(batch.endings[index].job_id)
        self.batches.closed(batch.endings)
        if self._repeated:
            self._repeated.difference_update(ending.job_id for ending in batch.endings)
        if batch.written is not None:
            _resolve(batch.written)

    def cut_down(self, limit: int) -> None:
        """Replace results of more than `limit` bytes by a text that says so."""
        for index, ending in enumerate(self._endings):
            if isinstance(ending, Done) and len(ending.result) > limit:
                why = batch_sizes.too_large(len(ending.result), limit)
                small = self._endings[index] = replaced(ending, why, limit)
                job_log.result_replaced(small.job_id, why, is_kept=bool(small.result))
        self.has_large = False


def replaced(ending: Done, why: str, most_bytes: int) -> Done:
    """The same ending with a result of `most_bytes` at most that says why the real one is missing, or with none."""
    make, about = ending.smaller or (None, ())
    result = b"" if make is None else make(*about, why, most_bytes)
    return ending._replace(result=result if len(result) <= most_bytes else b"", smaller=None)
