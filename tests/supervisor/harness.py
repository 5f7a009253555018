"""Starts the real command in a session of its own, reads its JSON log, and finds whoever it leaves behind."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import redis

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from supervisor.worker_id import parse_worker_id
from tests.supervisor.tidy import left_behind, untidy
from tests.support.eventually import PATIENCE_S, wait_until

ROOT = Path(__file__).resolve().parents[2]
MARK = "ARQ_TEST_POOL"
APP = (Path(__file__).parent / "app.py").read_text()
# a stop whose worker does not end takes as long as its limits
END_S = 60.0
QUICK = ("--backoff-base", "0.1", "--backoff-max", "0.5", "--heartbeat", "0.2", "--health-interval", "0.5",
         "--control", "off")  # fmt: skip


class Pool:
    """One running arq-supervise."""

    def __init__(self, directory: Path, port: int, mark: str) -> None:
        self.directory = directory
        self.mark = mark
        self.port = port
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal: int | None = None
        (directory / "app.py").write_text(APP)

    @property
    def environ(self) -> dict[str, str]:
        path = f"{self.directory}{os.pathsep}{ROOT}"
        return {**os.environ, "PYTHONPATH": path, "TEST_PORT": str(self.port), MARK: self.mark}

    def start(
        self,
        *arguments: str,
        settings: str = "app.Settings",
        quick: bool = True,
        on_terminal: bool = False,
        script: str = "",
        command: tuple[str, ...] = (),
        interpreter: tuple[str, ...] = (),
        stderr: Any = None,
        **environ: str,
    ) -> "Pool":
        """Start it with more `environ`; `command` comes first, `interpreter` are Python's options."""
        program = [script] if script else ["-m", "supervisor"]
        words = [*command, sys.executable, *interpreter, *program, settings, "--log-format", "json",
                 *(QUICK if quick else ()), *arguments]  # fmt: skip
        environment = {**self.environ, **environ}
        with open(self.log, "ab") as log:
            options: dict[str, Any] = {"env": environment, "cwd": self.directory, "stderr": stderr or log}
            if on_terminal:
                self._start_on_terminal(words, options)
            else:
                self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stderr or log,
                                                start_new_session=True, **options)  # fmt: skip
        return self

    def _start_on_terminal(self, words: list[str], options: dict[str, Any]) -> None:
        """In the foreground of a terminal of its own: what is written to `terminal` is typed."""
        self.terminal, slave = pty.openpty()
        take = f"""import os, fcntl, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv({words[0]!r}, {words!r})"""
        self.process = subprocess.Popen([sys.executable, "-c", take], stdin=slave, stdout=slave, **options)
        os.close(slave)

    def script_with(self, limits: dict[str, Any]) -> str:
        """A script for `start` with other limits: names are those of constants in `supervisor`."""
        settings = [(*name.rpartition(".")[::2], value) for name, value in limits.items()]
        lines = [f"import supervisor.{module}\nassert hasattr(supervisor.{module}, {name!r})\n"
                 f"supervisor.{module}.{name} = {value!r}\n" for module, name, value in settings]  # fmt: skip
        path = self.directory / "with_other_limits.py"
        path.write_text("".join(lines) + "from _arq_supervise import main\nmain()\n")
        return path.name

    # --- what it says ---------------------------------------------------------------------------------------------

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def events(self, name: str, **where: Any) -> list[dict[str, Any]]:
        """Its records of this event, with these values."""
        found = []
        for line in self.text().splitlines():
            _, start, rest = line.partition(
                '{"ts": '
            )  # behind half a line of a stack that another process writes
            with suppress(ValueError):
                record = json.loads(start + rest)
                if record.get("event") == name and all(
                    record.get(key) == value for key, value in where.items()
                ):
                    found.append(record)
        return found

    def wait_event(
        self, name: str, n: int = 1, timeout_s: float = PATIENCE_S, **where: Any
    ) -> dict[str, Any]:
        """Wait for the n-th such record and return it."""
        try:
            wait_until(
                lambda: len(self.events(name, **where)) >= n or self._is_over(), timeout_s, f"{n} x {name}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()[-6000:]}") from None
        found = self.events(name, **where)
        assert len(found) >= n, f"ended without {n} x {name} {where}:\n{self.text()[-6000:]}"
        return found[n - 1]

    def ready(self) -> "Pool":
        self.wait_event("pool.ready")
        return self

    def wait_started(self, job_id: str) -> None:
        """Wait until the job's own code runs (its lock is taken a little before that)."""
        wait_until(
            lambda: any(job_id in str(record["message"]) for record in self.events("log")),
            what=f"{job_id} runs",
        )

    def open_gate(self, name: str = "gate") -> None:
        """The jobs `until` that wait for this name may end."""
        (self.directory / name).touch()

    def _is_over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    # --- who there is ---------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def workers(self) -> dict[int, int]:
        """Slot -> pid of the workers that are ready now."""
        gone = {record["pid"] for record in self.events("child.exit")}
        ready = self.events("child.ready", role="worker")
        return {record["slot"]: record["pid"] for record in ready if record["pid"] not in gone}

    def steward(self) -> int:
        """The pid of the steward, which comes after the first worker, and may be ready after all of them."""
        self.wait_event("child.ready", role="steward")
        pid: int = self.events("child.ready", role="steward")[-1]["pid"]
        return pid

    def worker_of(self, owner: str) -> int:
        """The pid of the worker with this id."""
        worker = parse_worker_id(owner)
        assert worker is not None, owner
        return self.workers()[worker.slot]

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def survivors(self) -> list[int]:
        """Processes anywhere that carry our mark: the command itself and all that descends from it."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            is_marked = f"{MARK}={self.mark}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
            return is_marked and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.Error):
            return False

    # --- its end --------------------------------------------------------------------------------------------------

    def wait(self, timeout_s: float = END_S) -> int:
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s:\n{self.text()[-6000:]}") from None

    def stop(self, timeout_s: float = END_S) -> int:
        """TERM, and the exit code. Whatever has happened before, it must have cleaned up after it by now."""
        self.check_tidy()
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def check_tidy(self) -> None:
        """No zombie, no thread, no descriptor too many."""
        untidied: list[str] = []

        def is_tidy() -> bool:
            untidied[:] = untidy(self.pid)
            return not untidied or self._is_over()

        try:
            wait_until(is_tidy, what="a tidy supervisor")
        except AssertionError:
            raise AssertionError(f"left behind: {untidied}\n{self.text()[-3000:]}") from None

    def wait_gone(self, timeout_s: float = PATIENCE_S) -> None:
        """Nobody is left."""
        wait_until(lambda: not self.survivors(), timeout_s, "every process gone")

    def close(self) -> list[int]:
        """End whatever is left; returns those that should not have been there."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_S)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        if self.terminal is not None:
            os.close(self.terminal)
        with suppress(AssertionError):
            self.wait_gone()
        left = self.survivors()
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return left


