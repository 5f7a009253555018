"""What the first and the last bytes of large payloads say, whoever has written them."""

from __future__ import annotations

import json
import pickle
import uuid
from typing import Any

import pytest

from arq._admin.preview import HEAD, MORE, preview_of, read_part
from arq._admin.restricted import UnreadableError
from arq._payloads.keyring import Keyring
from arq._payloads.payload_format import PayloadFormat
from arq.codecs import JsonCodec, MsgpackCodec
from arq.jobs import serialize_job

ROWS = [{"id": number, "name": f"name-{number}"} for number in range(2000)]
LONG = "é" * 5000
NOW_MS = 1_700_000_000_123


def call(*args: Any, **kwargs: Any) -> dict[str, Any]:
    payload = serialize_job("f", args, kwargs, 3, NOW_MS)
    assert len(payload) > HEAD
    found = read_part(preview_of(payload))
    assert (found["t"], found["f"], found["et"], found[MORE]) == (3, "f", NOW_MS, True)
    return found


@pytest.mark.parametrize("before", [(), (1,), (1, "two"), (1, "two", 3, 4.0), ((1, 2),)])
def test_the_first_arguments_of_a_pickle(before: tuple[Any, ...]) -> None:
    *first, rows = call(*before, ROWS)["a"]
    assert tuple(first) == before
    assert rows[:-1] == ROWS[: len(rows) - 1]
    assert len(rows) > 10
    *first, text = call(*before, LONG, "more")["a"]
    assert tuple(first) == before
    assert LONG.startswith(text)
    assert len(text) > 100


def test_arguments_with_names() -> None:
    found = call(1, rows=ROWS)
    assert found["a"] == (1,)
    assert found["k"]["rows"][:3] == ROWS[:3]
    found = call(a={"b": {"c": list(range(9000))}}, z=1)
    assert found["k"]["a"]["b"]["c"][:3] == [0, 1, 2]
    assert call([LONG])["a"][0][0][:10] == LONG[:10]


def test_objects_are_neither_made_nor_called() -> None:
    (items,) = call([uuid.uuid4() for _ in range(500)])["a"]
    assert repr(items[0]).startswith("uuid.UUID(")

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("it was called",)

    payload = pickle.dumps({"t": 1, "f": "f", "a": (Evil(), LONG), "k": {}, "et": 1})
    assert "print" in repr(read_part(preview_of(payload))["a"])


@pytest.mark.parametrize(
    "written",
    [
        b"\x80\x05\x96" + (1 << 50).to_bytes(8, "little") + b"x" * 5000,
        b"\x80\x04\x95" + b"\xff" * 5000,
        b"\x80\x05}\x94(" * 1000,
        b"\x80\x05" + b"\x85" * 5000,
        b"\x80\x05}\x94(X" + b"\xff\xff\xff\x7f" + b"f" * 5000,
        b"{" * 5000,
        b'{"f": ' + b"[" * 5000,
        b"\x8a" * 5000,
        b"\xff" * 5000,
        b"\xa1\x01" + b"\x00" * 5000,
    ],
)
def test_nonsense(written: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_part(preview_of(written))


@pytest.mark.parametrize("codec", [JsonCodec(), MsgpackCodec()], ids=["json", "msgpack"])
@pytest.mark.parametrize("keyring", [None, Keyring({"k1": "x" * 40})], ids=["plain", "signed"])
def test_other_codecs(codec: Any, keyring: Keyring | None) -> None:
    form = PayloadFormat(codec, [codec], keyring)
    payload = form.write_job("f", (1, ROWS), {}, None, NOW_MS, "one", "q")
    found = read_part(preview_of(payload))
    assert found["f"] == "f"
    assert found.get("et") in (None, NOW_MS)


def test_json_without_an_end() -> None:
    found = read_part(preview_of(json.dumps({"t": 1, "f": "f", "a": [LONG], "k": {}, "et": NOW_MS}).encode()))
    assert found | {"a": []} == {"t": 1, "f": "f", "a": [], "et": NOW_MS, MORE: True}
    data = {"t": 1, "f": "f", "a": [7, {"b": [1]}, "x" * 5000], "k": {}, "et": NOW_MS}
    for separators in ((",", ":"), (", ", ": ")):
        found = read_part(preview_of(json.dumps(data, separators=separators).encode()))
        *first, text = found["a"]
        assert first == [7, {"b": [1]}]
        assert set(text) == {"x"}
    assert read_part(preview_of(json.dumps({**data, "a": [ROWS]}).encode()))["a"] == []
