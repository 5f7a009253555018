"""Run benchmarks: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks.noise import Noise
from benchmarks.peers import PEERS, Peer
from benchmarks.report import Numbers, Results, table
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.server import Server

USUAL_PEERS = ("ours", "ours-quiet", "arq", "arq-tuned")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure arq and its peers side by side."
    )
    parser.add_argument(
        "scenarios", nargs="*", default=["noop100"], metavar="SCENARIO", help=" ".join(SCENARIOS)
    )
    parser.add_argument("--peers", default=",".join(USUAL_PEERS), help=f"comma separated: {' '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--patience", type=int, default=0, metavar="N",
        help="repeat a run up to N times when other programs used more than 15 %% of the processors meanwhile",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write all numbers here")
    options = parser.parse_args(arguments)
    for wanted, known, kind in (
        (options.scenarios, SCENARIOS, "scenario"),
        (options.peers.split(","), PEERS, "peer"),
    ):
        for name in set(wanted) - set(known):
            parser.error(f"unknown {kind} {name!r}: use {' '.join(known)}")
    return options


def measure(options: argparse.Namespace, server: Server) -> Results:
    """All scenarios; the peers take turns in each round."""
    results: Results = {}
    for name in options.scenarios:
        scenario = SCENARIOS[name]
        peers = [PEERS[one] for one in options.peers.split(",") if scenario.needs in PEERS[one].can]
        for peer in peers:
            peer.python()
        broken: set[str] = set()
        for number in range(options.rounds):
            for peer in (one for one in peers[:: 1 - number % 2 * 2] if one.name not in broken):
                print(f"{name} round {number + 1}: {peer.name}", file=sys.stderr)
                try:
                    numbers = quietest(scenario, peer, server, 1 + options.patience)
                except RuntimeError as exc:
                    print(f"benchmarks: {peer.name} is left out of {name}: {exc}", file=sys.stderr)
                    broken.add(peer.name)
                else:
                    results.setdefault(name, {}).setdefault(peer.name, []).append(numbers)
        ordered = {peer.name: results[name][peer.name] for peer in peers if peer.name not in broken}
        print(table(name, scenario.headline, ordered), flush=True)
    return results


def quietest(scenario: Scenario, peer: Peer, server: Server, attempts: int) -> Numbers:
    """The run that other programs disturbed least; says how much they did."""
    best: Numbers = {}
    for _ in range(attempts):
        noise = Noise(server)
        numbers = scenario.run(peer, server)
        numbers["others %"] = noise.others_percent()
        if not best or numbers["others %"] < best["others %"]:
            best = numbers
        if best["others %"] <= 15:
            break
    return best


def machine(server: Server) -> dict[str, object]:
    """Where and when this was measured."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "server": server.version,
    }


def main() -> None:
    """Measure and print."""
    options = parse(sys.argv[1:])
    server = Server()
    try:
        results = measure(options, server)
        if options.json:
            options.json.write_text(json.dumps({"machine": machine(server), "results": results}, indent=1))
    finally:
        server.close()


main()
