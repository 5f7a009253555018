"""Start Python programs of this tree as a user would, and read what they print."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.eventually import PATIENCE_S, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """A running program, its stdout and stderr in files: it never waits for a reader."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], directory: Path) -> None:
        number = len(list(directory.glob("*.out")))
        self._out, self._err = directory / f"{number}.out", directory / f"{number}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    def printed(self, text: str, times: int = 1) -> None:
        """Wait until `text` was printed to stdout or stderr; fail when the program ends without."""

        def seen() -> bool:
            over = self.process.poll() is not None
            found = (self.stdout + self.stderr).count(text) >= times
            assert found or not over, f"ended without printing {text!r}:\n{self.stdout}\n{self.stderr}"
            return found

        wait_until(seen, 60, f"{text!r} printed")

    def ended(self, timeout_s: float = 60) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(timeout_s)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(signum)
        return self.ended()


@contextlib.contextmanager
def program_starter(directory: Path, environment: dict[str, str]) -> Iterator[Callable[..., Program]]:
    """Yields `start(*arguments)`; what still runs afterwards is killed."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Program:
            program = Program(arguments, environment, directory)
            stack.callback(_kill, program.process)
            return program

        yield start


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(PATIENCE_S)
