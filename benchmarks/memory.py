"""Memory of a pool without work, by its processes, for this tree and others: `python -m benchmarks memory --help`.

PSS charges a page to all processes that share it, so that the sum is what the pool takes. `private`: pages that nobody
shares, which is what a further worker would cost. All trees take turns, on the same packages.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

from benchmarks.peers import PEERS, Peer
from benchmarks.report import number, row
from benchmarks.run import running, until
from benchmarks.server import Server
from benchmarks.server_time import add_against, trees

WORKERS = 4
#: Parent and steward come to them.
PROCESSES = WORKERS + 2
SETTLE_S = 5.0
#: Role -> PSS and private pages of its processes, in MB, of one round.
Pool = dict[str, tuple[float, float]]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    add_against(parser)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def role_of(process: psutil.Process) -> str:
    """What a process of a pool is there for, by its title."""
    title = " ".join(process.cmdline())
    return next((role for role in ("worker", "steward") if f": {role}[" in title), "parent")


def pages_mb(pid: int) -> tuple[float, float]:
    """PSS and private pages."""
    sizes: dict[str, int] = defaultdict(int)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, size = line.partition(":")
        sizes[name] = int(size.split()[0])
    return sizes["Pss"] / 1000, (sizes["Private_Dirty"] + sizes["Private_Clean"]) / 1000


def added_up(processes: Iterable[psutil.Process]) -> Pool:
    """By role, and of all."""
    found: Pool = {}
    for process in processes:
        pss, private = pages_mb(process.pid)
        for role in (role_of(process), "all"):
            before = found.get(role, (0.0, 0.0))
            found[role] = (before[0] + pss, before[1] + private)
    return found


def measure(peer: Peer, server: Server) -> Pool:
    """A pool that has nothing to do."""
    with running(peer, server, 10, WORKERS, host="memory") as run:
        run.start_workers()
        until(lambda: len(run.family()) == PROCESSES, f"{PROCESSES} processes")
        time.sleep(SETTLE_S)
        return added_up(run.family())


def table(found: dict[str, list[Pool]]) -> str:
    """Medians."""
    lines = [row(["MB: PSS (private)", *found]), row(["-"] * (len(found) + 1))]
    for role in ("parent", "steward", "worker", "all"):
        cells = [f"{WORKERS} workers" if role == "worker" else role]
        for pools in found.values():
            pss, private = (median(pool[role][kind] for pool in pools) for kind in (0, 1))
            cells.append(f"{number(pss)} ({number(private)})")
        lines.append(row(cells))
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    options = parse(arguments)
    found: dict[str, list[Pool]] = {}
    server = Server()
    try:
        with suppress(KeyboardInterrupt), trees(options.against) as by_name:
            for number_of_round in range(options.rounds):
                for name in list(by_name)[:: 1 - number_of_round % 2 * 2]:
                    peer = replace(PEERS["ours-supervised"], name=name, path=str(by_name[name]))
                    found.setdefault(name, []).append(measure(peer, server))
    finally:
        server.close()
    print(table(dict(sorted(found.items(), key=lambda item: item[0] != "ours"))))
