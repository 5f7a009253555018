"""What a child is told about itself when it is forked."""

import os
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass

from ..options import Options
from ..pool.events import Fork, Role
from ..worker_id import WorkerId


@dataclass(frozen=True, slots=True)
class Brief:
    """One child's orders. `host` and `options.name` are parts of Redis keys."""

    options: Options
    slot: int
    count: int
    generation: int
    worker_id: str
    previous_worker_id: str
    host: str
    is_first: bool
    is_quiet: bool
    redis_dsn: str
    redis_dir: str
    supervisor_pid: int
    folder: str
    real_folder: str
    cohort: str = ""
    # imports the settings, and then waits until it is let in
    waits: bool = False
    is_spare: bool = False
    is_let_in: bool = False

    def export(self, environ: MutableMapping[str, str]) -> None:
        """Put what user code may want to know into the environment.

        Nothing of ours may obey it: whatever a job starts inherits it, other workers and pools, too.
        """
        environ["ARQ_WORKER_SLOT"] = str(self.slot)
        environ["ARQ_WORKER_COUNT"] = str(self.count)
        environ["ARQ_POOL_NAME"] = self.options.name
        environ["ARQ_WORKER_ID"] = self.worker_id
        environ["ARQ_WORKER_GENERATION"] = str(self.generation)
        environ["ARQ_SUPERVISOR_PID"] = str(self.supervisor_pid)
        environ.pop("ARQ_PREVIOUS_WORKER_ID", None)  # of a pool whose job has started this one
        if self.previous_worker_id:
            environ["ARQ_PREVIOUS_WORKER_ID"] = self.previous_worker_id
        if self.redis_dsn:
            environ["REDIS_DSN"] = self.redis_dsn


def make_brief(
    options: Options, fork: Fork, host: str, redis: tuple[str, str], folder: tuple[str, str] = ("", "")
) -> Brief:
    """The orders for the child that is about to be forked, with an id that no other process ever has.

    `redis` is the address and the directory of the embedded server, empty without one; `folder` the name of the
    working directory, and its real one when the supervisor was started.
    """
    worker_id = WorkerId(options.name, host, fork.slot, nonce=secrets.token_hex(4))
    return Brief(
        options=options,
        slot=fork.slot,
        count=fork.count,
        generation=fork.generation,
        worker_id=str(worker_id),
        previous_worker_id=fork.previous_worker_id,
        host=host,
        is_first=fork.is_first,
        is_quiet=fork.is_quiet,
        redis_dsn=redis[0],
        redis_dir=redis[1],
        supervisor_pid=os.getpid(),
        cohort=fork.cohort,
        waits=fork.waits,
        is_spare=fork.role is Role.SPARE,
        folder=folder[0],
        real_folder=folder[1],
    )