@contextmanager
def pool_in(directory: Path, port: int) -> Iterator[Pool]:
    """A pool that leaves nobody behind, or the test fails."""
    pool = Pool(directory, port, uuid.uuid4().hex)
    try:
        yield pool
    finally:
        left = pool.close()
        # shown where a test fails, whoever noticed it
        sys.stdout.write(f"the pool's log ended with:\n{pool.text()[-6000:]}\n")
    left_over = [*map(str, left), *left_behind(directory)]
    assert not left_over, f"left behind: {left_over}\n{pool.text()[-4000:]}"


class Queue:
    """The producer's side, without a loop of one's own in each test."""

    def __init__(self, where: int | RedisSettings) -> None:
        """`where` is a port of this host, or the whole address."""
        self._settings = (
            RedisSettings(port=where, conn_timeout=10, conn_retries=0) if isinstance(where, int) else where
        )

    async def _with(self, use: Any) -> Any:
        redis = await create_pool(self._settings)
        try:
            return await use(redis)
        finally:
            await redis.aclose()

    def put(self, function: str, *args: Any, **options: Any) -> str:
        """Enqueue one job; returns its id."""

        async def use(redis: ArqRedis) -> str:
            job = await redis.enqueue_job(function, *args, **options)
            assert job is not None
            return job.job_id

        return str(asyncio.run(self._with(use)))

    def put_many(self, function: str, count: int, *args: Any) -> list[str]:
        async def use(redis: ArqRedis) -> list[str]:
            jobs = [await redis.enqueue_job(function, *args) for _ in range(count)]
            return [job.job_id for job in jobs if job is not None]

        return list(asyncio.run(self._with(use)))

    def put_each(self, functions: Iterable[str]) -> None:
        """One job for each function."""

        async def use(redis: ArqRedis) -> None:
            await redis.enqueue_jobs(functions)

        asyncio.run(self._with(use))

    def put_numbered(self, function: str, numbers: Iterable[int], *args: Any) -> None:
        """One job for each number, which is its first argument."""

        async def use(redis: ArqRedis) -> None:
            await redis.enqueue_jobs([(function, number, *args) for number in numbers])

        asyncio.run(self._with(use))

    def result(self, job_id: str, timeout_s: float = PATIENCE_S) -> Any:
        """What the job returned; raises what it raised."""

        async def use(redis: ArqRedis) -> Any:
            return await Job(job_id, redis).result(timeout=timeout_s, poll_delay=0.02)

        return asyncio.run(self._with(use))

    def results(self, job_ids: Iterable[str]) -> list[Any]:
        """What they returned."""

        async def use(redis: ArqRedis) -> list[Any]:
            return [await Job(one, redis).result(timeout=PATIENCE_S, poll_delay=0.02) for one in job_ids]

        return list(asyncio.run(self._with(use)))

    def tries(self, job_id: str) -> int:
        async def use(redis: ArqRedis) -> int:
            info = await Job(job_id, redis).result_info()
            assert info is not None
            return info.job_try or 0

        return int(asyncio.run(self._with(use)))


def change_code(pool: Pool, old: str, new: str) -> None:
    """Edit the application as a deployment does."""
    path = pool.directory / "app.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def owner_of(redis_client: redis.Redis, job_id: str) -> str:
    """Wait until the job is running; the id of its worker."""
    value = wait_until(lambda: redis_client.get(f"arq:in-progress:{job_id}"), what="the job is running")
    assert isinstance(value, bytes)
    return value.decode()
