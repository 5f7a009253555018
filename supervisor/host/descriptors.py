"""The descriptors that are the supervisor's alone: it opens them through here, and the children that it forks close
them.

Nothing else is closed in a child. What else is open in the parent was opened by a library, the log of an agent for
example, and the objects that use it live on in the child: a number that is taken from them is soon that of a connection
to Redis. A child in a new interpreter has nothing to close, for all of this ends with the `exec`.
"""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol, TypeVar
from weakref import WeakSet


class Closable(Protocol):
    """A socket, a selector."""

    def close(self) -> None:
        """Give its descriptor back."""


C = TypeVar("C", bound=Closable)

_numbers: set[int] = set()
_objects: WeakSet[Closable] = WeakSet()


def pipe() -> tuple[int, int]:
    """A new pipe of this process's own: the end to read from, and the end to write to.

    Raises:
        OSError: no descriptor is left.
    """
    ends = os.pipe()
    _numbers.update(ends)
    return ends


def pair() -> tuple[int, int]:
    """The same for two connected sockets: both ends read and write, and carry descriptors.

    Raises:
        OSError: no descriptor is left.
    """
    ends = tuple(end.detach() for end in socket.socketpair())
    _numbers.update(ends)
    return ends[0], ends[1]


def own(fd: int) -> int:
    """Note a descriptor as this process's own; returns it. Whoever closes it does so with `close`."""
    _numbers.add(fd)
    return fd


def own_object(thing: C) -> C:
    """The same for an object that has one, and that may be closed at any time."""
    _objects.add(thing)
    return thing


def close(fd: int) -> None:
    """Close a descriptor of this process's own; its number may soon be somebody else's.

    Raises:
        OSError: it is not open.
    """
    _numbers.discard(fd)
    os.close(fd)


def leave_to_parent(kept: Iterable[int]) -> None:
    """In a forked child: close what is the parent's own, except the child's ends in `kept`."""
    for fd in _numbers.difference(kept):
        with suppress(OSError):
            os.close(fd)
    _numbers.clear()
    for thing in list(_objects):
        with suppress(OSError):
            thing.close()
    _objects.clear()
