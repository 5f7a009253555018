"""A pool under systemd, as an administrator and as a producer see it."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any, Self

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from tests.support.eventually import wait_until
from tests.support.programs import ROOT
from tests.systemd.machine import Machine
from tests.systemd.tree import APP

UNITS = ("arq-supervise.service", "arq-supervise@.service", "arq-supervise.target", "arq.slice")
SYSTEM = Path("etc/systemd/system")
REDIS_SOCKET = "/run/redis/producers.sock"
APPLICATION = (Path(__file__).parent / "application.py").read_text()
DROP_INS = "/etc/systemd/system"


def install_units(root: Path) -> None:
    """What systemd/README.md says, before the first boot."""
    for unit in UNITS:
        shutil.copy(ROOT / "systemd" / unit, root / SYSTEM / unit)
    (root / "etc/sysusers.d").mkdir(exist_ok=True)
    shutil.copy(ROOT / "systemd/arq.sysusers", root / "etc/sysusers.d/arq.conf")
    (root / "etc/arq-supervise").mkdir(mode=0o750)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # a minimal tree has none
    with (root / "etc/redis/redis.conf").open("a") as config:  # the tests' way in, from outside
        config.write(f"\nunixsocket {REDIS_SOCKET}\nunixsocketperm 777\n")


class Pool:
    """`arq-supervise@NAME.service` with the module NAME as its application, and its queue seen from outside."""

    def __init__(self, machine: Machine, name: str, unit: str = "") -> None:
        self.machine = machine
        self.name = name
        self.unit = unit or f"arq-supervise@{name}.service"
        self.module = name.replace("-", "_")
        self.queue = Queue(machine, name)
        self.write_code()
        self.write_environment()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.run("systemctl", "kill", "--kill-whom=all", "--signal=SIGKILL", self.unit, check=False)
        self.machine.run("systemctl", "stop", self.unit, check=False)
        self.machine.run("systemctl", "reset-failed", self.unit, check=False)

    # --- what it is made of -----------------------------------------------------------------------------------

    def write_code(self, version: int = 1, also: str = "") -> None:
        """The application; `also` is added at its end."""
        text = APPLICATION.replace("QUEUE_NAME", self.name).replace("VERSION_NUMBER", str(version))
        self.machine.write(f"/{APP}/{self.module}.py", text + also)

    def write_environment(self, options: str = "--procs 2 --log-format json", **variables: str) -> None:
        """The instance's environment file."""
        lines = {"ARQ_SETTINGS": f"{self.module}.Settings", "ARQ_SUPERVISE_OPTS": options, **variables}
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        self.machine.write(f"/etc/arq-supervise/{self.name}.env", text)

    def override(self, *service_lines: str) -> None:
        """A drop-in for this instance alone."""
        text = "[Service]\n" + "".join(f"{line}\n" for line in service_lines)
        self.machine.write(f"{DROP_INS}/{self.unit}.d/test.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    # --- what an administrator does ---------------------------------------------------------------------------

    def systemctl(self, verb: str, *options: str, check: bool = True) -> Any:
        return self.machine.run("systemctl", verb, *options, self.unit, check=check)

    def start(self) -> "Pool":
        self.systemctl("start")
        return self

    def show(self, name: str) -> str:
        """A property of the unit."""
        return str(
            self.machine.run("systemctl", "show", "--property", name, "--value", self.unit).stdout
        ).strip()

    @property
    def state(self) -> tuple[str, str]:
        """As in `active (running)`."""
        return self.show("ActiveState"), self.show("SubState")

    def seconds_since(self, change: str) -> float:
        """Since the last time of this kind, as in `ActiveEnter`."""
        return time.monotonic() - int(self.show(f"{change}TimestampMonotonic")) / 1_000_000

    @property
    def main_pid(self) -> int:
        """The supervisor's, inside the machine."""
        return int(self.show("MainPID"))

    def pids(self) -> set[int]:
        """Every process of the unit."""
        listed = self.machine.run("systemctl", "show", "--property", "ControlGroup", "--value", self.unit)
        group = listed.stdout.strip()
        if not group:
            return set()
        processes = self.machine.run(
            "find",
            "/sys/fs/cgroup",
            "-path",
            f"*{group}/cgroup.procs",
            "-exec",
            "cat",
            "{}",
            "+",
            check=False,
        )
        return {int(pid) for pid in processes.stdout.split()}

    def kill(self, *pids: int, number: str = "KILL") -> None:
        """All at once."""
        words = " ".join(map(str, pids))
        self.machine.run("sh", "-c", f"kill -{number} {words}")  # the shell's own: a small tree has no other

    # --- its log ----------------------------------------------------------------------------------------------

    def journal(self) -> list[dict[str, Any]]:
        """Its JSON records, oldest first; lines that are none are left out."""
        lines = self.machine.run("journalctl", "--quiet", "--unit", self.unit, "--output", "cat").stdout
        return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]

    def events(self, name: str, **where: Any) -> list[dict[str, Any]]:
        return [
            record
            for record in self.journal()
            if record.get("event") == name and all(record.get(key) == value for key, value in where.items())
        ]

    def wait_event(self, name: str, n: int = 1, timeout_s: float = 30.0, **where: Any) -> dict[str, Any]:
        """The n-th such record."""
        wait_until(lambda: len(self.events(name, **where)) >= n, timeout_s, f"{n} x {name} in the journal")
        return self.events(name, **where)[n - 1]

    def worker_pids(self) -> list[int]:
        """Workers that are ready and have not ended."""
        gone = {record["pid"] for record in self.events("child.exit")}
        return [one["pid"] for one in self.events("child.ready", role="worker") if one["pid"] not in gone]


class Queue:
    """The producer's side, through Redis's unix socket, from outside the machine."""

    def __init__(self, machine: Machine, name: str) -> None:
        self._settings = RedisSettings(unix_socket_path=str(machine.path(REDIS_SOCKET)), conn_retries=0)
        self._name = name

    def put(self, function: str, *args: Any, **options: Any) -> str:
        """Enqueue one job; returns its id."""

        async def use(redis: ArqRedis) -> str:
            job = await redis.enqueue_job(function, *args, **options)
            assert job is not None
            return job.job_id

        return str(asyncio.run(self._with(use)))

    def result(self, job_id: str, timeout_s: float = 30.0) -> Any:
        """What the job returned; raises what it raised."""

        async def use(redis: ArqRedis) -> Any:
            return await Job(job_id, redis, _queue_name=self._name).result(timeout=timeout_s, poll_delay=0.05)

        return asyncio.run(self._with(use))

    def call(self, function: str, *args: Any) -> Any:
        """Enqueue a job and wait for what it returns."""
        return self.result(self.put(function, *args))

    def wait_running(self, job_id: str, timeout_s: float = 30.0) -> None:
        async def use(redis: ArqRedis) -> bool:
            return (await Job(job_id, redis, _queue_name=self._name).status()).value == "in_progress"

        wait_until(lambda: asyncio.run(self._with(use)), timeout_s, f"{job_id} runs")

    def tries(self, job_id: str) -> int:
        """How often it was started, once it has ended."""

        async def use(redis: ArqRedis) -> int:
            info = await Job(job_id, redis).result_info()
            return 0 if info is None else info.job_try or 0

        return int(asyncio.run(self._with(use)))

    async def _with(self, use: Any) -> Any:
        redis = await create_pool(self._settings, default_queue_name=self._name)
        try:
            return await use(redis)
        finally:
            await redis.aclose()
