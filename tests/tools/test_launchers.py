"""What passes signals on, and what puts Python and the application into one file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.packages import copy_sources
from tests.tools.conftest import APP, Tool

METHODS = ("fork", "exec")
#: the one of docs/how-to/tools.md
PROGRAM = "import app\nfrom _arq_supervise import main\n\nmain()\n"


def run(*words: str | Path, **options: Path) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr


def test_dumb_init(tool: Tool, python_with: Callable[..., Path]) -> None:
    python = python_with("dumb-init==1.2.5.post1")
    tool.start(python.with_name("dumb-init"), python, "-m", "supervisor")
    assert tool.pids_at_work()
    tool.stop()


@pytest.mark.parametrize("words", [("-s",), ("-s", "-g")])
def test_tini(tool: Tool, tini: Path, words: tuple[str, ...]) -> None:
    tool.start(tini, *words, "--", sys.executable, "-m", "supervisor")
    assert tool.pids_at_work()
    tool.stop()


def test_uv_run(tool: Tool, python_with: Callable[..., Path]) -> None:
    python = python_with("uv==0.9.18")
    tool.start(python.with_name("uv"), "run", "--offline", "--no-project", "--python", python, "--", "python", "-m",
               "supervisor")  # fmt: skip
    assert tool.pids_at_work()
    tool.stop()


@pytest.mark.parametrize("method", METHODS)
def test_shiv(tool: Tool, python_with: Callable[..., Path], tmp_path: Path, method: str) -> None:
    python = python_with("shiv==1.0.8", "pip", "setuptools")
    program = tmp_path / "program.pyz"
    run(
        python.with_name("shiv"),
        "-q",
        "-e",
        "_arq_supervise:main",
        "-o",
        program,
        copy_sources(tmp_path / "sources"),
    )
    tool.start(
        sys.executable, "-I", program, SHIV_ROOT=str(tmp_path / "shiv"), options=("--start-method", method)
    )
    assert tool.pids_at_work()
    tool.stop()


@pytest.fixture(scope="module")
def frozen(python_with: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application and all that it needs, in one file; our hook is found by the entry point of the package."""
    python, place = python_with("pyinstaller==6.22.3", "setuptools"), tmp_path_factory.mktemp("frozen")
    run(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        place / "arq",
        copy_sources(place / "sources"),
    )
    (place / "app.py").write_text(APP)
    (place / "program.py").write_text(PROGRAM)
    words = (python, "-m", "PyInstaller", "--noconfirm", "--onefile", "program.py")
    run("/usr/bin/env", f"PYTHONPATH={place / 'arq'}", "TEST_PORT=0", *words, cwd=place)
    return place / "dist" / "program"


@pytest.mark.parametrize("method", METHODS)
def test_pyinstaller(tool: Tool, frozen: Path, method: str) -> None:
    tool.start(frozen, PYTHONPATH="", options=("--start-method", method))
    assert tool.pids_at_work()
    tool.stop()
