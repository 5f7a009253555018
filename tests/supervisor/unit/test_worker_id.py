"""Ids of workers, written and read in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.worker_id import WorkerId, parse_worker_id

word = st.text(max_size=8).map(lambda text: text.replace(":", "."))


@given(st.builds(WorkerId, st.text(max_size=8), word, st.integers(0, 10**6), word))
def test_what_was_written_is_read(worker: WorkerId) -> None:
    assert parse_worker_id(str(worker)) == worker


@pytest.mark.parametrize(
    "text", ["", "host:4711:0badcafe", "pool:host:x:nonce", "p:h:\u00b2:n", "p:h::n", f"p:h:{'9' * 5000}:n"]
)
def test_other_ids_are_no_ids_of_ours(text: str) -> None:
    """A worker without a supervisor is called `host:pid:nonce`: its pid is no slot."""
    assert parse_worker_id(text) is None
