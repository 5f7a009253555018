#!/usr/bin/env bash
# uvicorn, --workers 2: its watchdog kills a worker that computes for 5 s in C, and never sees an event loop that is stuck.
#
# Most would guess: the parent asks its workers whether they live (--timeout-worker-healthcheck, 5 s) in order to replace
#   one whose event loop stands still; a request that is at work is left to end, or to the limit of a graceful stop.
# What is so: the answer comes from a thread of the worker. Whatever lets that thread run is healthy, so a handler that
#   blocks the loop in time.sleep, a lock or a database driver keeps it blocked for as long as it likes, with all other
#   requests of that worker. A handler whose one call into C holds the interpreter's lock for 5 s gets SIGKILL without
#   a SIGTERM before: its client loses the connection, though nothing was stuck.
# Versions: uvicorn 0.54.0, Python 3.11, Linux.
# Output seen:
#   loop blocked for 14 s in time.sleep:     answered, 0 worker(s) replaced, shutdown hook run: False
#   one sum() for about 14 s, no sleep:      connection lost, 1 worker(s) replaced, shutdown hook run: False
# Why it matters to a supervisor: liveness that a thread answers tells of the interpreter's lock, not of the loop that does
#   the work. The sign of life has to be written by the loop itself, the limit be longer than the longest honest
#   stretch of work, and the end begin with a dump and SIGTERM.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0
cd "$work"
cat >pages.py <<'PYTHON'
import time


def note(word: str) -> None:
    with open("notes", "a") as file:
        file.write(f"{word}\n")


def numbers_for(seconds: float) -> int:
    """How many numbers `sum` adds up in about so many seconds here."""
    begun = time.perf_counter()
    sum(range(10_000_000))
    return int(10_000_000 * seconds / (time.perf_counter() - begun))


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        note("start")
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                note("shutdown")
                return
    if scope["path"] == "/sleep":
        time.sleep(14)
    if scope["path"] == "/compute":
        sum(range(numbers_for(14)))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})
PYTHON
cat >measure.py <<'PYTHON'
import http.client
import os
import socket
import subprocess
import sys
import time
import urllib.request

os.environ["PYTHONPATH"] = os.getcwd()
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]


def notes(word: str) -> int:
    with open("notes") as file:
        return file.read().split().count(word)


def ask(path: str) -> bool:
    """Whether an answer came."""
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120).read() == b"here"
    except (OSError, http.client.HTTPException):
        return False


def measure(path: str) -> tuple[bool, int, bool]:
    """Whether `path` was answered, how many workers were started since, whether one was asked to stop."""
    before = notes("start"), notes("shutdown")
    is_answered = ask(path)
    time.sleep(6)  # the parent sees to its children twice a second
    return is_answered, notes("start") - before[0], notes("shutdown") > before[1]


parent = subprocess.Popen(
    [os.path.join(os.path.dirname(sys.executable), "uvicorn"), "pages:app", "--workers", "2", "--port", str(port)],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)  # fmt: skip
while not (os.path.exists("notes") and notes("start") == 2 and ask("/")):
    time.sleep(0.1)
slept, computed = measure("/sleep"), measure("/compute")
parent.terminate()
parent.wait(60)
for what, (is_answered, started, was_asked) in (
    ("loop blocked for 14 s in time.sleep:    ", slept),
    ("one sum() for about 14 s, no sleep:     ", computed),
):
    print(what, "answered," if is_answered else "connection lost,", f"{started} worker(s) replaced,",
          f"shutdown hook run: {was_asked}")  # fmt: skip
sys.exit((slept, computed) != ((True, 0, False), (False, 1, False)))
PYTHON
"$work/venv/bin/python" measure.py
