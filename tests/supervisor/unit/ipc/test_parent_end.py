"""What the parent makes of what children write: they run user code, so it may be anything."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.ipc.frames import LONGEST_ORDER_BYTES, Decoder, encode
from supervisor.ipc.messages import FROM_CHILD, MOST_IDS, ReleasedMessage, brief_ids
from supervisor.ipc.parent_end import ParentEnd
from supervisor.pool.events import Beat, Ready, Role

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "c",
    "f",
    "r",
    "o",
    "q",
    "lag_ms",
    "jobs",
    "rows",
    "ids",
    "n",
    "paths",
    "depth",
    "max_jobs",
    "functions",
]


def said(data: bytes) -> list[object]:
    """What the parent understands of it."""
    life_fd, other_fd = os.pipe()
    link = ParentEnd(1, Role.WORKER, life_fd)
    try:
        os.write(link.child_pipes.beat_fd, data)
        events, is_open = link.read()
        assert is_open
        return list(events)
    finally:
        link.close()
        os.close(life_fd)
        os.close(other_fd)


@given(st.sampled_from(sorted(FROM_CHILD)), st.dictionaries(st.sampled_from(NAMES), json_values, max_size=5))
def test_nothing_that_a_child_says_ends_the_supervisor(kind: str, body: dict[str, object]) -> None:
    said(encode(kind, body))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "Infinity"])
def test_a_number_that_is_none_counts_as_absent(number: str) -> None:
    (beat,) = said(b'{"v":1,"t":"beat","c":%s,"lag_ms":%s}\n' % (number.encode(), number.encode()))
    assert isinstance(beat, Beat)
    assert beat.counts.complete == beat.lag_ms == 0
    (ready,) = said(b'{"v":1,"t":"ready","max_jobs":%s}\n' % number.encode())
    assert isinstance(ready, Ready)


def test_lines_that_could_not_be_read_are_counted() -> None:
    life_fd, other_fd = os.pipe()
    link = ParentEnd(1, Role.WORKER, life_fd)
    os.write(link.child_pipes.beat_fd, b"what a job prints\n{}\n")
    link.read()
    assert link.dropped == 2
    link.close()
    os.close(life_fd)
    os.close(other_fd)


def test_a_large_pool_is_not_too_much_for_its_steward() -> None:
    data = encode("status", {"workers": [{"job": "\u00e4" * 100} for _ in range(5000)]})
    assert not list(Decoder().feed(data))
    assert len(list(Decoder(LONGEST_ORDER_BYTES).feed(data))) == 1


def test_ids_fit_into_a_message() -> None:
    told = ReleasedMessage("w", brief_ids(["\u00e4" * 3000] * 1000), count=1000)
    (frame,) = Decoder().feed(told.encode())
    assert len(ReleasedMessage.read(frame).job_ids) == MOST_IDS
