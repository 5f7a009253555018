"""What each kind of child does, and where one begins that is started in a new interpreter.

Importing this imports all that children need, and nothing of the user's.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..host.interpreter import ORDERS
from ..ipc.brief import Brief
from ..ipc.pipes import Pipes
from ..pool.events import Role
from ..process.exec import take_brief
from ..process.fork import be_child
from . import redis_server, steward, watcher, web_server, worker_process

MAIN_OF: dict[Role, Callable[[Brief, Pipes], int]] = {
    Role.WORKER: worker_process.main,
    Role.SPARE: worker_process.main,
    Role.STEWARD: steward.main,
    Role.REDIS: redis_server.main,
    Role.WATCHER: watcher.main,
    Role.WEB: web_server.main,
}


def resume() -> NoReturn:
    """In a frozen program that was started again: be the child that its orders make it."""
    main(os.environ.pop(ORDERS).split())


def main(orders: Sequence[str] = ()) -> NoReturn:
    """In the new interpreter, which has its orders in its arguments if not from `resume`."""
    role_name, *numbers = orders or sys.argv[1:]
    role = Role(role_name)
    brief_fd, *fds = map(int, numbers)
    brief = take_brief(brief_fd)
    for fd in fds:  # they came through one exec, and go through no other
        if fd >= 0:
            os.set_inheritable(fd, False)
    pipes = Pipes(*fds)
    be_child(lambda: MAIN_OF[role](brief, pipes), pipes, brief.supervisor_pid)
