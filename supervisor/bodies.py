"""What each kind of child does. Importing this imports all that children need, and nothing of the user's."""

from collections.abc import Callable

from . import child, embedded, steward, watch
from .childenv import Brief
from .events import Role
from .spawn import Pipes

BODIES: dict[Role, Callable[[Brief, Pipes], int]] = {
    Role.WORKER: child.main,
    Role.STEWARD: steward.main,
    Role.REDIS: embedded.main,
    Role.WATCHER: watch.main,
}
