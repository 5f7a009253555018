"""Test suites of packages that build on arq, run on this arq: `python -m tests.compat.others [NAME[=CHECKOUT] ...]`.

Each runs in an environment of its own, with pinned packages, on a Redis of its own. Suites that are part of a package
on PyPI are downloaded. Of the others the user names a checkout; it is copied, so nothing is written there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import PACKAGES
from tests.support.servers import HOST, running_server

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-others"
PLUGINS = Path(__file__).resolve().parent / "plugins"
#: What arq itself needs, for those packages that do not say otherwise.
REDIS_8 = ("redis==8.1.0", "hiredis==3.5.0")
ARQ_NEEDS = ("click>=8", "psutil>=5.9", "uvloop>=0.19", "watchfiles>=0.20")
PYTEST = ("pytest==8.4.2", "pytest-asyncio==1.2.0", "pytest-mock==3.15.1")
#: For suites that were written long ago.
PYTEST_7 = ("pytest==7.4.4", "pytest-asyncio==0.21.2", "pytest-mock==3.12.0")
LIMIT_S = 600


@dataclass(frozen=True)
class Suite:
    """One package's tests.

    Attributes:
        name: of the package.
        tests: how many of them are about arq.
        requires: packages that they need.
        arguments: for pytest.
        pytest: which one.
        without_dependencies: packages that would bring another arq along.
        sdist: what to download from PyPI; '': a checkout is needed.
        variables: environment; `{url}` and `{port}` lead to the test's Redis.
        names_port: the suite uses localhost:6379; our plugin leads it to the test's Redis.
    """

    name: str
    tests: int
    requires: tuple[str, ...]
    arguments: tuple[str, ...]
    pytest: tuple[str, ...] = PYTEST
    without_dependencies: tuple[str, ...] = ()
    sdist: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    names_port: bool = False


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "sentry-sdk",
            64,
            requires=(
                *("redis==5.3.1", "hiredis==3.5.0", "fakeredis[lua]==2.26.2", "certifi", "urllib3==2.5.0"),
                *("jsonschema==4.25.1", "pytest-forked==1.6.0", "pytest-localserver==0.9.0.post0", "brotli"),
            ),
            sdist="sentry-sdk==2.75.0",
            arguments=("tests/integrations/arq/test_arq.py", "-o", "addopts="),
        ),
        Suite(
            "dishka",
            2,
            requires=(*REDIS_8, "dishka==1.10.1"),
            sdist="dishka==1.10.1",
            arguments=("tests/integrations/arq", "-c", os.devnull, "--rootdir", "."),
        ),
        Suite(
            "safir",
            2,  # 22 more need containers with a database
            requires=(
                *REDIS_8,
                *("fastapi==0.118.0", "asgi-lifespan==2.1.0", "httpx==0.28.1", "pydantic==2.11.9"),
                *("pydantic-core", "structlog==25.4.0", "cryptography==46.0.1", "click==8.3.0"),
                *("python-multipart", "pydantic-settings==2.11.0", "sentry-sdk==2.39.0", "gidgethub==5.4.0"),
            ),
            without_dependencies=("safir==9.3.0", "safir-arq==9.3.0", "safir-logging==9.3.0"),
            sdist="safir==9.3.0",
            arguments=(
                *("tests/arq_test.py", "tests/dependencies/arq_test.py"),
                *("--noconftest", "-c", os.devnull, "--rootdir", "."),
            ),
        ),
        Suite(
            "modern-di-arq",
            19,
            requires=(*REDIS_8, "modern-di==3.0.0"),
            arguments=("tests",),
            variables=(("REDIS_URL", "{url}"),),
        ),
        Suite(
            "arq-django-admin",
            22,
            requires=(*REDIS_8, "Django==5.2.6", "pytest-django==4.8.0"),
            arguments=("tests", "-o", "asyncio_mode=auto"),
            pytest=PYTEST_7,
            variables=(("DJANGO_SETTINGS_MODULE", "tests.settings"),),
            names_port=True,
        ),
        Suite(
            "arq-prometheus",
            11,
            requires=(*REDIS_8, "prometheus-client==0.23.1"),
            arguments=("tests", "-o", "asyncio_mode=auto"),
        ),
        Suite(
            "arq-dashboard",
            8,
            requires=(
                *REDIS_8,
                *(
                    "fastapi==0.85.2",
                    "pydantic==1.10.24",
                    "requests==2.32.5",
                    "uvicorn==0.18.3",
                    "anyio==3.7.1",
                ),
                *("aiometer==0.5.0", "arrow==1.3.0", "async-cache==1.1.1", "loguru==0.6.0", "pyhumps==3.8.0"),
            ),
            arguments=("tests",),
            pytest=PYTEST_7,
            without_dependencies=("arq-dashboard==0.1.4",),
            names_port=True,
        ),
    )
}
#: Those that need nothing but a package index.
DOWNLOADED = tuple(name for name, suite in SUITES.items() if suite.sdist)


class NotReadyError(RuntimeError):
    """A suite can't be run here."""


