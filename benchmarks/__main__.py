"""Run benchmarks: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import psutil

from arq.version import VERSION
from benchmarks import memory, server_time, shards, web
from benchmarks.noise import Noise
from benchmarks.peers import PEERS, Peer
from benchmarks.plots import draw
from benchmarks.report import Numbers, Results, row, table
from benchmarks.scenarios import SCALE, SCENARIOS, Scenario
from benchmarks.server import Server
from benchmarks.targets import judge

#: What is measured in its own way.
APART = {"server": server_time.main, "memory": memory.main, "web": web.main}
USUAL_PEERS = ("ours", "ours-quiet", "arq", "arq-tuned")
#: Share of the processors that other programs may use before a run counts as disturbed.
QUIET_PERCENT = 15


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure arq and its peers side by side."
    )
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="noop100 if none; scale: all scale-*; scale --shards: several servers; server, memory, web: see "
        "`server --help` and so on; " + " ".join(SCENARIOS),
    )
    parser.add_argument("--all", action="store_true", help="all scenarios, all peers: under half an hour")
    parser.add_argument(
        "--peers", help=f"comma separated: {' '.join(PEERS)}; default: {','.join(USUAL_PEERS)}"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--patience",
        type=int,
        default=0,
        metavar="N",
        help=f"repeat a run up to N times when other programs used more than {QUIET_PERCENT} %% of the processors",
    )
    parser.add_argument("--out", type=Path, help="write tables, plots and all numbers into this directory")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {options.rounds}")
    if options.all:
        options.scenarios = [name for name, one in SCENARIOS.items() if not one.only_by_name]
    if SCALE in options.scenarios:
        options.scenarios = [name for name in options.scenarios if name != SCALE] + _scale()
        options.peers = options.peers or ",".join(name for name, peer in PEERS.items() if SCALE in peer.can)
    options.scenarios = options.scenarios or ["noop100"]
    usual = PEERS if options.all else USUAL_PEERS
    options.peers = options.peers.split(",") if options.peers else list(usual)
    known: tuple[tuple[list[str], Sequence[str], str], ...] = (
        (options.scenarios, tuple(SCENARIOS), "scenario"),
        (options.peers, tuple(PEERS), "peer"),
    )
    for wanted, names, kind in known:
        for name in set(wanted) - set(names):
            parser.error(f"unknown {kind} {name!r}: use {' '.join(names)}")
    return options  # fmt: skip


def _scale() -> list[str]:
    """The scenarios of scaling that say something on this machine."""
    cores = os.cpu_count() or 1
    scales = [one for one in SCENARIOS.values() if one.group.startswith(SCALE)]
    fit = [one.name for one in scales if one.processes <= max(2 * cores, 2)]
    left_out = sorted({one.processes for one in scales if one.name not in fit})
    print(f"benchmarks: {cores} cores", file=sys.stderr)
    if left_out:
        counts = ", ".join(map(str, left_out))
        print(
            f"benchmarks: too few cores for {counts} processes; name scenarios to run them", file=sys.stderr
        )
    return fit


class Session:
    """Measures scenarios one group after the other.

    Args:
        options: the command line.
        server: the Redis for everything that is not measured together.
    """

    def __init__(self, options: argparse.Namespace, server: Server) -> None:
        self.options, self.server = options, server
        self.results: Results = {}
        self._began = time.monotonic()
        self._broken: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Measure everything and print a table of each scenario as soon as it is there."""
        wanted = [SCENARIOS[name] for name in SCENARIOS if name in self.options.scenarios]
        for name in self._left_over(wanted):
            taking_part = " ".join(
                one for one, peer in PEERS.items() if any(s.needs in peer.can for s in wanted)
            )
            print(f"benchmarks: {name} has none of these scenarios; use {taking_part}", file=sys.stderr)
        for _name, group in groupby(wanted, key=lambda scenario: scenario.group):
            scenarios = list(group)
            for scenario in scenarios:
                for peer in self.peers(scenario):
                    peer.python()  # its environment is made now, not while something is measured
            if scenarios[0].together:
                self._measure_together(scenarios)
            else:
                self._measure_in_turns(scenarios)
            for scenario in scenarios:
                print(self.table(scenario), flush=True)

    def peers(self, scenario: Scenario) -> list[Peer]:
        """Who takes part."""
        named = [PEERS[name] for name in PEERS if name in self.options.peers]
        return [peer for peer in named if scenario.needs in peer.can and peer.name not in scenario.without]

    def _left_over(self, wanted: list[Scenario]) -> list[str]:
        """Who was named and takes no part in anything."""
        taking_part = {peer.name for scenario in wanted for peer in self.peers(scenario)}
        return [name for name in self.options.peers if name not in taking_part]

    def table(self, scenario: Scenario) -> str:
        """What was found."""
        found = self.results.get(scenario.name, {})
        ordered = {peer.name: found[peer.name] for peer in self.peers(scenario) if peer.name in found}
        return table(scenario.name, scenario.headline, ordered) if ordered else ""

    def _measure_in_turns(self, scenarios: list[Scenario]) -> None:
        for number in range(self.options.rounds):
            for scenario in scenarios:
                for peer in self.peers(scenario)[:: 1 - number % 2 * 2]:
                    rounds = scenario.rounds if peer.main else min(scenario.rounds, scenario.others_rounds)
                    if number < rounds and (scenario.name, peer.name) not in self._broken:
                        self._say(f"{scenario.name} round {number + 1}: {peer.name}")
                        measure = lambda s=scenario, p=peer: self._quietest(s, p)  # noqa: E731
                        self._note(scenario, peer, number, measure)

    def _measure_together(self, scenarios: list[Scenario]) -> None:
        pairs = [(scenario, peer) for scenario in scenarios for peer in self.peers(scenario)]
        self._say(f"{len(pairs)} at a time: {', '.join(scenario.name for scenario in scenarios)}")
        with ThreadPoolExecutor(max(len(pairs), 1)) as pool:
            waiting = [(scenario, peer, pool.submit(_alone, scenario, peer)) for scenario, peer in pairs]
            for scenario, peer, future in waiting:
                self._note(scenario, peer, 0, future.result)

    def _note(self, scenario: Scenario, peer: Peer, number: int, measure: Callable[[], Numbers]) -> None:
        try:
            numbers = measure()
        except (RuntimeError, TimeoutError, psutil.Error) as exc:
            reason = str(exc) or type(exc).__name__
            print(f"benchmarks: {peer.name} is left out of {scenario.name}: {reason}", file=sys.stderr)
            self._broken.add((scenario.name, peer.name))
        else:
            self.results.setdefault(scenario.name, {}).setdefault(peer.name, {})[number] = numbers

    def _quietest(self, scenario: Scenario, peer: Peer) -> Numbers:
        """The run that other programs disturbed least; says how much they did."""
        best: Numbers = {}
        for _ in range(1 + self.options.patience):
            noise = Noise(self.server)
            numbers = scenario.run(peer, self.server)
            numbers["others %"] = noise.others_percent()
            if not best or numbers["others %"] < best["others %"]:
                best = numbers
            if best["others %"] <= QUIET_PERCENT:
                break
        return best

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:5.0f} s  {text}", file=sys.stderr, flush=True)


