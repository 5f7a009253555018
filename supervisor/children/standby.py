"""A child that has imported the settings and waits until it is let in. Until then it may be told to copy itself.

Nothing runs in it but this: no loop, no start hook, no connection. What it has imported stays as it was when it was
imported, whatever becomes of the files.
"""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..exit_codes import ChildCode
from ..host.process_title import present_as
from ..ipc.brief import Brief
from ..ipc.child_end import ChildEnd, new_loop
from ..ipc.codec import Message, read_message
from ..ipc.frames import Decoder
from ..ipc.messages import OF_COPIES, TO_WORKER, CopiedMessage, CopyMessage, LetInMessage, LoadedMessage
from ..ipc.pipes import Pipes
from ..process.exec import read_brief
from ..process.sibling import fork_sibling
from .at_fork import be_plain_in_copies
from .process_setup import be_first_victim, be_victim_like_others, settle

READ_BYTES = 64 * 1024
MOST_FDS = 4

Body = Callable[[Brief, Pipes], int]

# the loop of the process that a copy comes from: to close it would close what both have
_of_the_origin: list[asyncio.AbstractEventLoop] = []


@dataclass(slots=True)
class Place:
    """What a child has of its own. `unread` are orders that came right behind the one that has let it in."""

    brief: Brief
    pipes: Pipes
    line: ChildEnd
    loop: asyncio.AbstractEventLoop
    orders: Decoder = field(default_factory=Decoder)
    unread: list[Message | None] = field(default_factory=list)
    oom_score_adj: int | None = None


def take_place(brief: Brief, pipes: Pipes) -> Place:
    """Be the child that the brief describes."""
    brief.export(os.environ)
    present(brief)
    line = ChildEnd(pipes.beat_fd)
    be_plain_in_copies(pipes, title_of_copies(brief), line.silence)
    loop = new_loop(brief.options.uvloop)
    settle(brief)
    place = Place(brief, pipes, line, loop)
    if brief.is_spare:
        place.oom_score_adj = be_first_victim()
    return place


def title_of_copies(brief: Brief) -> str:
    """What `ps` shows for processes that a job forks."""
    return f"arq-supervise: started by a job of worker[{brief.options.name}/{brief.slot}]"


def present(brief: Brief) -> None:
    """What `ps` shows for it."""
    role = "spare" if brief.is_spare else "worker"
    present_as(role, str(brief.slot), brief.options.name, brief.generation, brief.slot)


def wait_to_be_let_in(place: Place, body: Body) -> None:
    """Say that the code is here, and wait; then be what the parent says by then. `body` is what a copy runs."""
    place.line.send_surely(LoadedMessage())
    asked = select.poll()
    for fd in (place.pipes.orders_fd, place.pipes.socket_fd):
        if fd >= 0:
            asked.register(fd, select.POLLIN)
    while not place.brief.is_let_in:
        ready = [fd for fd, _ in asked.poll()]
        if place.pipes.socket_fd in ready:
            _answer(place, body)
        if place.pipes.orders_fd in ready:
            _obey(place, os.read(place.pipes.orders_fd, READ_BYTES))


def _obey(place: Place, data: bytes) -> None:
    if not data:  # the parent is gone
        os._exit(ChildCode.CLEAN)
    orders = [read_message(frame, TO_WORKER) for frame in place.orders.feed(data)]
    while orders:
        match orders.pop(0):
            case LetInMessage() as order:
                _be_let_in(place, order)
                place.unread = orders
                return


def _be_let_in(place: Place, order: LetInMessage) -> None:
    place.brief = replace(
        place.brief,
        count=order.count,
        is_first=order.is_first,
        is_quiet=order.is_quiet,
        previous_worker_id=order.previous_worker_id,
        cohort=order.cohort,
        is_spare=False,
        is_let_in=True,
    )
    if place.pipes.socket_fd >= 0:
        os.close(place.pipes.socket_fd)
        place.pipes = replace(place.pipes, socket_fd=-1)
    be_victim_like_others(place.oom_score_adj)
    place.brief.export(os.environ)
    present(place.brief)
    be_plain_in_copies(place.pipes, title_of_copies(place.brief), place.line.silence)


# --- a copy ---------------------------------------------------------------------------------------------------


def _answer(place: Place, body: Body) -> None:
    """The parent wants a copy, and has sent its pipes."""
    with socket.socket(fileno=os.dup(place.pipes.socket_fd)) as channel:
        data, fds, _, _ = socket.recv_fds(channel, READ_BYTES, MOST_FDS)
        frame = next(Decoder().feed(data), None)
        match None if frame is None else read_message(frame, OF_COPIES):
            case CopyMessage(brief=text):
                brief = read_brief(text.encode())
                channel.sendall(_copy(place, brief, Pipes(*fds), channel.fileno(), body).encode())
            case _:  # the parent has closed it: we are let in, or it is gone
                return
    for fd in fds:
        os.close(fd)


def _copy(place: Place, brief: Brief, pipes: Pipes, channel_fd: int, body: Body) -> CopiedMessage:
    _of_the_origin[:] = [place.loop]
    try:
        pid = fork_sibling(lambda: body(brief, pipes), pipes, brief.supervisor_pid, [channel_fd])
    except OSError as error:
        return CopiedMessage(0, str(error) or "no copy")
    return CopiedMessage(pid)
