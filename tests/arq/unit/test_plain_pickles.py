"""Pickles without pickling: the bytes are pickle's own, and what is not as usual is left to it."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest

from arq._payloads import plain_pickles

NOW_MS = 1_764_000_000_000


@pytest.fixture(autouse=True)
def nothing_noted() -> Iterator[None]:
    for cache in (plain_pickles._heads, plain_pickles._results):
        cache.clear()
    yield
    for cache in (plain_pickles._heads, plain_pickles._results):
        cache.clear()


def job(name: Any = "work", protocol: int | None = None, **changed: Any) -> bytes:
    return pickle.dumps({"t": None, "f": name, "a": (), "k": {}, "et": NOW_MS} | changed, protocol)


@pytest.mark.parametrize(
    "name", ["work", "a", "f", "et", "Zeit für Ü", "\ud800", "n" * 300, "%s\x8a\x06", ""]
)
def test_a_job_is_read_as_the_one_before_it(name: str) -> None:
    assert plain_pickles.read_job(job(name)) is None
    plain_pickles.note_job(job(name), name)
    for later_ms in (NOW_MS + 1, NOW_MS + 10**9, 1 << 39, (1 << 47) - 1):
        assert plain_pickles.read_job(job(name, et=later_ms)) == (name, later_ms)
    assert plain_pickles.read_job(job(name + "x")) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"a": (1,)},
        {"k": {"x": 1}},
        {"t": 2},
        {"et": 5},
        {"et": -NOW_MS},
        {"et": 1 << 47},
        {"et": float(NOW_MS)},
        {"x": 1},
    ],
)
def test_what_is_no_such_job_is_left_to_pickle(changed: dict[str, Any]) -> None:
    plain_pickles.note_job(job(), "work")
    assert plain_pickles.read_job(job(**changed)) is None


@pytest.mark.parametrize(
    "written",
    [
        job(a=[]),
        job(k=OrderedDict()),
        job(protocol=2),
        job(et=5),
        b"",
        b"u.",
        job()[:-2] + b"t.",
    ],
)
def test_what_pickle_would_write_in_another_way_is_not_noted(written: bytes) -> None:
    plain_pickles.note_job(written, "work")
    assert plain_pickles.read_job(written) is None


def test_a_name_that_is_more_than_text_is_not_noted() -> None:
    class Name(str):
        __slots__ = ()

    plain_pickles.note_job(job(), Name("work"))
    assert plain_pickles.read_job(job()) is None


def results(**changed: Any) -> tuple[bytes | None, bytes]:
    """A result as it is written here, and as pickle writes it."""
    say: dict[str, Any] = {"f": "work", "t": 1, "et": NOW_MS, "r": None, "st": NOW_MS + 7, "ft": NOW_MS + 300}
    say |= {"q": "arq:queue", "id": "0123456789abcdef0123456789abcdef"} | changed
    data = {"t": say["t"], "f": say["f"], "a": (), "k": {}, "et": say["et"], "s": True, "r": say["r"]}
    data |= {key: say[key] for key in ("st", "ft", "q", "id")}
    names = ["f", "t", "et", "r", "st", "ft", "q", "id"]
    return plain_pickles.write_result(*(say[name] for name in names)), pickle.dumps(data)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"r": True},
        {"r": False},
        {"t": 300},
        {"f": "id", "q": "q"},
        {"f": "x", "q": "ft"},
        {"q": "####", "id": "##"},
        {"id": "Ü" * 100},
        {"id": "i" * 255},
        {"id": "%s\x8a\x06"},
        {"et": 1 << 39, "st": (1 << 47) - 1, "ft": 1 << 46},
        {"et": NOW_MS, "st": NOW_MS, "ft": NOW_MS},
    ],
)
def test_a_result_is_written_as_pickle_does(changed: dict[str, Any]) -> None:
    for _ in range(2):
        ours, pickled = results(**changed)
        assert ours == pickled
    for number in range(3):  # by the same template
        ours, pickled = results(**changed | {"ft": NOW_MS + number})
        assert ours == pickled


@pytest.mark.parametrize(
    "changed", [{"id": "i"}, {"id": ""}, {"id": "i" * 256}, {"et": 5}, {"st": 0}, {"ft": 1 << 47}, {"et": -1}]
)
def test_an_odd_result_is_left_to_pickle(changed: dict[str, Any]) -> None:
    ours, _ = results(**changed)
    assert ours is None


def test_no_more_is_kept_than_is_good() -> None:
    for number in range(2 * plain_pickles._MOST_KEPT):
        name = f"work{number}"
        plain_pickles.note_job(job(name), name)
        ours, pickled = results(f=name)
        assert ours == pickled
    assert 0 < len(plain_pickles._heads) <= plain_pickles._MOST_KEPT
    assert 0 < len(plain_pickles._results) <= plain_pickles._MOST_KEPT
