"""What others on this Redis are told of a pool: `arq.admin.Admin.pools` reads it. No I/O."""

import json

from ..pool.status import PoolStatus, SlotStatus


def report_text(status: PoolStatus, unix_s: float) -> bytes:
    """The state of the pool as JSON, without what others need not know."""
    about = status.supervisor
    said = {
        "pool": status.pool,
        "host": status.host,
        "at_ms": round(unix_s * 1000),
        "supervisor": {
            "state": about.state,
            "pid": about.pid,
            "uptime_s": round(about.uptime_s),
            "procs": about.procs,
            "ready": about.ready,
            "restarts_total": about.restarts_total,
            "restarts_window": about.restarts_window,
            "quiet": about.quiet,
            "rss_mb": about.rss_mb,
        },
        "workers": [_slot(slot) for slot in status.workers],
    }
    return json.dumps(said, separators=(",", ":")).encode()


def _slot(slot: SlotStatus) -> dict[str, object]:
    said: dict[str, object] = {
        "slot": slot.slot,
        "state": slot.state,
        "restarts": slot.restarts,
        "last_exit": slot.last_exit,
        "last_exit_age_s": slot.last_exit_age_s,
    }
    if slot.worker is not None:
        said |= {
            "pid": slot.worker.pid,
            "worker_id": slot.worker.worker_id,
            "state": slot.worker.state,
            "uptime_s": round(slot.worker.uptime_s),
            "rss_mb": slot.worker.rss_mb,
        }
    return said
