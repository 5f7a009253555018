"""What each kind of child does. Importing this imports all that children need, and nothing of the user's."""

from collections.abc import Callable

from ..ipc.brief import Brief
from ..ipc.pipes import Pipes
from ..pool.events import Role
from . import redis_server, steward, watcher, worker_process

BODIES: dict[Role, Callable[[Brief, Pipes], int]] = {
    Role.WORKER: worker_process.main,
    Role.STEWARD: steward.main,
    Role.REDIS: redis_server.main,
    Role.WATCHER: watcher.main,
}
