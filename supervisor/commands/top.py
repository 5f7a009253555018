"""`--ctl top`: a live view of one pool in the terminal. Needs the package rich, which nothing else here needs."""

import os
import shutil
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..console import complain
from ..control.client import UnreachableError, ask
from ..control.protocol import Request
from ..exit_codes import ProbeCode, by_signal
from ..pool.status import HelperStatus, PoolStatus, SlotStatus, SupervisorStatus, WorkerStatus
from ..printable_text import all_printable
from .status_table import span
from .terminal_keys import Keyboard

PERIOD_S = 1.0
HISTORY = 60
ASK_S = 2.0
LEAVE = frozenset("qQ\x04")
COLUMNS = (
    "SLOT",
    "PID",
    "STATE",
    "GEN",
    "UP",
    "CPU%",
    "RSS",
    "LAG",
    "RUN",
    "DONE",
    "FAIL",
    "RETRY",
    "RUNNING / LAST EXIT",
)
TEXTS = ("STATE", "RUNNING / LAST EXIT")
# columns of the terminal from which on there is room for all of these
WIDE = 100
LEAST_ROOM, GAP = 8, 2
SPARED = ("GEN", "UP", "RSS", "RETRY")
BARS = " ▁▂▃▄▅▆▇█"
COLOURS = {
    "ready": "green",
    "booting": "cyan",
    "backoff": "red",
    "stalled": "red",
    "blocked": "red",
    "hung": "red",
    "running": "green",
}


@dataclass(slots=True)
class Sample:
    """Totals at one moment."""

    at_s: float
    done: int
    cpu_s: dict[int, float]


@dataclass(slots=True)
class History:
    """What the last samples tell: rates. `rates` are jobs per second, the newest last."""

    last: Sample | None = None
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    cpu: dict[int, float] = field(default_factory=dict)

    def take(self, status: PoolStatus, now: float) -> None:
        """One more status."""
        sample = Sample(now, done_in(status), dict(_cpu_times(status)))
        if self.last is not None and now > self.last.at_s:
            passed_s = now - self.last.at_s
            self.rates.append(max(0.0, (sample.done - self.last.done) / passed_s))
            self.cpu = {
                pid: max(0.0, (cpu_s - self.last.cpu_s.get(pid, cpu_s)) / passed_s * 100)
                for pid, cpu_s in sample.cpu_s.items()
            }
        self.last = sample


def done_in(status: PoolStatus) -> int:
    """Starts of jobs that have ended since the pool began, dead workers included."""
    return sum((worker.jobs for worker in status.processes()), status.past).ended


def _cpu_times(status: PoolStatus) -> list[tuple[int, float]]:
    processes: list[SupervisorStatus | WorkerStatus | HelperStatus] = [
        status.supervisor, *status.processes(), *status.helpers,
    ]  # fmt: skip
    return [(one.pid, one.cpu_s) for one in processes if one.pid is not None]


def sparkline(values: "deque[float] | list[float]", width: int = HISTORY) -> str:
    """Numbers as a row of bars, scaled to the largest."""
    shown = list(values)[-width:]
    largest = max(shown, default=0.0)
    if largest <= 0:
        return BARS[1] * len(shown) if shown else ""
    return "".join(BARS[max(1, round(value / largest * (len(BARS) - 1)))] for value in shown)


def render(status: PoolStatus, history: History, width: int = WIDE) -> Group:
    """One frame for a terminal of so many columns."""
    status = all_printable(status)
    return Group(_head(status, history), _table(status, history, width), _helpers(status, history))


def _head(status: PoolStatus, history: History) -> Text:
    boss, queue = status.supervisor, status.queue_state
    rate = history.rates[-1] if history.rates else 0.0
    text = Text()
    text.append(f"{status.pool}@{status.host} ", style="bold")
    text.append(boss.state.upper(), style=COLOURS.get(boss.state, "yellow"))
    text.append(f"  gen {boss.generation}  {boss.ready}/{boss.procs} ready  up {span(boss.uptime_s)}")
    text.append(f"  restarts {boss.restarts_total}  reloads {boss.reloads_ok}\n")
    depth = "-" if queue.depth is None else str(queue.depth)
    oldest = "-" if queue.oldest_due_s is None else f"{queue.oldest_due_s:.1f} s"
    text.append(f"queue {status.queue or '-'}: {depth} jobs, oldest due {oldest}")
    if boss.redis_error:
        text.append(f"  redis: {boss.redis_error}", style="red")
    text.append(f"\n{rate:8.1f} jobs/s ", style="bold")
    text.append(sparkline(history.rates), style="cyan")
    return text


