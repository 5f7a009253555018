"""Payloads are read for operators without importing, calling or making anything that they name."""

from __future__ import annotations

import asyncio
import copyreg
import json
import pickle
import sys
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from arq._admin.restricted import UnreadableError, error_of, notes_of, read
from arq._admin.shown import FULL, SHORT, as_json, shown, shown_call
from arq._payloads.payload_format import PayloadFormat
from arq.codecs import JsonCodec, Keyring, MsgpackCodec

touched: list[str] = []


class Touchy:
    """Leaves a trace whatever is done with it."""

    def __init__(self) -> None:
        touched.append("made")

    def __reduce__(self) -> Any:
        return touch, ("called",)

    def __setstate__(self, state: Any) -> None:
        touched.append("state")


def touch(how: str) -> None:
    touched.append(how)


def job(*args: Any, **kwargs: Any) -> bytes:
    return pickle.dumps({"t": None, "f": "f", "a": args, "k": kwargs, "et": 1})


def arguments(data: bytes, bounds: Any = FULL) -> str:
    found = read(data)
    return shown_call(found["a"], found["k"], bounds)


# ---------------------------------------------------------------- nothing is called


def test_nothing_that_a_payload_names_is_called() -> None:
    payload = job(Touchy(), inner=[Touchy()])
    touched.clear()
    name = f"{touch.__module__}.touch('called')"
    assert arguments(payload) == f"{name}, inner=[{name}]"
    assert touched == []


def test_nothing_that_a_payload_names_is_imported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud_module.py").write_text("import builtins\nbuiltins.loud = True\nclass Loud: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    payload = b"\x80\x04}(\x8c\x01f\x8c\x01f\x8c\x01a\x8c\x0bloud_module\x8c\x04Loud\x93)\x81\x85\x8c\x01k}u."
    assert arguments(payload) == "loud_module.Loud()"
    assert "loud_module" not in sys.modules


def test_nothing_that_outlives_the_reading_can_be_changed() -> None:
    """A pickle may set attributes of what it was given for `getattr`."""
    for state in (b"}\x8c\x04evil\x8c\x03xxxs", b"N}\x8c\x04evil\x8c\x03xxxs\x86"):
        with pytest.raises(UnreadableError):
            read(b"\x80\x04}\x8c\x01fcbuiltins\ngetattr\n" + state + b"bs.")


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(protocol: int) -> None:
    payload = pickle.dumps({"f": "f", "a": (1, "a", Touchy()), "k": {}}, protocol)
    touched.clear()
    if protocol < 2:  # arq has never written these
        with pytest.raises(UnreadableError, match="neither pickle nor JSON"):
            read(payload)
    else:
        assert arguments(payload).startswith("1, 'a', ")
    assert touched == []


def test_extension_codes_name_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    copyreg.add_extension(__name__, "touch", 240)
    try:
        call = b"\x82\xf0X\x01\x00\x00\x00x\x85R\x85"
        payload = b"\x80\x02}(X\x01\x00\x00\x00fX\x01\x00\x00\x00fX\x01\x00\x00\x00a" + call + b"u."
        touched.clear()
        assert read(payload)["f"] == "f"
        assert touched == []
    finally:
        copyreg.remove_extension(__name__, "touch", 240)


# ---------------------------------------------------------------- broken and hostile bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x04.",
        b"\x80\x04N.",
        b"\x80\x63N.",
        job(1)[:-3],
        b"{",
        b"{]",
        b"[1]",
        b"\x93\x01",
        b"\xff" * 100,
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"\x80\x04Nr\xff\xff\xff\x7f.",
        b"\x80\x04Np99999999999\n.",
        b"\x80\x04N" + b"\x85" * 200_000 + b".",
        b"\x80\x04]" + b"\x85" * 200_000 + b"}" + b".",
        b"\x80\x04(((t.",
        b"\x80\x04K\x01K\x01R.",
        b"\x80\x04}}}b.",
        b"\x80\x05\x97.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
)
def test_broken_bytes_are_refused_with_a_line(data: bytes) -> None:
    with pytest.raises(UnreadableError) as refusal:
        read(data)
    assert str(refusal.value)
    assert "\n" not in str(refusal.value)[:200]


