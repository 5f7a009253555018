"""One fault's stage: a directory, a broker, one running pool, somebody who sends jobs, and the journal of it all."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.faults.broker import Broker, free_port
from benchmarks.faults.peers import WORKERS, Peer
from benchmarks.faults.processes import descendants, is_alive, kill, reap_adopted
from benchmarks.faults.waiting import wait

APPS = Path(__file__).parent / "apps"
GOOD_CODE = 'VERSION = "{version}"\n'
SETTLE_S = 0.5  # a worker that says it is up may still have to install its handlers
Note = dict[str, Any]


class Scene:
    """A context manager; whatever the peer left behind is ended at its end."""

    def __init__(self, peer: Peer, programs: Path, directory: Path) -> None:
        self.peer, self.programs, self.directory = peer, programs, directory
        self.port = free_port()
        self.broker = None if peer.is_web else Broker(directory)
        self.pools: list[subprocess.Popen[bytes]] = []
        self._producer: subprocess.Popen[str] | None = None
        self._journal = directory / "journal"
        self._read, self._notes = 0, list[Note]()
        self.home = directory
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(directory),
            "PYTHONUNBUFFERED": "1",
            # code that is changed twice within a second would otherwise be taken for unchanged
            "PYTHONDONTWRITEBYTECODE": "1",
            "FAULTS_JOURNAL": str(self._journal),
            "FAULTS_DSN": self.broker.dsn if self.broker else "",
            "FAULTS_PORT": str(self.port),
            **{name: value.format(dir=directory) for name, value in peer.environ},
        }
        self._senders_environ = dict(self.environ)

    def __enter__(self) -> Self:
        for source in APPS.glob("*.py"):
            shutil.copy(source, self.directory)
        (self.directory / "run").mkdir(mode=0o700)
        self._journal.touch()
        self.write_code()
        if self.broker:
            self.broker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        if self._producer:
            self._producer.kill()
            self._producer.communicate()
        if self.broker:
            self.broker.close()

    # --- the application's code -----------------------------------------------------------------------------------

    def write_code(self, text: str = "", version: str = "1") -> None:
        """Replace `version.py`: with `text`, or with good code of this version."""
        new = self.directory / "version.new"
        new.write_text(text or GOOD_CODE.format(version=version))
        new.rename(self.directory / "version.py")

    # --- the pool -------------------------------------------------------------------------------------------------

    @property
    def main(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        return self.pools[-1]

    def start(
        self, *before: str, output: IO[bytes] | int | None = None, terminal: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the pool in `home`, with `environ`. Returns at once.

        `before` is put in front of its command. A `terminal` controls it, as a window does, and shows what it prints.
        """
        if terminal is not None:
            output, before = terminal, ("setsid", "--ctty", *before)  # the same process, see its manual
        words = self.peer.words(
            port=self.port, dsn=self.broker.dsn if self.broker else "", dir=self.directory
        )
        command = [*before, str(self.programs / words[0]), *words[1:]]
        with self._log.open("ab") as log:
            pool = subprocess.Popen(
                command,
                cwd=self.home,
                env=self.environ,
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=log if output is None else output,
                stderr=log if output is None else output,
                start_new_session=terminal is None,
            )
        self.pools.append(pool)
        return pool

    def start_ready(
        self, *before: str, output: IO[bytes] | int | None = None, terminal: int | None = None
    ) -> float:
        """Start it and wait for all workers; seconds that took. An exception if they never come."""
        self.open_producer()
        already = len(self.ups())
        self.start(*before, output=output, terminal=terminal)
        took_s = self.until(lambda: len(self.ups()) >= already + WORKERS, 30)
        if took_s is None:
            raise RuntimeError(f"{self.peer.name} did not start\n{self.log()[-3000:]}")
        if not self.serves(f"first{already}", 10):
            raise RuntimeError(f"{self.peer.name} does not serve\n{self.log()[-3000:]}")
        time.sleep(SETTLE_S)
        return took_s

    def signal(self, number: signal.Signals) -> int:
        """To the main process; returns when."""
        return kill(self.main.pid, number)

    def ended(self, limit_s: float) -> float | None:
        """Seconds until the main process ended; None when it is still there."""
        return wait(lambda: self.main.poll() is not None, limit_s)

    def left(self, limit_s: float = 1.0) -> int:
        """Processes of the pool that are still there after at most `limit_s`."""
        self.until(lambda: not self.processes(), limit_s)
        return len(self.processes())

    def processes(self) -> list[int]:
        """Everyone who lives and descends from the pool, orphans too."""
        others = {process.pid for process in (self._producer, *self.pools) if process}
        if self.broker and self.broker.pid:
            others.add(self.broker.pid)
        reap_adopted(others)
        for pool in self.pools:
            pool.poll()
        ours = others - {pool.pid for pool in self.pools}
        return [pid for pid in descendants(os.getpid()) if pid not in ours and is_alive(pid)]

    def clear(self) -> None:
        """Kill what is left of the pool, stopped or not."""
        for _ in range(20):
            for pid in self.processes():
                kill(pid)
            if self.left(0.5) == 0:
                return

    # --- jobs -----------------------------------------------------------------------------------------------------

    def open_producer(self) -> None:
        """Start who sends jobs, with the code as it is now."""
        if self._producer:
            return
        with self._log.open("ab") as log:
            self._producer = subprocess.Popen(
                [str(self.programs / "python"), "producer.py", self.peer.producer],
                cwd=self.directory, env=self._senders_environ, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        if self._answer() != "ready":
            raise RuntimeError(f"{self.peer.name}: the producer did not start\n{self.log()[-3000:]}")

    def close_producer(self) -> None:
        """The next job is sent by a new one: an outage leaves no mark on it."""
        if self._producer:
            self._producer.kill()
            self._producer.communicate()
            self._producer = None

    def _answer(self) -> str:
        assert self._producer is not None
        assert self._producer.stdout is not None
        return self._producer.stdout.readline().strip()

    def send(self, kind: str, job: str, *arguments: object) -> str:
        """Enqueue a job (or begin a request) and return its name."""
        self.open_producer()
        assert self._producer is not None
        assert self._producer.stdin is not None
        self._producer.stdin.write(json.dumps([kind, job, *arguments]) + "\n")
        self._producer.stdin.flush()
        if (answer := self._answer()) != "sent":
            raise RuntimeError(f"{self.peer.name}: could not send {job}: {answer}")
        return job

    def send_started(self, kind: str, job: str, *arguments: object) -> Note:
        """Send it and wait until it runs; the note of its start."""
        self.send(kind, job, *arguments)
        if self.until(lambda: self.starts(job), 15) is None:
            raise RuntimeError(f"{self.peer.name}: {job} did not start\n{self.log()[-3000:]}")
        return self.starts(job)[0]

    def serves(self, job: str, limit_s: float) -> float | None:
        """Seconds until a job that is sent now was done. A server's clients may have to ask again."""
        began = time.monotonic()
        for number in itertools.count():
            left_s = began + limit_s - time.monotonic()
            name = self.send("nap", f"{job}.{number}", 0)
            if left_s <= 0 or self.until(partial(self.is_settled, name), left_s) is None:
                return None
            if self.is_done(name):
                break
            time.sleep(0.05)
        return round(time.monotonic() - began, 3)

    # --- what was written down ------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], limit_s: float) -> float | None:
        """As `wait`."""
        return wait(condition, limit_s)

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def log(self) -> str:
        """What the pool printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def notes(self, event: str, job: str = "") -> list[Note]:
        """The journal's records of this event, of this job."""
        with self._journal.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        self._notes += [json.loads(line) for line in whole.splitlines()]
        return [one for one in self._notes if one["event"] == event and job in ("", one.get("job"))]

    def ups(self) -> list[Note]:
        """Every worker that ever began."""
        return self.notes("up")

    def workers(self) -> list[int]:
        """Those that began and live."""
        return [pid for pid in dict.fromkeys(note["pid"] for note in self.ups()) if is_alive(pid)]

    def starts(self, job: str) -> list[Note]:
        """Each time the job began."""
        return self.notes("start", job)

    def starts_of(self, version: str) -> list[Note]:
        """Each time a job began with the code of this version."""
        return [note for note in self.notes("start") if note["version"] == version]

    def is_done(self, job: str) -> bool:
        """It came to its end (a request: and was answered)."""
        return bool(self.notes("answer" if self.peer.is_web else "end", job))

    def is_settled(self, job: str) -> bool:
        """Done, or never to be."""
        return self.is_done(job) or self.is_broken(job)

    def is_broken(self, job: str) -> bool:
        """A request that was not answered."""
        return bool(self.notes("broken", job))


def since_s(began_ns: int, then_ns: int | None = None) -> float:
    """Seconds from one moment (ns of CLOCK_MONOTONIC) to another, or to now."""
    return round(((then_ns or time.monotonic_ns()) - began_ns) / 1e9, 3)
