"""What a job takes of the server's CPU, for this tree, earlier ones and peers: `python -m benchmarks server --help`.

CPU of a server is nearly the same whatever else the machine does, and all contestants take turns. So a ratio of a few
rounds means something also on a machine that is busy.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.peers import CODE, PEERS, ROOT, Peer
from benchmarks.report import number, row
from benchmarks.scenarios import SCENARIOS
from benchmarks.server import Server, binaries

BATCHES = (1, 10, 50, 100)
#: Jobs of one measurement of scripts.
JOBS = 3000
STEPS = ("enqueue", "claim + finish")
WHOLE = ("noop100", "noop10", "enqueue-one", "enqueue-gather")
USUAL_PEERS = "ours,arq-tuned,dramatiq,taskiq,saq"
#: What was measured: row -> contestant -> µs in each round.
Found = dict[str, dict[str, list[float]]]


def add_against(parser: argparse.ArgumentParser) -> None:
    """The option that names what `trees` makes."""
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="REVISION",
        help="an earlier state of this tree, from git",
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks server", description=__doc__)
    add_against(parser)
    parser.add_argument(
        "--peers", default=USUAL_PEERS, help=f"for whole runs; '': none (default: {USUAL_PEERS})"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--servers", default=",".join(binaries()), help="which servers (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    for name in filter(None, options.peers.split(",")):
        if name not in PEERS:
            parser.error(f"unknown peer {name!r}: use {' '.join(PEERS)}")
    for name in options.servers.split(","):
        if name not in binaries():
            parser.error(f"no server {name!r} here: use {' '.join(binaries())}")
    return options


@contextlib.contextmanager
def trees(revisions: list[str]) -> Iterator[dict[str, Path]]:
    """This tree and those of some revisions, by name."""
    with tempfile.TemporaryDirectory(prefix="arq-bench-tree-") as directory:
        found = {"ours": ROOT}
        for revision in revisions:
            done = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True)
            found[revision] = Path(directory, revision)
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
                archive.extractall(found[revision], filter="data")
        yield found


@contextlib.contextmanager
def driving(tree: Path, server: Server) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the scripts of a tree, see `peers_code/scripts_only.py`."""
    command = [PEERS["ours"].python(), "-P", str(CODE / "scripts_only.py"), server.dsn]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.communicate()


def ask(process: subprocess.Popen[str], batch: int, jobs: int) -> dict[str, float]:
    """Let it run so many jobs; µs a job."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{batch} {jobs}\n")
    process.stdin.flush()
    found: dict[str, float] = json.loads(process.stdout.readline())
    return found


def scripts(server: Server, by_name: dict[str, Path], rounds: int) -> Found:
    """Scripts alone, without a worker, by the size of the batches."""
    found: Found = {f"{step}, {batch} at a time": {} for step in STEPS for batch in BATCHES}
    with contextlib.ExitStack() as stack:
        drivers = {name: stack.enter_context(driving(tree, server)) for name, tree in by_name.items()}
        for driver in drivers.values():
            ask(driver, 10, 100)
        for number_of_round in range(rounds):
            for batch in BATCHES:
                for name in list(drivers)[:: 1 - number_of_round % 2 * 2]:
                    for step, us in ask(drivers[name], batch, JOBS).items():
                        found[f"{step}, {batch} at a time"].setdefault(name, []).append(us)
    return found


def whole(server: Server, peers: list[Peer], rounds: int) -> Found:
    """Whole runs: workers that run no-op jobs, producers that enqueue them."""
    found: Found = {}
    for number_of_round in range(rounds):
        for name in WHOLE:
            scenario = SCENARIOS[name]
            for peer in [one for one in peers if scenario.needs in one.can][:: 1 - number_of_round % 2 * 2]:
                try:
                    us = scenario.run(peer, server)["redis us/job"]
                except RuntimeError as exc:
                    print(f"benchmarks: {peer.name} is left out of {name} once: {exc}", file=sys.stderr)
                else:
                    found.setdefault(name, {}).setdefault(peer.name, []).append(us)
    return found


def table(found: Found, base: str) -> str:
    """Median of the µs a job, and of the ratios to `base` within each round."""
    names = list(dict.fromkeys(name for by_name in found.values() for name in by_name))
    lines = [row(["server µs a job", *names]), row(["-"] * (len(names) + 1))]
    for title, by_name in found.items():
        cells = [title]
        for name in names:
            if name not in by_name:
                cells.append("")
                continue
            ratios = [one / other for one, other in zip(by_name[name], by_name.get(base, []), strict=False)]
            times = f" ({median(ratios):.2f}x)" if ratios and name != base else ""
            cells.append(f"{number(median(by_name[name]))}{times}")
        lines.append(row(cells))
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    options = parse(arguments)
    with trees(options.against) as by_name:
        earlier = [
            replace(PEERS["ours"], name=name, environment="ours", path=str(tree))
            for name, tree in by_name.items()
            if name != "ours"
        ]
        peers = [PEERS[name] for name in filter(None, options.peers.split(","))] + earlier
        base = options.against[0] if options.against else "ours"
        for name in options.servers.split(","):
            server = Server(binaries()[name])
            try:
                print(f"### {server.version}\n")
                print(table(scripts(server, by_name, options.rounds), base), "\n", flush=True)
                if options.peers:
                    print(table(whole(server, peers, options.rounds), base), "\n", flush=True)
            finally:
                server.close()
