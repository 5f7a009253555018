"""Attributes of parts that a worker shows as its own."""

from __future__ import annotations

from arq._worker.forwarded_attributes import Forwarded


class Part:
    count = 1


class Whole:
    """Has a part."""

    number = Forwarded[int]("_part", "count", "How many.")

    def __init__(self) -> None:
        self._part = Part()


def test_it_is_read_and_set_where_the_part_has_it() -> None:
    whole = Whole()
    whole.number += 2
    assert (whole.number, whole._part.count, Part.count) == (3, 3, 1)
    assert Whole.number.__doc__ == "How many."
