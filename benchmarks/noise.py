"""How busy other programs kept the machine during a measurement."""

from __future__ import annotations

import os
import resource
import time

import psutil

from benchmarks.server import Server


class Noise:
    """Starts to look when it is made. What we start ourselves, and have waited for, is not noise."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._began = time.monotonic()
        self._busy_s, self._own_s = _busy_s(), self._own()

    def _own(self) -> float:
        who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        used = (resource.getrusage(one) for one in who)
        return sum(one.ru_utime + one.ru_stime for one in used) + self._server.cpu_s

    def others_percent(self) -> float:
        """Share of the processors that others had, or the hypervisor kept."""
        elapsed_s = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others_s = (_busy_s() - self._busy_s) - (self._own() - self._own_s)
        return max(0.0, others_s / elapsed_s * 100)


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")))
