"""Reads a Dockerfile, and carries out its steps on this host: no engine, no image, no network.

The host plays the base image. What the stages make lies below /srv: each stage has a directory of its own, which is
mounted there in a mount namespace. Python packages that the image would download are those of the running interpreter.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
# mount points that every system has (Filesystem Hierarchy Standard): what an unprivileged user must be able to read
HOME, PACKAGES, BUILT = "/mnt", "/media", "/srv"
SETTLE = 'cd "$0" && exec "$@"'
NAMESPACE = ("unshare", "--mount", "--propagation", "private")


@cache
def why_not() -> str:
    """Why this machine can not carry the steps out; "" if it can."""
    if os.getuid() != 0:
        return "only root may mount"
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        return "no unshare and setpriv (util-linux) on the PATH"
    command = [*NAMESPACE, "mount", "--bind", "/usr", BUILT]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"no mount namespace: {outcome.stderr.strip()}" if outcome.returncode else ""


@dataclass(frozen=True)
class Instruction:
    """One line of a Dockerfile, continuation lines joined: `flags` are its --name=value words."""

    name: str
    rest: str
    flags: dict[str, str]

    @property
    def words(self) -> list[str]:
        """The list of an exec form, or the words of a shell form."""
        if self.rest.startswith("["):
            return list(json.loads(self.rest))
        return shlex.split(self.rest)

    @property
    def is_exec_form(self) -> bool:
        return self.rest.startswith("[")


def read(path: Path) -> list[Instruction]:
    """The instructions of a Dockerfile."""
    return list(_instructions(path.read_text()))


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        flags = {}
        while rest.lstrip().startswith("--"):
            flag, _, rest = rest.lstrip().partition(" ")
            key, _, value = flag[2:].partition("=")
            flags[key] = value
        yield Instruction(name.upper(), rest.strip(), flags)


@dataclass
class Stage:
    """One FROM and what follows."""

    name: str
    tree: Path
    user: str = "0:0"
    workdir: str = "/"
    environ: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Instruction] = field(default_factory=dict)

    def host(self, path: str) -> Path:
        """Where a path of the image lies on the host."""
        full = PurePosixPath(self.workdir) / path
        assert full.is_relative_to(BUILT), f"{full}: only what is below {BUILT} can be built here"
        return self.tree / full.relative_to(BUILT)


class Builder:
    """Carries out a Dockerfile; `stages` are its stages in order."""

    def __init__(self, dockerfile: Path, context: Path, directory: Path) -> None:
        self._context = context
        self._directory = directory
        ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text().split()
        self._ignored = [pattern for pattern in ignore if not pattern.startswith("!")]
        self._sent = [pattern[1:] for pattern in ignore if pattern.startswith("!")]
        self.stages: list[Stage] = []
        for instruction in read(dockerfile):
            getattr(self, f"_{instruction.name.lower()}", self._keep)(instruction)

    @property
    def image(self) -> Stage:
        return self.stages[-1]

    def _from(self, instruction: Instruction) -> None:
        image, *name = instruction.words
        assert image.startswith("python:"), image
        tree = self._directory / f"stage-{len(self.stages)}"
        tree.mkdir()
        stage = Stage(name[-1] if name else "", tree)
        stage.environ["PATH"] = f"{HOME}/bin:/usr/local/bin:/usr/bin:/bin"
        self.stages.append(stage)

    def _arg(self, instruction: Instruction) -> None:
        assert not self.stages, "an ARG of a stage is not understood here"

    def _env(self, instruction: Instruction) -> None:
        for word in instruction.words:
            name, _, value = word.partition("=")
            self.image.environ[name] = value.replace("$PATH", self.image.environ["PATH"])

    def _workdir(self, instruction: Instruction) -> None:
        self.image.workdir = str(PurePosixPath(self.image.workdir) / instruction.rest)
        self.image.host(".").mkdir(parents=True, exist_ok=True)

    def _user(self, instruction: Instruction) -> None:
        self.image.user = instruction.rest

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.words
        to = self.image.host(target)
        origin = instruction.flags.get("from")
        for source in sources:
            path = self._stage(origin).host(source) if origin else self._from_context(source)
            self._copy_one(path, to / path.name if target.endswith("/") else to)

    @staticmethod
    def _copy_one(path: Path, to: Path) -> None:
        if not path.is_dir():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
            return
        shutil.copytree(path, to, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))

    def _stage(self, name: str) -> Stage:
        (stage,) = (stage for stage in self.stages if stage.name == name)
        return stage

    def _from_context(self, source: str) -> Path:
        """A path of the context, unless it is missing there, or held back by .dockerignore."""
        path = PurePosixPath(source)
        names = [str(path), *map(str, path.parents)]
        is_held_back = any(fnmatch(name, pattern) for name in names[:-1] for pattern in self._ignored)
        is_sent = any(name in self._sent for name in names)
        assert is_sent or not is_held_back, f".dockerignore keeps {source} back"
        assert (self._context / source).exists(), f"COPY {source}: not there"
        return self._context / source

    def _run(self, instruction: Instruction) -> None:
        # the build backend is the running interpreter's, which may be newer than that of a fresh environment
        offline = {
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PYTHONPATH": PACKAGES,
        }
        command = ["sh", "-ec", instruction.rest]
        outcome = subprocess.run(
            [*inside(self.image), *command],
            env=environ_of(self.image) | offline,
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, f"RUN {instruction.rest}\n{outcome.stdout}\n{outcome.stderr}"
        for packages in self.image.tree.rglob("site-packages"):
            (packages / "downloaded.pth").write_text(f"{PACKAGES}\n")

    def _keep(self, instruction: Instruction) -> None:
        self.image.settings[instruction.name] = instruction


def environ_of(stage: Stage) -> dict[str, str]:
    """The environment of a command of this stage."""
    return {"LD_LIBRARY_PATH": f"{HOME}/lib"} | stage.environ


def inside(stage: Stage, *more: str, sealed: bool = False) -> list[str]:
    """What to put before a command so that it runs in this stage: its files, its directory, its user.

    `more` are options of unshare. Sealed: nothing can be written but /tmp, which is empty, and open to everybody as
    Kubernetes makes it.
    """
    mounts = [
        f"mount --bind {shlex.quote(sys.base_prefix)} {HOME}",
        f"mount --bind {shlex.quote(sysconfig.get_path('purelib'))} {PACKAGES}",
        f"mount --bind {shlex.quote(str(stage.tree))} {BUILT}",
    ]
    if sealed:
        mounts += ["mount -t tmpfs -o mode=0777 tmpfs /tmp"]
        mounts += [f"mount -o remount,bind,ro {place}" for place in (BUILT, "/")]
    return [*NAMESPACE, *more, "sh", "-ec", " && ".join([*mounts, SETTLE]), stage.workdir, *as_user(stage)]


def beside(stage: Stage, first: int) -> list[str]:
    """What to put before a command so that it runs beside a process that was started with `inside`."""
    enter = ("nsenter", "--target", str(first), "--pid", "--mount")
    return [*enter, "sh", "-ec", SETTLE, stage.workdir, *as_user(stage)]


def as_user(stage: Stage) -> list[str]:
    """What to put before a command so that it runs as the stage's user, without any privilege."""
    user, _, group = stage.user.partition(":")
    nothing = ("--bounding-set=-all", "--inh-caps=-all") if user != "0" else ()
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", *nothing]
