"""Breakpoints in jobs."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.tools.conftest import APP, Tool
from tests.tools.debugger import Debugger

APP_WITH_PLACE = APP.replace("async def work(ctx):", "async def work(ctx):\n    hit = os.getpid()")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_debugpy(tool: Tool, python_with: Callable[..., Path]) -> None:
    python, port = python_with("debugpy==1.8.22"), free_port()
    line = APP_WITH_PLACE.splitlines().index("    hit = os.getpid()") + 1
    tool.launch(python, "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client", "-m", "supervisor",
                app=APP_WITH_PLACE)  # fmt: skip
    debugger = Debugger(port, os.fspath(tool.folder / "app.py"), line)
    tool.pool.ready()
    assert len(tool.pids_at_work()) == 2
    sessions = set(debugger.hits)
    assert 0 not in sessions
    tool.stop()
    debugger.close()
    assert len(debugger.hits) >= 2