def _table(status: PoolStatus, history: History, width: int) -> Table:
    """Where there is little room, the less important columns are left out: cut off, all would be unreadable."""
    shown = [at for at, name in enumerate(COLUMNS) if width >= WIDE or name not in SPARED]
    whole = [_slot_cells(slot, history) for slot in status.workers]
    whole += [_cells(worker, history, last_exit="") for worker in status.leaving]
    rows = [[cells[at] for at in shown] for cells in whole]
    names = [COLUMNS[at] for at in shown]
    longest = [
        max(len(cell) for cell in [names[at], *(row[at] for row in rows)]) for at in range(len(names) - 1)
    ]
    room = max(LEAST_ROOM, width - sum(longest) - GAP * len(longest))
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in names:
        is_text = name in TEXTS
        table.add_column(
            name[:room] if is_text else name, justify="left" if is_text else "right", no_wrap=True
        )
    for row in rows:
        if isinstance(row[-1], Text):
            row[-1].truncate(room, overflow="ellipsis")
        table.add_row(*row)
    return table


def _slot_cells(slot: SlotStatus, history: History) -> list[str | Text]:
    last_exit = slot.last_exit or ""
    if slot.worker is not None:
        return _cells(slot.worker, history, last_exit)
    note = "" if slot.retry_in_s is None else f"again in {slot.retry_in_s} s"
    return [str(slot.slot), "-", _state(slot.state), *["-"] * 9, Text(f"{note} {last_exit}".strip())]


def _cells(worker: WorkerStatus, history: History, last_exit: str) -> list[str | Text]:
    jobs = worker.jobs
    running = ", ".join(job.rsplit(":", 1)[-1] for job in worker.running[:4])
    if worker.blocked_s is not None:
        running = f"blocked for {span(worker.blocked_s)}: {running}".rstrip(": ")
    return [
        str(worker.slot), str(worker.pid), _state(worker.state), str(worker.generation), span(worker.uptime_s),
        f"{history.cpu.get(worker.pid, 0.0):.0f}", f"{worker.rss_mb:.0f}M", f"{worker.lag_ms:.0f}ms",
        str(jobs.ongoing), str(jobs.complete), str(jobs.failed), str(jobs.retried),
        Text(running or last_exit),  # as text: what is in it are no colours
    ]  # fmt: skip


def _state(state: str) -> Text:
    return Text(state, style=COLOURS.get(state, "yellow"))


def _helpers(status: PoolStatus, history: History) -> Text:
    boss = status.supervisor
    helpers = [HelperStatus("supervisor", boss.pid, boss.state, boss.uptime_s, boss.rss_mb), *status.helpers]
    parts = [  # each in one piece, also where the line is broken
        f"{one.role} {one.pid or '-'} {one.state} {history.cpu.get(one.pid or 0, 0.0):.0f}% {one.rss_mb:.0f}M"
        + (f" http://{one.address}/" if one.address else "")
        for one in helpers
    ]
    return Text("   ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts), style="dim")


def run_top(path: Path, period_s: float = PERIOD_S) -> int:
    """Until `q` or Ctrl-C, or until the pool ends; without a terminal, one frame. Returns the exit code."""
    history = History()
    try:
        status = _ask(path, history)
        if not sys.stdout.isatty():
            time.sleep(period_s)
            Console(width=160).print(render(_ask(path, history), history))
            return ProbeCode.OK
        with (
            Keyboard() as keyboard,
            Live(render(status, history, _width()), screen=True, auto_refresh=False) as live,
        ):
            live.refresh()
            while not LEAVE.intersection(keyboard.wait(period_s)) and keyboard.code is None:
                live.update(render(_ask(path, history), history, _width()), refresh=True)
    except UnreachableError as error:
        complain(str(error))
        return ProbeCode.UNKNOWN
    except OSError:  # the terminal is gone, and with it whatever waits to be written there
        os._exit(by_signal(signal.SIGHUP))
    return keyboard.code or ProbeCode.OK


def _width() -> int:
    return shutil.get_terminal_size().columns


def _ask(path: Path, history: History) -> PoolStatus:
    answer = ask(path, Request("status"), timeout_s=ASK_S)
    if answer.status is None:
        raise UnreachableError(answer.error or "the supervisor has ended")
    history.take(answer.status, time.monotonic())
    return answer.status
