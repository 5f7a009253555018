"""A container without an engine: a command as PID 1 of namespaces of its own."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.supervisor.harness import Pool
from tests.support.eventually import wait_until

# an ordinary user may make namespaces only inside a user namespace, where the system allows that at all
AS_ROOT = () if os.getuid() == 0 else ("--user", "--map-root-user")
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", *AS_ROOT)


@cache
def why_not() -> str:
    """Why this machine can not do it; "" if it can."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        return "no unshare and nsenter (util-linux) on the PATH"
    outcome = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"no pid namespace for this user: {outcome.stderr.strip()}" if outcome.returncode else ""


class Container(Pool):
    """A pool whose supervisor is PID 1. Pids in its log are those inside; `signal` and `kill` know that."""

    def boot(self, *arguments: str, settings: str = "app.Settings", **environ: Any) -> "Container":
        """Start `arq-supervise SETTINGS ARGUMENTS` with a control socket in the pool's directory."""
        control = ("--control", str(self.control)) if "--control" not in arguments else ()
        self.start(*control, *arguments, settings=settings, command=self.command, **environ)
        return self

    @property
    def command(self) -> tuple[str, ...]:
        """What to put before the supervisor's own command: a host name of its own, as each container has."""
        return (*UNSHARE, "sh", "-c", 'hostname "$0" && exec "$@"', self.host)

    @property
    def host(self) -> str:
        """Its host name."""
        return f"pod-{self.mark[:8]}"

    @property
    def control(self) -> Path:
        return self.directory / "control"

    @property
    def first(self) -> int:
        """The pid, seen from here, of its PID 1."""
        return self.outside(1)

    def outside(self, inside: int) -> int:
        """The pid, seen from here, of a process of the container."""
        (pid,) = (pid for pid in self.survivors() if pids_of(pid)[1:] == [inside])
        return pid

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(self.outside(pid), number)

    def signal(self, number: int) -> None:
        os.kill(self.first, number)

    def execute(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command beside PID 1, as the engine's health check does."""
        user = ("--user", "--preserve-credentials") if AS_ROOT else ()
        enter = ("nsenter", "--target", str(self.first), "--pid", "--mount", *user, "--wd=.")
        return subprocess.run(
            [*enter, *words],
            env=self.environ,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def supervise(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `arq-supervise ARGUMENTS` beside PID 1."""
        return self.execute(sys.executable, "-m", "supervisor", *arguments)

    def adopted(self) -> list[psutil.Process]:
        """Children of PID 1 that it did not fork itself, dead or alive: those without a name of the supervisor's."""
        first = psutil.Process(self.first)
        ours = {self.outside(record["pid"]) for record in self.events("child.spawn")
                if not self.events("child.exit", pid=record["pid"])}  # fmt: skip
        return [child for child in first.children() if child.pid not in ours]

    def zombies(self) -> list[int]:
        found = []
        for child in psutil.Process(self.first).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.status() == psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
        return found

    def check_tidy(self) -> None:
        """No zombie and no thread; what it has adopted is not its own doing."""
        wait_until(lambda: not self.zombies(), what="no zombie")
        assert len(os.listdir(f"/proc/{self.first}/task")) == 1

    def close(self) -> list[int]:
        """As `docker kill`: with PID 1 goes everybody."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ValueError, ProcessLookupError):
                os.kill(self.first, signal.SIGKILL)
        return super().close()


def pids_of(pid: int) -> list[int]:
    """The pids of a process, the one seen from here first; [] when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return []
    return [int(word) for word in status.partition("NSpid:")[2].partition("\n")[0].split()]


C = TypeVar("C", bound=Container)


@contextmanager
def container_in(directory: Path, port: int, kind: type[C]) -> Iterator[C]:
    """A container that leaves nobody behind, or the test fails."""
    container = kind(directory, port, uuid.uuid4().hex)
    try:
        yield container
    finally:
        left = container.close()
    assert not left, f"processes left behind: {left}\n{container.text()[-4000:]}"


def handles(pid: int, number: int) -> bool:
    """Has this process a handler for this signal?"""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


def wait_first(container: Container) -> int:
    """Wait until there is a PID 1; its pid seen from here."""

    def look() -> int:
        with suppress(ValueError):
            return container.first
        return 0

    return wait_until(look, what="PID 1")
