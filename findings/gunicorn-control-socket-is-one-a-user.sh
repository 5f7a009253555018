#!/usr/bin/env bash
# gunicorn's new control socket is one for each user, not for each server: the second takes it, its end leaves none.
#
# Most would guess: `gunicornc -c "worker add 2"` speaks to the server that one means; of two servers of one user the
#   second says that the path is taken, or each has a path of its own, by pid, name or port; and after an upgrade in place
#   (USR2) the new master can be spoken to.
# What is so: every server of a user listens at ~/.gunicorn/gunicorn.ctl, and the newest takes the path without a word.
#   A command that was meant for the first one is carried out by the second, with exit code 0. When that ends it removes
#   the path, and the first, which still runs, can't be reached any more; the same after USR2, once the old master has gone.
# Versions: gunicorn 27.0.1, Python 3.11, Linux.
# Output seen:
#   one server: gunicornc speaks to the first
#   second server of the same user started: gunicornc speaks to the second; words on it in its log: 0
#   second one stopped: gunicornc exit code 1, first one lives: True
#   USR2, then the old master stopped: gunicornc exit code 1, new one lives: True
# Why it matters to a supervisor: two applications of one account are the ordinary case on a host; "scale up the shop"
#   scales the blog. A control socket must be named by what it controls, refuse a path that somebody listens at,
#   and only be removed by the one that owns what lies there now.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check gunicorn==27.0.1
cd "$work"
cat >pages.py <<'PYTHON'
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
PYTHON
cat >measure.py <<'PYTHON'
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

BIN = os.path.dirname(sys.executable)
HOME = os.path.join(os.getcwd(), "home")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
ENVIRONMENT |= {"HOME": HOME, "PYTHONPATH": os.getcwd()}
SOCKET = f"{HOME}/.gunicorn/gunicorn.ctl"


def eventually(holds: Callable[[], object], what: str) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.1)
    raise SystemExit(f"never: {what}")


def told(name: str) -> str:
    with open(f"{name}.log") as log:
        return log.read()


def start(name: str) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(
        [f"{BIN}/gunicorn", "pages:app", "--name", name, "--bind", "127.0.0.1:0", "--pid", f"{name}.pid"],
        stdout=open(f"{name}.log", "wb"), stderr=subprocess.STDOUT, env=ENVIRONMENT,
    )  # fmt: skip
    eventually(lambda: "Control socket listening" in told(name), f"{name} listens")
    return server


def ask() -> tuple[int, int]:
    """Exit code of gunicornc, and the pid of the master that answered."""
    done = subprocess.run(
        [f"{BIN}/gunicornc", "-c", "show stats"], env=ENVIRONMENT, capture_output=True, text=True, timeout=30
    )
    pids = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("PID:")]
    return done.returncode, pids[0] if pids else 0


def upgraded(server: subprocess.Popen[bytes]) -> int:
    """The pid of the new master, once the old one has gone."""
    server.send_signal(signal.SIGUSR2)
    eventually(lambda: os.path.exists("first.pid.2"), "a second master")
    with open("first.pid.2") as file:
        pid = int(file.read())
    eventually(lambda: ask() == (0, pid), "the new master answers")
    server.terminate()
    server.wait(30)
    return pid


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


os.makedirs(HOME)
first = start("first")
seen = [ask() == (0, first.pid)]
print("one server: gunicornc speaks to", "the first" if seen[-1] else "nobody")

second = start("second")
words = sum(word in told("second").lower() for word in ("in use", "taken", "warn", "error"))
seen += [ask() == (0, second.pid), words == 0]
print("second server of the same user started: gunicornc speaks to", "the second;" if seen[1] else "another;",
      "words on it in its log:", words)  # fmt: skip

second.terminate()
second.wait(30)
code, _ = ask()
seen += [code == 1, first.poll() is None, not os.path.exists(SOCKET)]
print(f"second one stopped: gunicornc exit code {code}, first one lives: {first.poll() is None}")
first.terminate()
first.wait(30)

first = start("first")
new = upgraded(first)
time.sleep(1)
code, _ = ask()
seen += [code == 1, lives(new)]
print(f"USR2, then the old master stopped: gunicornc exit code {code}, new one lives: {lives(new)}")
os.kill(new, signal.SIGTERM)
eventually(lambda: not lives(new), "the new master ends")
sys.exit(not all(seen))
PYTHON
"$work/venv/bin/python" measure.py
