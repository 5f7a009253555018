"""What the jobs of a worker have started and not ended: it ends with them, or with the worker."""

import faulthandler
import logging
import os
import threading
from typing import NoReturn

from ..exit_codes import ChildCode
from ..ipc.brief import Brief
from ..process.descendants import belongings_of, descendants_of, end_all, end_now, is_child_of, name_of

logger = logging.getLogger("arq.worker")

# seconds for a program to end, once it is asked to
PROGRAMS_S = 2.0
BOOT_PROGRAMS_S = 0.5
#: after the last moment of the jobs of a worker whose supervisor is gone
ORPHAN_MARGIN_S = 4.5
#: before its end, which nothing comes after, what a job that does not let go has started is ended
ORPHAN_PROGRAMS_S = 1.0


def programs_of(brief: Brief) -> set[int]:
    """What this worker has to end; nothing if the user wants to keep it."""
    if not brief.options.kill_group_on_exit:
        return set()
    return belongings_of(brief.worker_id, brief.supervisor_pid)


def end_programs(brief: Brief, grace_s: float) -> None:
    """TERM, up to `grace_s` seconds, KILL. Daemons are the supervisor's, if it is there: it ends them next."""
    if not brief.options.kill_group_on_exit:
        return
    is_orphan = not is_child_of(brief.supervisor_pid)
    end_now(programs_of(brief) if is_orphan else descendants_of(os.getpid()), grace_s)


async def end_cut_off_programs(brief: Brief) -> None:
    """What the jobs that were cut off have started must not go on while somebody else runs them."""
    if pids := programs_of(brief):
        names = ", ".join(name_of(pid) for pid in sorted(pids))
        logger.warning("jobs were cut off: what they have started is ended: %s", names)
        await end_all(pids, PROGRAMS_S)


def give_up_boot(brief: Brief) -> NoReturn:
    """Nothing has begun; but the start hook may have started something."""
    end_programs(brief, BOOT_PROGRAMS_S)
    os._exit(ChildCode.CLEAN)


def end_in_any_case(brief: Brief, completion_wait_s: float) -> None:
    """End this worker, whose supervisor is gone, in the time that its jobs have, and a little more."""
    limit_s = min(completion_wait_s + ORPHAN_MARGIN_S, threading.TIMEOUT_MAX)
    faulthandler.dump_traceback_later(limit_s, exit=True)
    timer = threading.Timer(limit_s - ORPHAN_PROGRAMS_S, end_programs, (brief, 0.5 * ORPHAN_PROGRAMS_S))
    timer.daemon = True
    timer.start()