@dataclass(frozen=True)
class Outcome:
    """What pytest said."""

    passed: int
    failed: int
    text: str


def run(suite: Suite, checkout: Path | None = None) -> Outcome:
    """Run a suite.

    Args:
        checkout: where its sources are; None: they are downloaded.

    Raises:
        NotReadyError: the sources or the packages can't be had.
    """
    python = environment(suite.name, (*suite.pytest, *suite.requires), suite.without_dependencies)
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        sources = _copied(checkout, Path(folder)) if checkout else _downloaded(suite, python, Path(folder))
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ARQ_", "REDIS_"))}
        variables |= {name: value.format(url=server.dsn, port=server.port) for name, value in suite.variables}
        variables["PYTHONPATH"] = os.pathsep.join((str(ours(Path(folder))), ".", str(PLUGINS)))
        plugin = ["-p", "redirected_port"] if suite.names_port else []
        variables["ARQ_TEST_REDIS"] = f"{HOST}:{server.port}"
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *suite.arguments]
        done = subprocess.run(
            command, cwd=sources, env=variables, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    return _read(done.stdout + done.stderr)


def _read(text: str) -> Outcome:
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)s?\b", text)}
    return Outcome(counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0), text)


def ours(folder: Path) -> Path:
    """A folder with this tree's packages and nothing else: the suites have a package `tests` of their own."""
    place = folder / "ours"
    place.mkdir()
    for name in PACKAGES:
        (place / name).symlink_to(ROOT / name)
    return place


def _copied(checkout: Path, folder: Path) -> Path:
    if not (checkout / "tests").is_dir():
        raise NotReadyError(f"{checkout} has no folder tests: give a checkout of the package's repository")
    return Path(shutil.copytree(checkout, folder / "sources", symlinks=True))


def _downloaded(suite: Suite, python: Path, folder: Path) -> Path:
    if not suite.sdist:
        raise NotReadyError(
            f"{suite.name} publishes no tests on PyPI: give a checkout, {suite.name}=/path/to/checkout"
        )
    kept = ENVIRONMENTS / "sdists"
    kept.mkdir(exist_ok=True)
    wanted = suite.sdist.replace("-", "_").replace("==", "-") + ".tar.gz"
    if not (kept / wanted).exists():
        _pip(
            python,
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--dest",
            str(kept),
            suite.sdist,
        )
    with tarfile.open(kept / wanted) as archive:
        archive.extractall(folder, filter="data")
    return folder / wanted.removesuffix(".tar.gz")


def environment(name: str, requires: Sequence[str], without_dependencies: Sequence[str] = ()) -> Path:
    """The Python of an environment, which is made anew when what is wanted changes.

    Raises:
        NotReadyError: the packages can't be had.
    """
    place = ENVIRONMENTS / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
    python, note = place / "bin" / "python", place / "wanted"
    wanted = "\n".join((*ARQ_NEEDS, *requires, *without_dependencies))
    if note.exists() and note.read_text() == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    _pip(python, "install", "--quiet", *ARQ_NEEDS, *requires)
    if without_dependencies:
        _pip(python, "install", "--quiet", "--no-deps", *without_dependencies)
    note.write_text(wanted)
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotReadyError(f"pip {arguments[0]} failed: {last}")


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except NotReadyError as exc:
        print(f"{name}: not run: {exc}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run suites and print their counts; those that need a checkout only if one is named."""
    bad = 0
    for argument in arguments or DOWNLOADED:
        name, _, checkout = argument.partition("=")
        if name not in SUITES:
            print(f"{name} is not known; known are: {', '.join(SUITES)}")
            return 2
        suite = SUITES[name]
        with _told(name):
            outcome = run(suite, Path(checkout).resolve() if checkout else None)
            print(
                f"{name}: {outcome.passed} passed, {outcome.failed} failed, {suite.tests} wanted", flush=True
            )
            if outcome.failed or outcome.passed < suite.tests:
                bad += 1
                print(outcome.text[-4000:], flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
