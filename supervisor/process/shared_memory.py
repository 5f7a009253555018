"""Memory that the processes of a pool share: what is done before the first fork so that it stays shared.

A forked child shares each page of its parent until one of them writes to it, and Python writes where it merely looks:
every object carries the count of its references. A worker without work had written to 9 of the 25 MB that it was forked
with. The figures below are the PSS of a pool of four workers with parent and steward on Linux.
"""

import asyncio
import ctypes
import gc
import sys
from contextlib import suppress

from ..ipc.codec import read_message
from ..ipc.frames import Decoder
from ..ipc.messages import (
    TO_WORKER,
    BeatMessage,
    JobsMessage,
    OutgoingMessage,
    PickMessage,
    ReadyMessage,
    brief_jobs,
)
from ..ipc.redis_settings import pack
from ..pool.job_counts import JobCounts

# what every child needs, and would import for itself otherwise
SHARED_MODULES = (
    "uvloop",
    "redis.asyncio",
    "hiredis",
    "encodings.idna",
    "importlib.metadata",
)
FOR_LOG_DICTS = ("logging.config",)  # of arq-supervise --custom-log-dict
REHEARSALS = 10  # code is adapted when it is run for the eighth time

# CPython's allocator of small objects: pools of 16 KiB, each for one size, behind a head of 48 bytes
POOL_BYTES, POOL_HEAD_BYTES = 16 * 1024, 48
SMALL_BYTES = range(48, 512 + 1, 16)
EMPTY_BYTES = sys.getsizeof(b"")
# sizes of what is asked of the C library, large ones first
C_SIZES = [size for power in range(16, 3, -1) for size in (1 << power, 3 << (power - 2))]
EDGE_BYTES = 100_000
MOST_FILLERS = 1000  # of one size: many times what there is, and little where another allocator is used

_fillers: list[bytes] = []


def share_pages(has_log_dict: bool = False) -> None:
    """Import what every child will need, and see to it that the children hardly write to it."""
    for name in SHARED_MODULES + (FOR_LOG_DICTS if has_log_dict else ()):
        with suppress(ImportError):
            __import__(name)
    _rehearse()
    gc.collect()
    with suppress(AttributeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
    _forget_lookups()
    _fill_holes()
    gc.freeze()


def _rehearse() -> None:
    """Make clients as each child will: code that is run is adapted by the interpreter, in place.

    With the trimmed heap that is 1.3 MB less (Python 3.11).
    """
    from arq._redis.settings import client_options
    from arq.connections import ArqRedis, RedisSettings

    for _ in range(REHEARSALS):
        settings = RedisSettings.from_dsn("redis://localhost:6379/0")
        ArqRedis(**client_options(settings))
        pack(settings)
        _speak()
    asyncio.set_event_loop(None)  # makes what new loops are made by


def _speak() -> None:
    """What each child says to its parent, and hears from it: 0.4 MB less."""
    beat = BeatMessage(JobCounts(), brief_jobs([("id", "function")]), 0.1)
    for message in (
        beat,
        ReadyMessage(),
        JobsMessage([]),
        PickMessage(is_allowed=True),
        OutgoingMessage("", ""),
    ):
        for frame in Decoder().feed(message.encode()):
            read_message(frame, TO_WORKER)


def _forget_lookups() -> None:
    """Empty the cache of attributes of types: 0.7 MB less.

    A child that replaces an entry would write to the name in the old one, which nobody else looks at.
    """
    clear = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)
    if clear is not None:
        clear()


# --- holes --------------------------------------------------------------------------------------------------------


def _fill_holes() -> None:
    """Take what is free between the objects of the parent: 2.3 MB less.

    A child would put its own objects there, one or two into a page; now it puts them side by side into new pages.
    """
    for size in SMALL_BYTES:
        for _ in range(MOST_FILLERS):
            filler = bytes(size - EMPTY_BYTES)
            _fillers.append(filler)
            if id(filler) % POOL_BYTES == POOL_HEAD_BYTES:  # the first in a new pool: the old ones are full
                break
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc
        _fill_heap(libc)


def _fill_heap(libc: ctypes.CDLL) -> None:
    """The same for the C library's heap, which ends where a large block is put."""
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    edge = libc.malloc(EDGE_BYTES) or 0
    for size in C_SIZES:
        for _ in range(MOST_FILLERS):
            address = libc.malloc(size) or 0
            if address >= edge:
                libc.free(address)
                break
    libc.free(edge)
