"""What each kind of child does. Importing this imports all that children need, and nothing of the user's."""

from collections.abc import Callable

from ..ipc.brief import Brief
from ..pool.events import Role
from ..process.fork import Pipes
from . import redis_server, steward, watcher, worker

BODIES: dict[Role, Callable[[Brief, Pipes], int]] = {
    Role.WORKER: worker.main,
    Role.STEWARD: steward.main,
    Role.REDIS: redis_server.main,
    Role.WATCHER: watcher.main,
}
