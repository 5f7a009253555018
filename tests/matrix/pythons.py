"""Run the fast tests on every Python that can be had: `python -m tests.matrix.pythons [pytest options]`.

Looked for on the PATH and among pyenv's; ARQ_PYTHONS="/path/to/python3.14 python3.15" names others, which may belong
to the tree of another system as long as they run here. Each gets an environment of its own in .venv-pythons/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.matrix.servers import FAST
from tests.matrix.sources import NotToBeHadError, run

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".venv-pythons"
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
NAMED = os.environ.get("ARQ_PYTHONS", "").split()
SUPPORTED = [(3, minor) for minor in range(11, 16)]
TESTS = ("tests/arq/unit", "tests/supervisor/unit", "tests/arq/redis")
#: what the fast tests import beside the product
NEEDED = (
    "hypothesis",
    "msgpack",
    "pydantic",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "pytest-xdist",
    "trustme",
)
_ASK = "import sys, venv, ensurepip; print(*sys.version_info[:3], sys.implementation.name, sep='.')"


def main(options: list[str]) -> int:
    """Run them all; 1 if tests failed on one of them or none could be had."""
    lines, failed, seen = [], False, set[str]()
    for python in candidates():
        version = version_of(python)
        if version is None and NAMED:
            lines.append(f"{python}: no Python from 3.11 on that can make environments")
            failed = True
        if version is None or version in seen:
            continue
        seen.add(version)
        print(f"== Python {version}: {python}", flush=True)
        try:
            own = environment(python, version)
        except NotToBeHadError as exc:
            lines.append(f"Python {version}: can't be used: {exc}")
            failed = True
            continue
        code = subprocess.run(
            [own, "-m", "pytest", *FAST, *(options or TESTS)], cwd=ROOT, check=False
        ).returncode
        lines.append(f"Python {version}: {'passed' if code == 0 else 'FAILED'}")
        failed = failed or code != 0
    have = set(SUPPORTED) if NAMED else {tuple(map(int, version.split(".")[:2])) for version in seen}
    lines += [
        f"Python {major}.{minor}: not to be had here"
        for major, minor in SUPPORTED
        if (major, minor) not in have
    ]
    print("== pythons", *lines, sep="\n")
    return int(failed or not seen)


def candidates() -> list[str]:
    """Interpreters that may be there."""
    if NAMED:
        return NAMED
    on_path = [found for _, minor in SUPPORTED if (found := shutil.which(f"python3.{minor}"))]
    return [*on_path, *(str(path) for path in sorted(PYENV.glob("3.*/bin/python")))]


def version_of(python: str) -> str | None:
    """Its version, if it is one that arq supports, and can make environments."""
    try:
        version = run(python, "-c", _ASK).strip()
    except NotToBeHadError:
        return None
    supported = tuple(f"{major}.{minor}." for major, minor in SUPPORTED)
    return version if version.startswith(supported) else None


def environment(python: str, version: str) -> Path:
    """An environment with what the fast tests need, made anew when that has changed."""
    directory = KEPT / version
    own, stamp = directory / "bin/python", directory / "installed"
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = repr((tomllib.load(file)["project"], NEEDED))
    if stamp.exists() and stamp.read_text() == wanted and own.exists():
        return own
    run(python, "-m", "venv", "--clear", directory)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(own, *install, "--editable", f"{ROOT}[embedded,metrics,top]", *NEEDED)
    stamp.write_text(wanted)
    return own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