def _alone(scenario: Scenario, peer: Peer) -> Numbers:
    server = Server()
    try:
        return scenario.run(peer, server)
    finally:
        server.close()


def machine(server: Server) -> dict[str, str]:
    """Where and when this was measured."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "arq": VERSION,
        "cores": str(os.cpu_count()),
        "machine": _processor(),
        "python": platform.python_version(),
        "server": server.version,
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def contestants(names: list[str]) -> str:
    """Who was measured, and how."""
    lines = [
        "### Who",
        "",
        row(["peer", "packages", "set beside the defaults", "limited by"]),
        row(["-"] * 4),
    ]
    for name in names:
        peer = PEERS[name]
        packages = "this tree" if name.startswith("ours") else " ".join(peer.packages)
        lines.append(row([name, packages, peer.tuning, peer.limited_by]))
    return "\n".join(lines)


def write(directory: Path, session: Session) -> None:
    """Tables, plots and all numbers."""
    directory.mkdir(parents=True, exist_ok=True)
    where = machine(session.server)
    name = where["date"]
    peers = {
        one: " ".join(PEERS[one].packages) for one in session.options.peers if not one.startswith("ours")
    }
    everything = {"machine": where, "peers": peers, "results": session.results}
    (directory / f"{name}.json").write_text(json.dumps(everything, indent=1) + "\n")
    plots = draw(session.results, ", ".join(f"{key} {value}" for key, value in where.items()))
    for plot, text in plots.items():
        (directory / f"{name}-{plot}.svg").write_text(text)
    parts = [
        f"# Measured on {name}",
        ", ".join(f"{key}: {value}" for key, value in where.items()) + ".",
        judge(session.results),
        contestants(session.options.peers),
        "\n".join(f"![{plot}]({name}-{plot}.svg)" for plot in plots),
        *(session.table(SCENARIOS[scenario]) for scenario in SCENARIOS),
    ]
    (directory / f"{name}.md").write_text("\n\n".join(part.strip() for part in parts if part) + "\n")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] and (apart := APART.get(sys.argv[1])):
        apart(sys.argv[2:])
        return
    if sys.argv[1:3] == ["scale", "--shards"]:
        shards.main(sys.argv[3:])
        return
    options = parse(sys.argv[1:])
    server = Server()
    try:
        session = Session(options, server)
        try:
            session.run()
        finally:  # what was measured until then is not lost
            print(judge(session.results))
            if options.out and session.results:
                write(options.out, session)
    finally:
        server.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("benchmarks: interrupted")
