#!/usr/bin/env bash
# hypercorn, --workers 2: kill -9 of one worker ends the whole server with exit code 0 and not a word in the log.
#
# Most would guess: a server that starts N workers starts a dead one again, as gunicorn and uvicorn do; or, if it gives
#   up, it says so and ends with an error, so that `Restart=on-failure` brings it back.
# What is so: hypercorn 0.18 takes the death of any child for the wish to stop: it stops the others and returns, exit code
#   0, nothing logged. granian 2.8.9 does give up as it comes, but logs an error and ends with 1; it has
#   --respawn-failed-workers. uvicorn and gunicorn start a new child.
# Versions: hypercorn 0.18.0, granian 2.8.9, gunicorn 27.0.1, uvicorn 0.54.0, psutil 7.2.2, Python 3.11, Linux.
# Output seen:
#   hypercorn one of 2 workers killed: server gone, exit code 0, log silent
#   granian   one of 2 workers killed: server gone, exit code 1, logged
#   gunicorn  one of 2 workers killed: server lives with 2 workers, logged
#   uvicorn   one of 2 workers killed: server lives with 2 workers, logged
# Why it matters to a supervisor: the kernel's OOM killer picks one worker, and the service is down: systemd counts a clean
#   exit, and neither `Restart=on-failure` nor an alert on failed units sees it. What takes an exit code for the truth
#   has to know who writes it; such a server needs `Restart=always`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hypercorn==0.18.0 granian==2.8.9 gunicorn==27.0.1 \
    uvicorn==0.54.0 psutil==7.2.2
cd "$work"
cat >pages.py <<'PYTHON'
import os


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
PYTHON
cat >measure.py <<'PYTHON'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil

BIN = os.path.dirname(sys.executable)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def command(name: str, port: int) -> list[str]:
    return {
        "hypercorn": ["pages:app", "--workers", "2", "--bind", f"127.0.0.1:{port}"],
        "granian": ["pages:app", "--interface", "asgi", "--workers", "2", "--port", str(port)],
        "gunicorn": ["pages:app", "-k", "asgi", "--workers", "2", "--bind", f"127.0.0.1:{port}", "--no-control-socket"],
        "uvicorn": ["pages:app", "--workers", "2", "--port", str(port)],
    }[name]


def ask(port: int) -> int:
    """The process that answers."""
    for _ in range(200):
        try:
            return int(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read())
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server never answered")


def workers(parent: subprocess.Popen[bytes]) -> int:
    helpers = ("resource_tracker", "forkserver")
    return sum(
        child.status() != psutil.STATUS_ZOMBIE and not any(word in " ".join(child.cmdline()) for word in helpers)
        for child in psutil.Process(parent.pid).children(recursive=True)
    )


def measure(name: str) -> tuple[int | None, int, bool]:
    """Exit code or None, workers, whether the log has a word on it: six seconds after one of two workers was killed."""
    port = free_port()
    parent = subprocess.Popen(
        [f"{BIN}/{name}", *command(name, port)], stdout=open(f"{name}.log", "wb"), stderr=subprocess.STDOUT
    )
    ask(port)
    time.sleep(2)  # both are up
    said = os.path.getsize(f"{name}.log")
    os.kill(ask(port), signal.SIGKILL)
    time.sleep(6)
    code = parent.poll()
    left = workers(parent) if code is None else 0
    is_logged = os.path.getsize(f"{name}.log") > said
    if code is None:
        parent.terminate()
        parent.wait(30)
    fate = f"lives with {left} workers" if code is None else f"gone, exit code {code}"
    print(f"{name:9} one of 2 workers killed: server {fate},", "logged" if is_logged else "log silent", flush=True)
    return code, left, is_logged


os.environ["PYTHONPATH"] = os.getcwd()
seen = {name: measure(name) for name in ("hypercorn", "granian", "gunicorn", "uvicorn")}
sys.exit(
    seen
    != {
        "hypercorn": (0, 0, False),
        "granian": (1, 0, True),
        "gunicorn": (None, 2, True),
        "uvicorn": (None, 2, True),
    }
)
PYTHON
"$work/venv/bin/python" measure.py
