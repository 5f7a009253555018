"""Changes of files that are found by looking at them."""

import os
from pathlib import Path

import pytest

from arq import _file_polling
from arq._file_polling import FilePoller, files_below


def below(directory: Path, *left_out: str) -> list[str]:
    found = files_below(str(directory), lambda folder: os.path.basename(folder) not in left_out)
    return sorted(os.path.relpath(path, directory) for path in found)


def save(path: Path, text: str, saved_s: float) -> None:
    path.write_text(text)
    os.utime(path, (saved_s, saved_s))


def poller_of(directory: Path) -> FilePoller:
    return FilePoller(lambda: files_below(str(directory), lambda _: True))


def changed(poller: FilePoller) -> list[str]:
    """Names of the files of the next change, which stays as it is between two looks."""
    assert poller.changes() == []
    return [os.path.basename(path) for path in poller.changes()]


def test_two_saves_within_a_second_are_two_changes(tmp_path: Path) -> None:
    save(tmp_path / "a.py", "one", 1e9)
    poller = poller_of(tmp_path)
    for part in (0.25, 0.5):
        save(tmp_path / "a.py", "two", 1e9 + part)
        assert changed(poller) == ["a.py"]
    assert changed(poller) == []


def test_a_file_of_the_same_time_is_another_one(tmp_path: Path) -> None:
    save(tmp_path / "a.py", "one", 1e9)
    save(tmp_path / "b.py", "one", 1e9)
    poller = poller_of(tmp_path)
    save(tmp_path / "b.py", "longer", 1e9)
    save(tmp_path / "c", "two", 1e9)
    (tmp_path / "c").replace(tmp_path / "a.py")
    assert changed(poller) == ["a.py", "b.py"]


def test_what_comes_and_goes(tmp_path: Path) -> None:
    poller = poller_of(tmp_path)
    (tmp_path / "new").mkdir()
    assert changed(poller) == []
    (tmp_path / "new" / "a.py").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    assert changed(poller) == ["a.py"]
    (tmp_path / "new" / "a.py").unlink()
    assert changed(poller) == ["a.py"]


def test_a_change_is_told_when_it_is_complete(tmp_path: Path) -> None:
    poller = poller_of(tmp_path)
    for n in range(5):
        save(tmp_path / f"{n}.py", "", 1e9)
        assert poller.changes() == []
        assert poller.pause_s < _file_polling.PAUSE_S
    assert len(poller.changes()) == 5
    assert poller.pause_s >= _file_polling.PAUSE_S


def test_changes_without_end_are_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_polling, "LONGEST_BURST_S", 0)
    poller = poller_of(tmp_path)
    save(tmp_path / "a.py", "", 1e9)
    assert len(poller.changes()) == 1


def test_what_is_undone_is_no_change(tmp_path: Path) -> None:
    poller = poller_of(tmp_path)
    (tmp_path / "a.py").touch()
    assert poller.changes() == []
    (tmp_path / "a.py").unlink()
    assert poller.changes() == []
    (tmp_path / "b.py").touch()
    assert changed(poller) == ["b.py"]


def test_files_behind_links_and_in_circles(tmp_path: Path) -> None:
    for name in ("one", "two", "left_out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").touch()
    (tmp_path / "one" / "up").symlink_to(tmp_path)
    (tmp_path / "two" / "here").symlink_to(".")
    (tmp_path / "elsewhere").symlink_to("one")
    assert below(tmp_path, "left_out") == ["elsewhere/a.py", "one/a.py", "two/a.py"]
    assert below(tmp_path / "nowhere") == []


@pytest.mark.parametrize(("asked", "is_wanted"), [("1", True), ("true", True), ("False", False)])
def test_the_environment_may_ask_for_it(monkeypatch: pytest.MonkeyPatch, asked: str, is_wanted: bool) -> None:
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", asked)
    assert _file_polling.is_wanted() is is_wanted


def test_the_environment_may_say_how_often(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "1500")
    assert poller_of(tmp_path).pause_s >= 1.5
