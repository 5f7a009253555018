"""The client of a debugger: as much of the Debug Adapter Protocol as one breakpoint takes."""

import json
import socket
import threading
from itertools import count
from typing import Any

from tests.support.eventually import wait_until

PATIENCE_S = 60.0


class Debugger:
    """Attaches to a process and to all that it starts, sets a breakpoint, and goes on wherever it is hit."""

    def __init__(self, port: int, file: str, line: int) -> None:
        self.hits: list[int] = []  # ports of the sessions
        self._file, self._line = file, line
        self._threads: list[threading.Thread] = []
        self._attach(port, {"connect": {"host": "127.0.0.1", "port": port}, "subProcess": True})

    def close(self) -> None:
        """Wait until every session has ended, which happens with its process."""
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _attach(self, port: int, arguments: dict[str, Any]) -> None:
        thread = threading.Thread(target=self._run_session, args=(port, arguments), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run_session(self, port: int, arguments: dict[str, Any]) -> None:
        with socket.socket() as sock:
            wait_until(lambda: sock.connect_ex(("127.0.0.1", port)) == 0, what="the debugger listens")
            stream, numbers = sock.makefile("rwb"), count(1)

            def ask(command: str, **body: Any) -> None:
                request = {"seq": next(numbers), "type": "request", "command": command, "arguments": body}
                data = json.dumps(request).encode()
                stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
                stream.flush()

            ask("initialize", adapterID="test", linesStartAt1=True, columnsStartAt1=True)
            ask("attach", **arguments)
            while message := _read(stream):
                self._react(message, ask, port)

    def _react(self, message: dict[str, Any], ask: Any, port: int) -> None:
        body = message.get("body") or {}
        match message.get("event"):
            case "initialized":
                ask("setBreakpoints", source={"path": self._file}, breakpoints=[{"line": self._line}])
                ask("configurationDone")
            case "stopped":
                self.hits.append(port if body["reason"] == "breakpoint" else 0)
                ask("continue", threadId=body["threadId"])
            case "terminated":
                ask("disconnect")
            case "debugpyAttach":
                self._attach(body["connect"]["port"], body)


def _read(stream: Any) -> dict[str, Any]:
    """The next message; empty at the end."""
    try:
        length = 0
        while line := stream.readline().strip():
            length = int(line.removeprefix(b"Content-Length:"))
        message: dict[str, Any] = json.loads(stream.read(length)) if length else {}
    except (OSError, ValueError):
        return {}
    return message
