"""The log of the command `arq` on a stderr that a program of a job has made non-blocking."""

import logging
import os
import threading

import pytest

from arq.logs import LineFormatter, LineHandler


@pytest.mark.parametrize("size", [10, 300, 5000, 9000, 200_000])
def test_no_line_is_lost(size: int) -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    lines = [f"{n:05d} {'ü' * size}" for n in range(2_000_000 // size if size > 10 else 20_000)]
    parts: list[bytes] = []
    is_full = threading.Event()

    def read() -> None:
        is_full.wait()
        while data := os.read(read_fd, 10_000):
            parts.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with open(write_fd, "w", buffering=1, encoding="utf-8") as stream:  # as sys.stderr is
        handler = LineHandler(stream)
        handler.setFormatter(LineFormatter("%(message)s"))
        threading.Timer(0.05, is_full.set).start()
        for line in lines:
            handler.handle(logging.makeLogRecord({"msg": line}))
    is_full.set()
    reader.join()
    os.close(read_fd)
    assert b"".join(parts).decode().splitlines() == lines
