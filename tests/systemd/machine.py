"""A machine of its own for systemd: a tree booted with systemd-nspawn, driven from outside with nsenter.

No bus is needed, on either side: systemctl as root talks to systemd's private socket. The machine sees no network but
its own loopback, and lives in control groups of its own, so that several can run side by side.
"""

import os
import re
import shutil
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

from tests.support.eventually import wait_until
from tests.systemd.tree import PATH

CGROUPS = Path("/sys/fs/cgroup")
TOOLS = ("apt-get", "debootstrap", "systemd-nspawn", "nsenter", "unshare", "chroot")
# those that systemd in the machine makes groups in
HIERARCHIES = ("", "name=systemd", "memory", "pids")
LAST_WITH_FIRST_VERSION = 256
BOOT_S = 90.0
RUN_S = 120.0


def why_not() -> str:
    """Why no system can be booted here; "" when one can."""
    if os.uname().sysname != "Linux":
        return "systemd runs on Linux only"
    if os.geteuid() != 0:
        return "booting a system in a container needs root"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"not installed: {', '.join(missing)} (Debian: apt install debootstrap systemd-container)"
    made = subprocess.run(["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if made.returncode != 0:
        return f"namespaces can not be made here: {made.stderr.strip()}"
    if not (CGROUPS / "cgroup.procs").exists() and not (CGROUPS / "systemd").is_dir():
        return "no control groups are mounted at /sys/fs/cgroup"
    return ""


def is_booted_with_systemd() -> bool:
    """Is this machine's own first process a systemd?"""
    return Path("/run/systemd/system").is_dir()


class CannotBootError(RuntimeError):
    """The system did not come up: it is as Debian made it, so this machine does not allow it. The text says more."""


class Machine:
    """A booted tree. `close` switches it off.

    Raises:
        CannotBootError: it does not come up.
    """

    def __init__(self, tree: Path, log: Path) -> None:
        self.tree = tree
        self._log = log
        self._name = f"arq-{uuid.uuid4().hex[:8]}"
        self._groups = [] if is_booted_with_systemd() else _make_groups(self._name)
        self._process = self._start()
        self._leader = ""
        try:
            self._leader = wait_until(self._find_leader, BOOT_S, "the container's first process")
            wait_until(self._is_up, BOOT_S, "the system is up")
            self._take_memory_controller()
        except AssertionError as error:
            self.close()
            raise CannotBootError(f"no system can be booted here ({error}): {self.last_words()}") from error

    def _start(self) -> subprocess.Popen[bytes]:
        # without a systemd on this machine there is nobody to make a scope, or to tell
        own = [] if is_booted_with_systemd() else ["--keep-unit"]
        command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", *own, "--private-network",
                   "--console=passive", "--link-journal=no", f"--machine={self._name}",
                   f"--directory={self.tree}"]  # fmt: skip
        environment = dict(os.environ)
        if self.needs_second_version:
            environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
        with self._log.open("wb") as log:
            return subprocess.Popen([*_in_groups(self._groups), *command], stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, env=environment, start_new_session=True)  # fmt: skip

    @property
    def needs_second_version(self) -> bool:
        """Is this systemd done with the first version of control groups, in which this host has its controllers?"""
        return _is_hybrid() and self.systemd_version >= LAST_WITH_FIRST_VERSION

    @property
    def systemd_version(self) -> int:
        """Of the tree's systemd, as its library says."""
        (library,) = self.tree.glob("usr/lib/*/systemd/libsystemd-shared-*.so")
        return int(re.findall(r"\d+", library.name)[0])

    def _find_leader(self) -> str:
        if self._process.poll() is not None:
            raise AssertionError("systemd-nspawn has ended")
        pid = self._process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):  # gone again
                if os.readlink(f"/proc/{child}/exe").endswith("/systemd"):
                    return child
        return ""

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError("systemd-nspawn has ended")
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def _take_memory_controller(self) -> None:
        """nspawn shows controllers of the first version read-only: a new start of systemd finds this one writable."""
        if _is_hybrid() and not self.needs_second_version:
            self.run("mount", "--options", "remount,bind,rw", "/sys/fs/cgroup/memory", check=False)
            self.run("systemctl", "daemon-reexec")
            wait_until(self._is_up, BOOT_S, "systemd is back")

    @property
    def limits_memory(self) -> bool:
        """Does MemoryMax= mean anything in it?"""
        groups = self.path("/sys/fs/cgroup")
        if (groups / "memory").is_dir():
            return (groups / "memory/init.scope").is_dir()
        controllers = groups / "cgroup.controllers"
        return controllers.exists() and "memory" in controllers.read_text().split()

    def last_words(self) -> str:
        """The last lines on its console."""
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines()]
        return " / ".join([line for line in lines if line][-3:])

    # --- commands and files -----------------------------------------------------------------------------------

    def run(
        self, *command: str, check: bool = True, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, and wait for it; `text` is its standard input."""
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        done = subprocess.run(
            ["nsenter", "--target", self._leader, *spaces, "--", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_S,
            input=text,
            env={"PATH": PATH, "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def path(self, inside: str) -> Path:
        """The same file, seen from outside; also where something is mounted inside."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        """Write a file, and the directories above it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)

    # --- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Switch it off; nothing in it is worth an orderly end. No process and no control group is left."""
        if self._leader:  # the first process of a namespace takes all others with it
            with suppress(ProcessLookupError):
                os.kill(int(self._leader), signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10 if self._leader else 0)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for group in self._groups:
            _remove_group(group)


def _is_hybrid() -> bool:
    return (CGROUPS / "unified").is_dir()


def _make_groups(name: str) -> list[Path]:
    """A group in each hierarchy that systemd in the machine is to see as its root."""
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        top = CGROUPS / (controllers.removeprefix("name=") or ("unified" if _is_hybrid() else ""))
        if controllers not in HIERARCHIES or not (top / "cgroup.procs").exists():
            continue
        group = top / path.lstrip("/") / name
        with suppress(OSError):  # a hierarchy that may not be written is shared with the host, read-only
            group.mkdir()
            made.append(group)
    return made


def _in_groups(groups: list[Path]) -> list[str]:
    """The beginning of a command line that is to run in these groups."""
    enter = 'for group in "$@"; do test "$group" = -- && break; echo 0 > "$group/cgroup.procs"; shift; done'
    return ["sh", "-ec", f'{enter}; shift; exec "$@"', "sh", *map(str, groups), "--"]


def _remove_group(group: Path) -> None:
    def is_removed() -> bool:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        with suppress(OSError):
            group.rmdir()
        return not group.exists()

    with suppress(AssertionError):
        wait_until(is_removed, 5, "the control group is empty")
