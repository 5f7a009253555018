"""`supervisor.run`: the command without a command line."""

import ctypes
import re
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

import supervisor
from supervisor.exit_codes import ExitCode
from tests.support.programs import ROOT

PR_GET_CHILD_SUBREAPER = 37


def test_its_help_has_every_exit_code() -> None:
    text = supervisor.run.__doc__ or ""
    returns = text.partition("Returns:")[2].partition("Raises:")[0]
    assert [int(code) for code in re.findall(r"\b(\d+) [a-zR]", returns)] == [int(code) for code in ExitCode]
    assert "options:" in text.partition("Args:")[2]


def test_what_the_command_refuses_is_refused(tmp_path: Path) -> None:
    """With its line and its exit code, before anything is started."""
    code = "import supervisor; print(supervisor.run(supervisor.Options('app.Settings', watch=('nowhere',))))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == "arq-supervise: --watch nowhere: there is no such file or directory\n"
    assert done.stdout == f"{int(ExitCode.USAGE)}\n"


def test_another_thread_can_not_run_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raised: list[str] = []

    def run() -> None:
        try:
            supervisor.run(supervisor.Options("app.Settings", control="off"))
        except ValueError as error:
            raised.append(str(error))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert len(raised) == 1
    assert "main thread" in raised[0]
    assert not adopts_orphans(), "the process that has asked is as it was"


def adopts_orphans() -> bool:
    """Does the kernel give this process the orphans of its descendants?"""
    answer = ctypes.c_int()
    if sys.platform != "linux":
        return False
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)
