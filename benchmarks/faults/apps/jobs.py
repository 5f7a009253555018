# mypy: disable-error-code="import-not-found"
"""What the jobs of all peers do. `version` is written by the fault: new code, broken code."""

import asyncio
import ctypes
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from journal import note
from version import VERSION


def nap(job: str, seconds: float) -> None:
    """A job that waits for something outside."""
    note("start", job=job, version=VERSION)
    time.sleep(seconds)
    note("end", job=job)


async def nap_async(job: str, seconds: float) -> None:
    """The same for an event loop."""
    note("start", job=job, version=VERSION)
    await asyncio.sleep(seconds)
    note("end", job=job)


def stuck_in_native_code(job: str) -> None:
    """A deadlock inside a C library: no Python handler runs, no signal wakes it, no processor time is used."""
    note("start", job=job, version=VERSION)
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def leave_orphan(job: str) -> None:
    """A grandchild that ends by itself with exit code 3 after its own parent: whoever is process 1 inherits it."""
    note("start", job=job, version=VERSION)
    subprocess.run(["sh", "-c", "(sleep 0.5; exit 3) &"], check=True)
    note("end", job=job)


def start_helper(job: str) -> None:
    """A job that runs a program which outlives it."""
    note("start", job=job, version=VERSION)
    helper = subprocess.Popen(["sleep", "600"])
    note("helper", job=job, helper=helper.pid)
    time.sleep(2)
    note("end", job=job)


def start_programs(job: str) -> None:
    """A job that leaves two programs behind; one of them has a session of its own, as daemons do."""
    note("start", job=job, version=VERSION)
    program = subprocess.Popen(["sleep", "600"])
    daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
    note("programs", job=job, program=program.pid, daemon=daemon.pid)
    note("end", job=job)


def log_by_agent(job: str) -> None:
    """A job that writes into files which were opened when Python started (see agent.py)."""
    note("start", job=job, version=VERSION)
    note("agent", job=job, files=sys.modules["sitecustomize"].log(job))
    note("end", job=job)


def call(kind: str, *arguments: Any) -> None:
    """Run a job by name, blocking."""
    jobs: dict[str, Callable[..., None]] = {
        "nap": nap,
        "stuck": stuck_in_native_code,
        "orphan": leave_orphan,
        "helper": start_helper,
        "programs": start_programs,
        "agent": log_by_agent,
    }
    jobs[kind](*arguments)


async def call_async(kind: str, *arguments: Any) -> None:
    """The same in an event loop. Only `nap` leaves the loop free; that is the point of the others."""
    if kind == "nap":
        await nap_async(*arguments)
    elif kind == "helper":
        await asyncio.get_running_loop().run_in_executor(None, call, kind, *arguments)
    else:
        call(kind, *arguments)