def test_what_has_no_end_is_shown_in_short() -> None:
    billion: Any = ["ha"] * 10
    for _ in range(10):
        billion = [billion] * 10
    endless: list[Any] = []
    endless.append(endless)
    for bounds in (SHORT, FULL):
        found = read(job(billion, endless, "x" * 1_000_000, 10**50_000, {n: n for n in range(100_000)}))
        assert len(shown_call(found["a"], found["k"], bounds)) < 100_000
        assert len(json.dumps(as_json(found["a"], bounds))) < 100_000


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (None, "None"),
        ("it's", '"it\'s"'),
        (b"ab", "b'ab'"),
        ([1, (2,), {3}, {"a": {}}], "[1, (2,), {3}, {'a': {}}]"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02T03:04:05.000006+00:00"),
        (datetime(2026, 1, 2, tzinfo=ZoneInfo("Asia/Tokyo")), "2026-01-02T00:00:00 Asia/Tokyo"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(hours=1), "1:00:00"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (OrderedDict(a=1), "collections.OrderedDict({'a': 1})"),
        (deque([1, 2]), "collections.deque([1, 2])"),
        (ValueError("no"), "ValueError('no')"),
        ("a\nb\x1b[31m", r"'a\nb\x1b[31m'"),
    ],
)
def test_values_are_shown_as_people_know_them(value: Any, text: str) -> None:
    assert shown(read(job(value))["a"][0]) == text


def test_json_has_what_it_has_words_for() -> None:
    found = read(job([1, 2.5, None, True, "a"], {"b": (3,)}, float("nan"), Decimal(1), {4: 5}))
    assert as_json(found["a"]) == [[1, 2.5, None, True, "a"], {"b": [3]}, "nan", "1", {"4": 5}]


def test_payloads_in_json_are_read() -> None:
    assert arguments(json.dumps({"f": "f", "a": [1, "x"], "k": {"b": None}}).encode()) == "1, 'x', b=None"


def test_errors_have_a_type_and_a_text() -> None:
    error = KeyError("lost")
    error.add_note("a note")
    raw = read(pickle.dumps({"r": error}))["r"]
    assert error_of(raw) == ("KeyError", "lost")
    assert notes_of(raw) == ["a note"]


# ---------------------------------------------------------------- codecs


@pytest.mark.parametrize("make", [JsonCodec, MsgpackCodec])
def test_tags_are_shown_as_values(make: type[JsonCodec | MsgpackCodec]) -> None:
    """What would be made of the application's classes is named, as of pickles, and not made."""
    value = [(1,), {2}, b"x", uuid.UUID(int=3), Decimal("1.0"), date(2026, 1, 2), {1: "a"}, Plain(4)]
    data = make().dumps({"t": None, "f": "f", "a": (value,), "k": {"e": ValueError("no")}, "et": 1})
    name = f"{Plain.__module__}.Plain"
    assert arguments(data) == (
        "[(1,), {2}, b'x', UUID('00000000-0000-0000-0000-000000000003'), Decimal('1.0'), datetime.date(2026, 1, 2), "
        f"{{1: 'a'}}, {name}(x=4)], e=ValueError('no')"
    )
    raised = read(make().dumps({"r": LookupError("gone")}))["r"]
    assert error_of(raised) == ("LookupError", "gone")
    cancelled = read(make().dumps({"r": asyncio.CancelledError()}))["r"]
    assert shown(cancelled) == "asyncio.exceptions.CancelledError()"


@dataclass
class Plain:
    x: int


def test_what_is_signed_is_shown_and_what_is_encrypted_is_not() -> None:
    keys = Keyring({"k1": "1" * 32})
    codec = JsonCodec()
    for encrypt in (False, True):
        how = PayloadFormat(codec, [codec], keys, encrypt=encrypt)
        found = read(how.write_job("f", (1,), {}, None, 5, "id", "queue"))
        assert (found["f"], found["et"], found.get("encrypted", False)) == ("f", 5, encrypt)
        assert ("a" in found) is not encrypt
    for broken in (b"\x01", b"\x01\x02", b"\x01\x01j\x02k2\x00"):
        with pytest.raises(UnreadableError, match="envelope"):
            read(broken)
