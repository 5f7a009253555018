"""A traceback begins where the user's code begins."""

import importlib
import sys
from pathlib import Path

import pytest

from supervisor.children.tracebacks import LONGEST, trace_of, whole_trace_of


def error_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> BaseException:
    """What importing this raises, through our own import as well as Python's."""
    from supervisor.settings import load_settings

    (tmp_path / "theirs.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sys.modules.pop("theirs", None)
    importlib.invalidate_caches()
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        load_settings("theirs.Settings")
    return caught.value


def test_frames_above_theirs_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_of(tmp_path, monkeypatch, "def f():\n    raise ValueError('x')\nf()\n")
    error.__traceback__ = (
        error.__traceback__.tb_next if error.__traceback__ else None
    )  # this test's own frame
    trace = trace_of(error)
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ValueError: x\n")
    assert trace.count("theirs.py") == 2
    assert "child.py" not in trace
    assert "importlib" not in trace


def test_what_they_call_of_ours_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_of(tmp_path, monkeypatch, "from arq import cron\ncron('no.such.path')\n")
    trace = trace_of(error)
    assert trace.index("theirs.py") < trace.index("cron.py")


def test_a_chain_keeps_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('x') from error\n"
    trace = trace_of(error_of(tmp_path, monkeypatch, code))
    assert "ZeroDivisionError" in trace
    assert "The above exception was the direct cause" in trace


def test_broken_source_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_of(tmp_path, monkeypatch, "x = (\n")
    error.__traceback__ = None
    trace = trace_of(error)
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "theirs.py" in trace
    assert trace.rstrip().endswith("SyntaxError: '(' was never closed")


def test_without_their_code_there_is_nothing_to_show() -> None:
    assert trace_of(RuntimeError("x")) == ""
    assert whole_trace_of(RuntimeError("x")) == "RuntimeError: x\n"


def test_it_has_an_end() -> None:
    assert len(whole_trace_of(RuntimeError("x" * 2 * LONGEST))) == LONGEST
