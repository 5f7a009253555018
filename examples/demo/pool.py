"""`arq-supervise` as a child process of the demonstration, seen through its own log."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class DemoError(Exception):
    """What went wrong, in one line for the person who watches."""


class Pool:
    """Starts the supervisor and collects what its log says.

    Nothing here is needed to use the supervisor: a service manager or a shell starts it with `command`. With a `token`
    viewers of the dashboard may act on what they see.
    """

    def __init__(self, log_file: Path, procs: int, *, has_web: bool = False, token: str = "") -> None:
        self.name = f"demo-{os.getpid()}"  # two demonstrations at the same time are two pools
        self.command = [
            *("arq-supervise", "examples.demo.jobs.WorkerSettings"),
            *("--procs", str(procs), "--embedded-redis"),
            *(("--web", "127.0.0.1:0") if has_web else ()),
            *(("--web-allow", "all") if has_web and token else ()),
            *("--name", self.name, "--log-format", "json"),
        ]
        self.events: list[Event] = []
        self._log_file = log_file
        self._read_to = 0
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor", *self.command[1:]],
                env={**os.environ, "ARQ_WEB_TOKEN": token} if token else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def look(self) -> None:
        """Read what the log has got since the last look. Raises DemoError if the supervisor is no more."""
        ended = self._process.poll()
        self._read_log()
        if ended is not None:
            raise DemoError(f"arq-supervise ended with exit code {ended}: {self._last_words()}")

    def named(self, name: str) -> list[Event]:
        """The events of this name so far, oldest first."""
        return [event for event in self.events if event.get("event") == name]

    async def first(self, name: str, timeout_s: float = 30) -> Event:
        """Wait for the first event of this name. Raises DemoError."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.named(name):
                    self.look()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise DemoError(f"no {name!r} from arq-supervise within {timeout_s:g} s") from None
        return self.named(name)[0]

    def pid_of(self, slot: int) -> int:
        """The process that serves this slot now."""
        ready = [
            event
            for event in self.named("child.ready")
            if event["role"] == "worker" and event["slot"] == slot
        ]
        if not ready:
            raise DemoError(f"arq-supervise has not said that worker {slot} is ready")
        return int(max(ready, key=when)["pid"])

    def stop(self, timeout_s: float = 30) -> int:
        """Ask for a graceful stop and wait for it; the supervisor's exit code. Raises DemoError."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            exit_code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DemoError(f"arq-supervise was still there {timeout_s:g} s after SIGTERM") from None
        self._read_log()
        return exit_code

    def _read_log(self) -> None:
        with self._log_file.open("rb") as log:
            log.seek(self._read_to)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                self.events.append(parse(line.decode(errors="replace")))

    def _last_words(self) -> str:
        texts = [event.get("text") or event.get("message") or event.get("event") for event in self.events]
        return str(texts[-1]) if texts else "it said nothing"


def parse(line: str) -> Event:
    """A record of the log; a line that is none is kept as text."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    return record if isinstance(record, dict) else {"text": line.strip()}


def when(event: Event) -> str:
    """Time of an event, comparable with that of another."""
    return str(event["ts"])
