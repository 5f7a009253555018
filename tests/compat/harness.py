"""Runs the original arq and ours side by side, each in its own interpreter, on one Redis."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import redis

from tests.support.environments import making
from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import RedisServer

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "peers"
ORIGINAL = "arq==0.28.0"
ENVIRONMENT = ROOT / ".venv-arq028" / f"py{sys.version_info.major}.{sys.version_info.minor}"
NO_INTEROP_VARIABLE = "ARQ_TEST_NO_INTEROP"


class NoEnvironmentError(RuntimeError):
    """The original arq could not be installed."""


@dataclass(frozen=True)
class Implementation:
    """One of the two: how to start a Python that imports it."""

    name: str
    python: str
    path: str = ""

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of its processes; only ours sees this tree."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COMPAT_", "ARQ_"))}
        env["PYTHONPATH"] = self.path
        return {**env, **extra}


def ours() -> Implementation:
    """This tree under the interpreter that runs the tests."""
    return Implementation("ours", sys.executable, str(ROOT))


def original() -> Implementation:
    """Arq 0.28.0, installed on first use into a directory that git ignores."""
    python = ENVIRONMENT / "bin" / "python"
    with making(ENVIRONMENT) as is_needed:
        if is_needed:
            _install(python)
    return Implementation("original", str(python))


def _install(python: Path) -> None:
    pip = [
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        ORIGINAL,
        "msgpack",
        "uvloop",
    ]
    for command in ([sys.executable, "-m", "venv", str(ENVIRONMENT)], pip):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            last = (run.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoEnvironmentError(
                f"{ORIGINAL} could not be installed into {ENVIRONMENT} ({last}); "
                f"give access to a package index or set {NO_INTEROP_VARIABLE}=1 to leave these tests out"
            )


@dataclass
class Place:
    """A queue of its own on the server of the test session."""

    dsn: str
    queue: str = field(default_factory=lambda: f"q:{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.redis = redis.Redis.from_url(self.dsn, decode_responses=True)
        # of tests before: a lock of a schedule's run lasts for a minute
        self._old_locks = set(self._all_locks())

    def runs(self) -> list[tuple[str, int, str, str]]:
        """What ran so far, in order: (job id, try, worker, function)."""
        lines: list[str] = self.redis.lrange(f"ran:{self.queue}", 0, -1)  # type: ignore[assignment]
        return [(job, int(tried), worker, what) for job, tried, worker, what in (x.split("|") for x in lines)]

    def locks(self) -> list[str]:
        """Job ids that somebody holds, and nobody held when the test began."""
        return [job_id for job_id in self._all_locks() if job_id not in self._old_locks]

    def _all_locks(self) -> list[str]:
        return [
            str(key).removeprefix("arq:in-progress:") for key in self.redis.scan_iter("arq:in-progress:*")
        ]

    def open_gate(self) -> None:
        """The jobs `until_told` may end."""
        self.redis.set(f"gate:{self.queue}", 1, ex=600)

    def queued(self) -> int:
        """Length of the queue, with deferred and running jobs."""
        return int(self.redis.zcard(self.queue))


@contextlib.contextmanager
def own_database(server: RedisServer, number: int) -> Iterator[Place]:
    """A place that has one of the server's databases for itself, empty."""
    place = Place(f"{server.dsn}/{number}")
    place.redis.flushdb()
    yield place
    place.redis.close()


class Answer(dict[str, Any]):
    """The answer of a client process to one request."""

    @property
    def value(self) -> Any:
        """What the operation returned; an AssertionError if it raised."""
        assert "ok" in self, f"{self.get('error')}: {self.get('message')}"
        return self["ok"]


class Client:
    """A client process of one implementation."""

    def __init__(self, implementation: Implementation, place: Place) -> None:
        self.name = implementation.name
        self.process = subprocess.Popen(
            [implementation.python, str(PEERS / "client.py"), place.dsn, place.queue],
            env=implementation.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, op: str, **arguments: Any) -> Answer:
        """Do one operation there and wait for its end."""
        self.send(op, **arguments)
        return self.receive()

    def send(self, op: str, **arguments: Any) -> None:
        """Start an operation; `receive` gets its answer."""
        pipe = self._pipe(self.process.stdin)
        pipe.write(json.dumps({"op": op, **arguments}) + "\n")
        pipe.flush()

    def receive(self) -> Answer:
        """The answer of the oldest request without one."""
        line = self._pipe(self.process.stdout).readline()
        assert line, f"the {self.name} client ended with status {self.process.wait()}"
        return Answer(json.loads(line))

    def enqueue(self, function: str, *args: Any, **options: Any) -> Any:
        """Job id of the new job, None if there is one already. Names with an underscore are arq's options."""
        kwargs = {k: options.pop(k) for k in list(options) if not k.startswith("_")}
        return self.ask("enqueue", function=function, args=args, kwargs=kwargs, options=options).value

    def enqueue_number(self, number: int) -> Any:
        """Job id of a new job whose argument is of a class that only some have."""
        return self.ask("enqueue_number", number=number).value

    def result(self, job_id: str, timeout: float = PATIENCE_S) -> Answer:
        """The result as the client sees it."""
        return self.ask("result", job_id=job_id, timeout=timeout)

    def close(self) -> None:
        """End the process."""
        self._pipe(self.process.stdin).close()
        self.process.wait(PATIENCE_S)
        self._pipe(self.process.stdout).close()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


class Worker:
    """A worker process of one implementation, started by the `arq` command."""

    def __init__(
        self,
        implementation: Implementation,
        place: Place,
        log: Path,
        *,
        name: str = "",
        cron: str = "",
        arguments: tuple[str, ...] = (),
        **settings: Any,
    ) -> None:
        self.name = name or f"{implementation.name}-{uuid.uuid4().hex[:6]}"
        self.place = place
        self.log = log / f"{self.name}.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [implementation.python, "-m", "arq", "jobs.WorkerSettings", *arguments],
                cwd=PEERS,
                env=implementation.environment(
                    COMPAT_DSN=place.dsn,
                    COMPAT_QUEUE=place.queue,
                    COMPAT_NAME=self.name,
                    COMPAT_CRON=cron,
                    COMPAT_SETTINGS=json.dumps(settings),
                ),
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def health_key(self) -> str:
        """Where it writes its health line."""
        return f"health:{self.name}"

    def wait_ready(self) -> None:
        """Return when the worker polls its queue."""
        wait_until(self._polls, 2 * PATIENCE_S, f"worker {self.name} polls:\n{self.log.read_text()}")

    def _polls(self) -> bool:
        assert self.process.poll() is None, (
            f"ended with status {self.process.returncode}:\n{self.log.read_text()}"
        )
        return bool(self.place.redis.exists(self.health_key))

    def stop(self, signum: int = signal.SIGTERM, timeout_s: float = PATIENCE_S) -> int:
        """Send a signal and return the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signum)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """End it in any case."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def running(implementation: Implementation, place: Place, log: Path, **settings: Any) -> Iterator[Worker]:
    """A worker that polls, ended with SIGTERM."""
    worker = Worker(implementation, place, log, **settings)
    try:
        worker.wait_ready()
        yield worker
        worker.stop()
    finally:
        worker.kill()


@contextlib.contextmanager
def connected(implementation: Implementation, place: Place) -> Iterator[Client]:
    """A client process."""
    client = Client(implementation, place)
    try:
        yield client
    finally:
        client.close()
