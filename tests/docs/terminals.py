"""Terminals in which the commands of a page are typed, one after the other."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.docs.blocks import Command, pattern
from tests.support.eventually import NeverHappenedError, wait_until
from tests.support.programs import ROOT
from tests.support.servers import free_port

END = "end-of-command-"
PATIENCE_S = 60.0


class Terminal:
    """A shell. What it and its programs print comes into a file."""

    def __init__(
        self, directory: Path, environment: dict[str, str], rewritten: dict[str, str], number: int
    ) -> None:
        self._directory, self._rewritten = directory, rewritten
        self._file = directory / f".terminal-{number}"
        self._commands, self._is_done = 0, True
        with self._file.open("wb") as out:
            self._shell = subprocess.Popen(
                ["bash", "--norc"],
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Everything so far."""
        return self._file.read_text(errors="replace")

    def run(self, command: Command, seen: str) -> None:
        """Run a command to its end, and compare what it prints."""
        self._commands += 1
        mark = f"{END}{self._commands}:"
        start = len(self.output)
        self._type(f"{self._line(command, seen)}\necho {mark}$?")
        self._is_done = False
        wait_until(lambda: mark in self.output[start:], PATIENCE_S, f"the end of `{command.line}`")
        self._is_done = True
        printed, _, code = self.output[start:].partition(mark)
        assert code.strip() == "0", f"`{command.line}` ends with {code.strip()}:\n{printed}"
        if command.output is not None:
            assert re.fullmatch(pattern(command.output), printed), (
                f"`{command.line}` prints:\n{printed}\nand not:\n" + "\n".join(command.output)
            )

    def shows(self, line: str) -> None:
        """Wait until it shows a line, wherever."""
        self._printed(line, 0, "what runs there")

    def start(self, command: Command, seen: str) -> None:
        """Start a command that does not end, and wait for what it is to print."""
        start = len(self.output)
        self._type(self._line(command, seen))
        for line in command.output or ():
            self._printed(line, start, command.line)

    def interrupt(self, command: Command) -> None:
        """Ctrl-C, and wait for what is printed then and for the end."""
        start = len(self.output)
        self._signal_children(signal.SIGINT)
        for line in command.output or ():
            self._printed(line, start, "Ctrl-C")

    def close(self) -> None:
        """End what runs in it."""
        self._signal_children(signal.SIGTERM)
        try:
            self._shell.communicate(timeout=PATIENCE_S if self._is_done else 0.1)
        except subprocess.TimeoutExpired:  # a command that failed the test, and goes on
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.communicate()

    def _signal_children(self, number: signal.Signals) -> None:
        for child in psutil.Process(self._shell.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it may just have ended
                child.send_signal(number)

    def _printed(self, line: str, start: int, what: str) -> None:
        expected = re.compile(pattern((line,)))
        try:
            wait_until(lambda: line == "..." or expected.search(self.output[start:]) is not None, PATIENCE_S)
        except NeverHappenedError:
            raise AssertionError(f"`{what}` does not print {line!r}, but:\n{self.output[start:]}") from None

    def _line(self, command: Command, seen: str) -> str:
        line = command.line
        for text, instead in self._rewritten.items():
            line = line.replace(text, instead)
        line = re.sub(r"^arq web( --port \d+)?", f"arq web --port {free_port()}", line)
        if "--ctl" in line and "--name" not in line:  # others of this user may run pools, too
            (socket,) = (self._directory / "arq-supervise").glob("*.sock")
            line += f" --control {socket}"
        for word in re.findall(r"[\w:/.-]+\.\.\.[\w:/.-]*", line):
            _, _, value = word.rpartition("=")
            shown = re.search(re.escape(value).replace(r"\.\.\.", r"[\w-]+"), seen)
            assert shown, f"nothing that was printed is {value}"
            line = line.replace(value, shown[0])
        return line

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{text}\n".encode())
        self._shell.stdin.flush()


def environment_in(directory: Path, more: dict[str, str]) -> dict[str, str]:
    """That of a user with the commands of this project on the path, and with nothing else of ours."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ARQ_", "PYTEST", "REDIS"))
    }
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"
    return (
        kept
        | {
            "PATH": path,
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "120",
        }
        | more
    )
