"""What the scripts of an arq take of the server, without a worker: orders on stdin, JSON on stdout.

    PYTHONPATH=TREE python scripts_only.py redis://127.0.0.1:6379

An order is `BATCH JOBS`. The tree may be an older one: what its scripts were given then is known here.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import redis

import arq

#: Of the tree that is measured, which is this one or an older one.
_IS_OLD = not (Path(arq.__file__).parent / "_redis").exists()
_scripts: Any = importlib.import_module("arq._scripts" if _IS_OLD else "arq._redis.scripts")
QUEUE, WORKER = "arq:queue", "host:1:0123456789ab"
LOCK_MS, KEEP_RESULT_MS = 310_000, 3_600_000
PAYLOAD, RESULT = b"x" * 60, b"y" * 120


class Driver:
    """Runs scripts one after the other, each known to the server."""

    def __init__(self, dsn: str) -> None:
        self._redis: Any = redis.Redis.from_url(dsn)
        self._made = 0

    def call(self, call: Any) -> Any:
        try:
            return self._redis.execute_command(*call.by_sha())
        except redis.exceptions.NoScriptError:
            return self._redis.execute_command(*call.by_text())

    def used_us(self) -> float:
        """CPU of the server so far, µs."""
        found: Any = self._redis.info("cpu")
        return float(found["used_cpu_user"] + found["used_cpu_sys"]) * 1e6

    def enqueue(self, batch: int) -> None:
        fields = {"when": "", "expires_ms": None, "tick": "", "payload": PAYLOAD}
        jobs = []
        for _ in range(batch):
            self._made += 1
            values = fields | {"job_id": f"{self._made:032x}"}
            jobs.append(_scripts.NewJob(*(values[name] for name in _scripts.NewJob._fields)))
        self.call(_scripts.enqueue(QUEUE, jobs, 86_400_000))

    def run(self, batch: int) -> int:
        """Claim and finish; how many jobs that were."""
        jobs = _scripts.read_claim(self.call(claim(batch))).jobs
        self.call(finish(jobs))
        return len(jobs)

    def measure(self, batch: int, jobs: int) -> dict[str, float]:
        """µs a job."""
        self._redis.flushdb()
        self.call(_scripts.lease([WORKER], 3_600_000))
        began_us, done = self.used_us(), 0
        for _ in range(jobs // batch):
            self.enqueue(batch)
        queued_us = self.used_us()
        while done < jobs // batch * batch:
            done += self.run(batch)
        run_us = self.used_us() - queued_us
        return {"enqueue": (queued_us - began_us) / done, "claim + finish": run_us / done}


def claim(batch: int) -> Any:
    """Take jobs as a worker does that runs beside others."""
    if not hasattr(_scripts, "ClaimRequest"):  # 0.29.0
        return _scripts.claim(QUEUE, WORKER, limit=batch, lock_ms=LOCK_MS, fair=True)
    return _scripts.claim(QUEUE, WORKER, _scripts.ClaimRequest(batch, LOCK_MS, fair=True))


def finish(jobs: list[Any]) -> Any:
    """All of them have a result."""
    if hasattr(_scripts.Ending, "_fields"):  # 0.29.0
        old = [_scripts.Ending(job.job_id, job.stamp, "done", RESULT, KEEP_RESULT_MS, "") for job in jobs]
        return _scripts.finish(QUEUE, WORKER, old)
    done = [_scripts.Done(job.job_id, job.stamp, RESULT, KEEP_RESULT_MS, only_start=True) for job in jobs]
    return _scripts.finish(QUEUE, WORKER, done)


def main() -> None:
    driver = Driver(sys.argv[1])
    for line in sys.stdin:
        batch, jobs = map(int, line.split())
        print(json.dumps(driver.measure(batch, jobs)), flush=True)


if __name__ == "__main__":
    main()
