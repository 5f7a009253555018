"""A small Debian in a directory: made once with debootstrap, kept in a cache, copied for each run.

Nothing in it comes from this machine but the wheels. Which distribution and which mirror is what apt of this machine
says; `ARQ_SYSTEMD_SUITE` names another release of the same distribution.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.support.packages import copy_sources
from tests.support.programs import ROOT

PACKAGES = ("systemd", "systemd-sysv", "python3-venv", "redis-server")
# names the contents: another number makes a new tree
LAYOUT = "1"
APP = Path("srv/app")
VENV = APP / ".venv"
WHEELS = Path("var/tmp/wheels")
# what dependencies want on another Python than the one that pip runs on: pip judges markers for its own
ELSEWHERE = ("async-timeout>=4.0.3",)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAKE_S = 900.0
INSTALL_S = 300.0


class CannotMakeTreeError(RuntimeError):
    """There is no tree and none can be made; the text says why."""


def cache_directory() -> Path:
    """Where trees and wheels are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "arq-supervise-tests"


def suite() -> str:
    """The release that the tree is made of."""
    return os.environ.get("ARQ_SYSTEMD_SUITE") or _codename()


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def mirror() -> str:
    """The address from which apt of this machine takes its own release.

    Raises:
        CannotMakeTreeError: apt does not name one.
    """
    form = "$(RELEASE) $(COMPONENT) $(SITE)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listed.stdout.splitlines():
        release, component, site = line.split(" ", 2)
        if (release, component) == (_codename(), "main"):
            return site
    raise CannotMakeTreeError(f"apt of this machine names no mirror for {_codename() or 'its release'}")


def prepared_tree() -> Path:
    """A Debian with a virtual environment that has all but the project itself, out of the cache or made now.

    Raises:
        CannotMakeTreeError: there is none, and none can be made here.
    """
    contents = [LAYOUT, suite(), platform.machine(), PACKAGES, _requirements()]
    key = hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:12]
    tree = cache_directory() / f"{suite()}-{key}"
    if tree.exists():
        return tree
    half = tree.with_name(f"{tree.name}.{os.getpid()}")
    half.mkdir(parents=True)
    try:
        _bootstrap(half)
        _add_environment(half)
        if not tree.exists():  # somebody else was faster
            half.rename(tree)  # the last step: what is half made is never taken for a whole
    finally:
        remove(half)
    return tree


def _bootstrap(tree: Path) -> None:
    print(f"making a tree of {suite()} in {tree.parent}", file=sys.stderr)
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        suite(),
        str(tree),
        mirror(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MAKE_S)
    except subprocess.TimeoutExpired as error:
        raise CannotMakeTreeError(f"debootstrap of {suite()} took longer than {MAKE_S:g} s") from error
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise CannotMakeTreeError(f"debootstrap of {suite()} failed: {' '.join(last)}")
    for leftover in (tree / "var/cache/apt/archives").glob("*.deb"):
        leftover.unlink()


def copy_of(tree: Path, folder: Path) -> Path:
    """A copy to play with, in this folder; one that costs nothing where the kernel can lay a directory over another."""
    root, changes, work = (folder / name for name in ("root", "changes", "work"))
    for path in (root, changes, work):
        path.mkdir()
    options = f"lowerdir={tree},upperdir={changes},workdir={work}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(root)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        _run(["cp", "--archive", "--reflink=auto", f"{tree}/.", str(root)])
    return root


def remove(root: Path) -> None:
    """Take away a tree, or a copy and what belongs to it."""
    if root.is_mount():
        _run(["umount", str(root)])
    for path in (root, root.with_name("changes"), root.with_name("work")):
        shutil.rmtree(path, ignore_errors=True)


# --- what is installed in it ----------------------------------------------------------------------------------


def _add_environment(tree: Path) -> None:
    _run(["chroot", str(tree), "python3", "-m", "venv", f"/{VENV}"])
    version = _run(["chroot", str(tree), f"/{VENV}/bin/python", "-c", VERSION_OF]).strip()
    wheels = tree / WHEELS
    options = ["--quiet", "--disable-pip-version-check", *_target(version)]
    _run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            *options,
            "--dest",
            str(wheels),
            *_requirements(),
            *ELSEWHERE,
        ]
    )
    _pip_install(tree, *_requirements())
    shutil.rmtree(wheels)


def install(tree: Path) -> None:
    """The project's wheel, built now, into the environment at /srv/app/.venv."""
    wheels = tree / WHEELS
    wheels.mkdir()
    _build_wheel(wheels)
    _pip_install(tree, "--no-deps", "arq")
    shutil.rmtree(wheels)


def _pip_install(tree: Path, *what: str) -> None:
    """Out of the tree's directory of wheels, without a network."""
    options = ["--quiet", "--no-index", "--find-links", f"/{WHEELS}", "--disable-pip-version-check"]
    _run(["chroot", str(tree), f"/{VENV}/bin/pip", "install", *options, *what])


VERSION_OF = "import sys; print('%d.%d' % sys.version_info[:2])"


def _build_wheel(target: Path) -> None:
    """From a copy: a build leaves its traces beside the sources."""
    source = copy_sources(target.parent / "source")
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(target)]
    _run([sys.executable, "-m", "pip", "wheel", *options, str(source)])
    shutil.rmtree(source)


def _requirements() -> list[str]:
    """What the project depends on."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted: list[str] = tomllib.load(file)["project"]["dependencies"]
    return wanted


def _target(version: str) -> list[str]:
    """pip's options for wheels of another Python than the one it runs on."""
    tag = f"cp{version.replace('.', '')}"
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", version]
    options += [word for abi in (tag, "abi3", "none") for word in ("--abi", abi)]
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (36, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    return options + [word for one in platforms for word in ("--platform", one)]


def _run(command: Sequence[str]) -> str:
    inside = command[0] == "chroot"  # where nothing of this machine's settings holds
    environment = {"PATH": PATH} if inside else None
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=INSTALL_S, env=environment
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
