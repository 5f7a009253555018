"""What a worker keeps until Redis has it: how much goes out at a time, and what is too much."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from arq._endings import Done
from arq._redis.batch_sizes import ALWAYS_TAKEN, MOST_BYTES, MOST_ITEMS, Pages, SizeLimit, fitting
from arq._worker.unwritten_endings import Outbox, replaced, sizes


def ending(job_id: str, size: int) -> Done:
    return Done(job_id, b"stamp", bytes(size), 1000, smaller=(lambda why, most: why.encode(), ()))


@given(st.lists(st.integers(0, 40), max_size=50), st.integers(1, 10), st.integers(1, 100))
def test_what_fits_is_as_much_as_may_be_and_one_at_least(sizes: list[int], items: int, most: int) -> None:
    count = fitting(sizes, items, most)
    assert count <= min(items, len(sizes))
    assert count >= min(1, len(sizes))
    assert count <= 1 or sum(sizes[:count]) <= most
    assert count == min(items, len(sizes)) or sum(sizes[: count + 1]) > most


def test_endings_go_out_a_few_megabytes_at_a_time() -> None:
    outbox = Outbox()
    for number in range(10):
        outbox.add(ending(str(number), MOST_BYTES // 4))
    taken = []
    while outbox:
        batch = outbox.take()
        assert sum(sizes(batch.endings)) <= MOST_BYTES
        taken += [one.job_id for one in batch.endings]
    assert taken == [str(number) for number in range(10)]


def test_endings_go_out_so_many_at_a_time() -> None:
    outbox = Outbox()
    for number in range(2 * MOST_ITEMS + 1):
        outbox.add(ending(str(number), 1))
    assert [len(outbox.take().endings) for _ in range(3)] == [MOST_ITEMS, MOST_ITEMS, 1]


async def test_written_is_said_when_the_last_part_is() -> None:
    outbox = Outbox()
    for name in ("a", "b"):
        outbox.add(ending(name, MOST_BYTES))
    written = outbox.written()
    outbox.settle(outbox.take(), [])
    assert not written.done()
    last = outbox.take()
    outbox.put_back(last)
    assert not written.done()
    outbox.settle(outbox.take(), [])
    assert written.done()


def test_what_is_too_large_is_replaced_and_the_rest_stays() -> None:
    outbox = Outbox()
    for name, size in (("small", 10), ("large", ALWAYS_TAKEN + 1)):
        outbox.add(ending(name, size))
        assert outbox.has_large is (name == "large")
    outbox.cut_down(ALWAYS_TAKEN)
    assert [(one.job_id, one.result) for one in outbox if isinstance(one, Done)] == [
        ("small", bytes(10)),
        ("large", b"1000001 bytes, Redis takes 1000000 at most"),
    ]


def test_a_reason_that_is_too_large_itself_is_left_out() -> None:
    assert replaced(ending("id", 100), "a long reason", 5).result == b""
    assert replaced(replaced(ending("id", 100), "why", 5), "again", 5).result == b""


@given(st.lists(st.integers(0, 3 * MOST_BYTES), max_size=300))
def test_pages_hold_a_list_and_follow_the_size_of_its_values(values: list[int]) -> None:
    pages, seen = Pages(values), []
    for page in pages:
        assert page
        assert len(page) <= MOST_ITEMS
        seen += page
        pages.had(page)
    assert seen == values


@pytest.mark.parametrize(
    ("size", "expected"), [(1, MOST_ITEMS), (MOST_BYTES // 10, 10), (10 * MOST_BYTES, 1)]
)
def test_a_page_has_a_few_megabytes(size: int, expected: int) -> None:
    pages, lengths = Pages([size] * 5000), []
    for page in pages:
        lengths.append(len(page))
        pages.had(page)
    assert lengths[0] <= 20
    assert set(lengths[4:-1]) <= {expected, expected + 1}


@pytest.mark.parametrize(
    ("bulk", "buffer", "limit"),
    [
        ([b"proto-max-bulk-len", b"5000"], [b"client-query-buffer-limit", b"9000"], 5000),
        ({b"proto-max-bulk-len": b"9000"}, {b"client-query-buffer-limit": b"5000"}, 4998),
        (["proto-max-bulk-len", "5000"], [], 5000),
        ({}, ["client-query-buffer-limit", "5000"], 4998),
        (ResponseError("unknown command"), ResponseError("unknown command"), 512 * 1024 * 1024),
        (["proto-max-bulk-len", "much"], None, 512 * 1024 * 1024),
    ],
)
async def test_the_limit_is_the_smaller_setting_or_redis_default(bulk: Any, buffer: Any, limit: int) -> None:
    asked = 0

    async def send(commands: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        return [bulk, buffer]

    size_limit = SizeLimit()
    assert [await size_limit.ask(send) for _ in range(2)] == [limit, limit]
    assert asked == (1 if limit > 10_000 else 2)  # who does not say is not asked again
