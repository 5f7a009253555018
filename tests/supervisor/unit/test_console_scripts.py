"""The console scripts name what is in the way of `arq` and `supervisor`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT


@pytest.mark.parametrize("content", ["#", "raise ImportError('x', name='supervisor.options')"])
def test_another_projects_package_is_recognised(tmp_path: Path, content: str) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "__init__.py").write_text(content)
    line = refusal("main", tmp_path)
    assert "supervisord" in line
    assert line.endswith(str(tmp_path / "supervisor"))


def refusal(command: str, folder: Path) -> str:
    """The one line with which a console script leaves where this folder comes first on the path."""
    code = f"from _arq_supervise import {command}; {command}()"
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code, "app.Settings"], cwd=folder, capture_output=True, text=True,
                          check=False, env={"PYTHONPATH": f"{folder}:{root}"})  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("command", "place"),
    [("main", "supervisor.py"), ("main", "arq.py"), ("main", "arq/__init__.py"), ("arq", "arq.py")],
)
def test_a_module_of_ones_own_in_the_way_is_named_and_not_run(
    tmp_path: Path, command: str, place: str
) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("print('run')")
    line = refusal(command, tmp_path)
    assert f"{tmp_path / place}".removesuffix("/__init__.py") in line
    assert "supervisord" not in line


@pytest.mark.parametrize("command", ["supervisor", "arq"])
@pytest.mark.parametrize("path", ["arq.Settings", "arq.tasks.Settings"])
def test_settings_in_a_module_that_has_our_name(tmp_path: Path, command: str, path: str) -> None:
    (tmp_path / "arq.py").write_text("class Settings: functions = []")
    words = {"supervisor": ["--check-settings"], "arq": []}[command]
    start = f"from _arq_supervise import {'arq' if command == 'arq' else 'main'} as main; main()"
    done = subprocess.run([sys.executable, "-P", "-c", start, path, *words], cwd=tmp_path, capture_output=True,
                          text=True, check=False, env={"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "arq.py") in line
