"""How many bytes go to Redis at a time, and how many a single item may have.

Redis runs one script at a time: while it stores 4 MB nobody else is served for some 4 ms, about as long as a script
with 500 small items takes. (100 results of 1 MB in one script: 0.2 s.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

#: Items, and bytes, in one call of a script at most; a larger item goes alone.
MOST_ITEMS = 500
MOST_BYTES = 4 * 1024 * 1024
#: Items up to this size are taken by every server: neither setting of Redis's can be lower than 1 MiB.
ALWAYS_TAKEN = 1_000_000
#: What Redis takes unless it was told otherwise, and what we go by where it may not be asked.
_DEFAULT_LIMIT = 512 * 1024 * 1024
#: Items of the first page of a list, whose size nobody knows; how much larger a page is at most than the one before.
_FIRST_PAGE, _GROWTH = 20, 4
#: An item lies in the buffer of the connection together with the end of its line.
_LINE_END = 2
#: The settings that limit an item, and how much larger than the item they must be.
_SETTINGS = {"proto-max-bulk-len": 0, "client-query-buffer-limit": _LINE_END}
_ASK = tuple(("CONFIG", "GET", name) for name in _SETTINGS)


def fitting(sizes: Iterable[int], most_items: int = MOST_ITEMS, most_bytes: int = MOST_BYTES) -> int:
    """How many of the first items go out together: one at least."""
    count = total = 0
    for size in sizes:
        total += size
        if count and (total > most_bytes or count == most_items):
            break
        count += 1
    return count


class PageSize:
    """How many values to read from Redis at a time, so that they have a few MB: as many as the last ones tell.

    Args:
        first: values of the first page.
        least: values at a time, however large they are.

    Attributes:
        count: values of the next page.
    """

    def __init__(self, first: int, least: int = 1) -> None:
        self._least = least
        self.count = first

    def had(self, sizes: Sequence[int]) -> None:
        """Tell how many bytes the values of the last page had."""
        if not sizes:
            return
        fair = len(sizes) * MOST_BYTES // max(1, sum(sizes))
        self.count = max(self._least, min(fair, MOST_ITEMS, self.count * _GROWTH))


class Pages(PageSize, Generic[Item]):
    """A list in pages whose values are read from Redis: a few MB at a time. Each page's sizes are to be told.

    Args:
        items: the list.
    """

    def __init__(self, items: list[Item]) -> None:
        super().__init__(_FIRST_PAGE)
        self._items = items

    def __iter__(self) -> Iterator[list[Item]]:
        begin = 0
        while begin < len(self._items):
            page = self._items[begin : begin + self.count]
            begin += len(page)
            yield page


class SizeLimit:
    """What the server takes. It is asked whenever there is something large to send: settings may change."""

    def __init__(self) -> None:
        self._is_secret = False

    async def ask(self, send: Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]) -> int:
        """The most bytes that one item may have.

        Args:
            send: sends commands and returns their answers; what Redis refuses as an exception in the list.
        """
        if self._is_secret:
            return _DEFAULT_LIMIT
        answers = await send(_ASK)
        limits = [
            limit - more
            for answer, more in zip(answers, _SETTINGS.values(), strict=True)
            if (limit := _number(answer)) is not None
        ]
        self._is_secret = not limits
        return min(limits, default=_DEFAULT_LIMIT)


def _number(answer: Any) -> int | None:
    """The value in an answer to CONFIG GET; None: it was refused, or the server has no such setting."""
    values = (
        list(answer.values()) if isinstance(answer, dict) else answer[1:2] if isinstance(answer, list) else []
    )
    try:
        return int(values[0]) or None
    except (IndexError, ValueError, TypeError):
        return None


def too_large(size: int, limit: int) -> str:
    """The text that says so."""
    return f"{size} bytes, Redis takes {limit} at most"
