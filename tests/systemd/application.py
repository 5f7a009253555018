"""What the pools of these tests run; QUEUE_NAME and VERSION_NUMBER are replaced when it is installed."""

import asyncio
import mmap
import multiprocessing
import os
import socket
import sqlite3
import ssl
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

from arq.connections import RedisSettings

VERSION = "VERSION_NUMBER"


async def version(ctx: dict[str, Any]) -> str:
    return VERSION


async def nap(ctx: dict[str, Any], seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()


async def nap_on_first_try(ctx: dict[str, Any], seconds: float) -> int:
    if ctx["job_try"] == 1:
        await asyncio.sleep(seconds)
    return int(ctx["job_try"])


async def environment(ctx: dict[str, Any]) -> dict[str, str]:
    return dict(os.environ)


async def ordinary(ctx: dict[str, Any]) -> list[str]:
    """What Python applications do all day; names what does not work."""
    failed = []
    for step in (
        files,
        state,
        processes,
        threads,
        pools,
        database,
        tls,
        names,
        usage,
        machine_code,
        shared_memory,
    ):
        try:
            await asyncio.to_thread(step)
        except Exception as error:  # whatever a step runs into is the answer
            failed.append(f"{step.__name__}: {error!r}")
    return failed


def files() -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
    with open("/tmp/of-this-unit", "w") as file:
        file.write("x")


def state() -> None:
    path = Path(os.environ["STATE_DIRECTORY"], "kept")
    path.write_text("x")
    path.unlink()


def processes() -> None:
    assert subprocess.run(["sh", "-c", "echo x | tr x y"], capture_output=True, check=True).stdout == b"y\n"


def threads() -> None:
    with ThreadPoolExecutor(32) as executor:
        assert sum(executor.map(abs, range(100))) == 4950


def pools() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        assert workers.map(abs, [-1, -2]) == [1, 2]


def database() -> None:
    with sqlite3.connect(Path(os.environ["STATE_DIRECTORY"], "data.db")) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table if not exists t (x)")


def tls() -> None:
    ssl.create_default_context()


def names() -> None:
    assert socket.getaddrinfo("localhost", 6379)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))


def usage() -> None:
    import psutil

    assert psutil.virtual_memory().total > 0
    assert psutil.Process().create_time() > 0
    assert psutil.cpu_times().user >= 0


def machine_code() -> None:
    """Just-in-time compilers and cffi callbacks want memory that can be written and run."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def shared_memory() -> None:
    block = SharedMemory(create=True, size=4096)
    block.close()
    block.unlink()


async def eat(ctx: dict[str, Any], megabytes: int) -> int:
    """Memory that is really used, on the first try only."""
    if ctx["job_try"] == 1:
        return len(b"x" * (megabytes << 20))
    return 0


class Settings:
    functions = [version, nap, nap_on_first_try, environment, ordinary, eat]
    queue_name = "QUEUE_NAME"
    redis_settings = RedisSettings(conn_retries=1, conn_retry_delay=0)
    job_completion_wait = 20
    keep_result = 60
