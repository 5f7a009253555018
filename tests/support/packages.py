"""The packages of this project, and what its wheel is made of."""

import shutil
import tomllib
from pathlib import Path

from tests.support.programs import ROOT

_FILES = ("pyproject.toml", "README.md", "LICENSE")


def _top_level() -> tuple[str, ...]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return tuple(name for name in settings["packages"]["find"]["include"] if "." not in name)


#: Names of the packages that the wheel holds.
PACKAGES = _top_level()


def copy_sources(target: Path) -> Path:
    """All that the wheel is built from, in a new directory: a build leaves its traces beside the sources."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(ROOT / name, target)
    return target
