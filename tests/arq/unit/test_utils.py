"""Conversions of time, short texts, dotted paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq import utils
from arq.constants import timezone_env_vars


@pytest.mark.parametrize(
    ("duration", "ms"),
    [
        (None, None),
        (0, 0),
        (1, 1000),
        (1.5, 1500),
        (0.0004, 0),
        (0.0005, 0),
        (0.0015, 2),
        (timedelta(days=1), 86_400_000),
        (-2, -2000),
    ],
)
def test_to_ms(duration: Any, ms: int | None) -> None:
    assert utils.to_ms(duration) == ms


def test_to_seconds() -> None:
    assert utils.to_seconds(None) is None
    assert utils.to_seconds(3) == 3
    assert utils.to_seconds(timedelta(minutes=1, milliseconds=1)) == 60.001


@given(st.integers(0, 253_000_000_000_000))
def test_unix_ms_and_back(unix_ms: int) -> None:
    moment = utils.ms_to_datetime(unix_ms)
    assert moment.tzinfo is UTC
    assert utils.to_unix_ms(moment) == unix_ms


def test_a_naive_datetime_is_local_time() -> None:
    naive = datetime(2026, 7, 1, 12)
    assert utils.to_unix_ms(naive) == utils.to_unix_ms(naive.astimezone())


@pytest.fixture
def no_cached_timezone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in timezone_env_vars:
        monkeypatch.delenv(name, raising=False)
    utils.get_tz.cache_clear()
    yield monkeypatch
    utils.get_tz.cache_clear()


@pytest.mark.parametrize("variable", ["ARQ_TIMEZONE", "arq_timezone", "TIMEZONE", "timezone"])
def test_the_timezone_of_infos_comes_from_the_environment(
    no_cached_timezone: pytest.MonkeyPatch, variable: str
) -> None:
    no_cached_timezone.setenv(variable, "Asia/Tokyo")
    assert utils.ms_to_datetime(0).isoformat() == "1970-01-01T09:00:00+09:00"


def test_the_first_variable_wins_and_an_unknown_timezone_is_named(
    no_cached_timezone: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    no_cached_timezone.setenv("ARQ_TIMEZONE", "Mars/Olympus")
    no_cached_timezone.setenv("timezone", "Asia/Tokyo")
    assert utils.get_tz() is UTC
    assert caplog.messages == ["unknown timezone: 'Mars/Olympus'"]
    assert os.environ["timezone"] == "Asia/Tokyo"  # noqa: SIM112  (that is one of its names)


@pytest.mark.parametrize("name", ["", "../etc/passwd", "Europe", "\x00"])
def test_an_odd_name_of_a_timezone_means_utc(no_cached_timezone: pytest.MonkeyPatch, name: str) -> None:
    no_cached_timezone.setattr(os, "environ", {"ARQ_TIMEZONE": name})
    assert utils.get_tz() is UTC


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, ""),
        ((1, "a"), {}, "1, 'a'"),
        ((), {"b": 1, "a": None}, "a=None, b=1"),
        (("x" * 100,), {"k": 1}, "'" + "x" * 78 + "…"),
    ],
)
def test_args_to_string(args: tuple[Any, ...], kwargs: dict[str, Any], text: str) -> None:
    assert utils.args_to_string(args, kwargs) == text


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


def test_an_argument_without_a_repr_is_no_obstacle() -> None:
    assert "Unspeakable" in utils.args_to_string((Unspeakable(),), {"a": 1})


@given(st.text("aä…", max_size=200), st.integers(1, 100))
def test_truncate(text: str, length: int) -> None:
    cut = utils.truncate(text, length)
    assert len(cut) <= length
    assert cut == text or (cut[:-1] == text[: length - 1] and cut[-1] == "…")


async def test_poll_counts_the_time_the_caller_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    monkeypatch.setattr("arq.utils.asyncio.sleep", sleep)
    elapsed = [value async for value in _first(3, utils.poll(0.5))]
    assert elapsed == sorted(elapsed)
    assert len(pauses) == 2
    assert all(0 <= pause_s <= 0.5 for pause_s in pauses)


async def _first(count: int, source: Any) -> Any:
    async for value in source:
        yield value
        count -= 1
        if not count:
            await source.aclose()
            return


# ---------------------------------------------------------------- import_string


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "importable_pkg").mkdir()
    (tmp_path / "importable_pkg" / "__init__.py").touch()
    (tmp_path / "importable_pkg" / "mod.py").write_text("class Outer:\n    class Inner: pass\n")
    (tmp_path / "importable_pkg" / "broken.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "importable_pkg.mod"


@pytest.mark.parametrize(
    ("path", "name"),
    [(".Outer", "Outer"), (":Outer", "Outer"), (":Outer.Inner", "Inner"), (":Outer ", "Outer")],
)
def test_both_spellings_of_a_path(module: str, path: str, name: str) -> None:
    assert utils.import_string(module + path).__name__ == name


@pytest.mark.parametrize("path", ["", "Outer", ".", ":", ":Outer", "mod:", "mod.", "mod:a..b", " "])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ImportError, match="doesn't look like a module path"):
        utils.import_string(path)


@pytest.mark.parametrize("path", [".mod.Outer", "..mod:Outer", "..x"])
def test_relative_paths_are_refused_as_import_errors(path: str) -> None:
    with pytest.raises(ImportError):
        utils.import_string(path)


def test_what_is_missing_is_named(module: str) -> None:
    with pytest.raises(ImportError, match='Module "importable_pkg.mod" does not define a "Nope" attribute'):
        utils.import_string(f"{module}.Nope")
    with pytest.raises(ModuleNotFoundError, match="importable_pkg.nope"):
        utils.import_string("importable_pkg.nope.Outer")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_the_kind"):
        utils.import_string("importable_pkg.broken.Outer")
