"""Frames on a pipe, however the pipe cuts them."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.ipc.frames import Decoder, Frame, encode


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=3), max_size=8
    ),
    st.data(),
)
def test_frames_survive_any_cutting(bodies: list[dict[str, Any]], data: st.DataObject) -> None:
    bodies = [{key: value for key, value in body.items() if key not in ("v", "t")} for body in bodies]
    stream = b"".join(encode("k", body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = Decoder()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame.body for piece in pieces for frame in decoder.feed(piece)] == bodies


@given(st.binary(max_size=400))
def test_nonsense_in_a_pipe_raises_nothing(noise: bytes) -> None:
    decoder = Decoder(longest_line_bytes=50)
    list(decoder.feed(noise))
    assert list(decoder.feed(b"\n" + encode("ok", {})))[-1:] == [Frame("ok", {})]


def test_a_line_without_an_end_is_dropped() -> None:
    decoder = Decoder(longest_line_bytes=100)
    for _ in range(1000):
        assert list(decoder.feed(b"x" * 64)) == []
    assert [frame.kind for frame in decoder.feed(b"\n" + encode("beat", {}))] == ["beat"]
    assert decoder.dropped == 1
