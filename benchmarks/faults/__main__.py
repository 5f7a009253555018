"""Cause faults and write down what happens: `python -m benchmarks.faults --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults.catalogue import FAULTS, Fault
from benchmarks.faults.environments import ROOT, prepare, versions
from benchmarks.faults.page import render
from benchmarks.faults.peers import PEERS, Peer
from benchmarks.faults.processes import (
    become_subreaper,
    descendants,
    end_with_parent,
    kill,
    parents,
    reap_adopted,
)
from benchmarks.faults.scene import Note, Scene
from benchmarks.server import find_binary


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description="The same faults against several process managers."
    )
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only this one; may be repeated")
    parser.add_argument(
        "--fault", action="append", choices=list(FAULTS), help="only this one; may be repeated"
    )
    parser.add_argument("--together", type=int, default=3, metavar="N", help="peers at a time (default: 3)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all observations here; keeps what it has of others"
    )
    parser.add_argument("--log", type=Path, metavar="DIR", help="keep what each peer printed in each fault")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.peer = options.peer or list(PEERS)
    options.fault = options.fault or list(FAULTS)
    return options


def observe(peer: Peer, fault: Fault, programs: Path, logs: Path | None) -> Note:
    """One cell: a fresh scene, one fault. A fault that could not be caused is an observation, too."""
    if reason := fault.lacks(peer):
        return {"not_applicable": reason}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="arq-f-") as name, Scene(peer, programs, Path(name)) as scene:
        try:
            seen = fault.cause(scene)
        except (RuntimeError, OSError) as error:
            print(error, file=sys.stderr)
            # the rest of it is what the peer printed, full of this machine's paths
            seen = {"could_not_be_caused": str(error).splitlines()[0]}
        if logs:
            logs.mkdir(parents=True, exist_ok=True)
            (logs / f"{peer.name}.{fault.name}.log").write_text(scene.log())
    return {**seen, "cell_s": round(time.monotonic() - began, 1)}


def alone(peer: Peer, options: argparse.Namespace) -> Note:
    """All faults of one peer, in this process, which inherits its orphans."""
    become_subreaper()
    programs = prepare(peer)
    cells = {}
    for name in options.fault:
        cells[name] = observe(peer, FAULTS[name], programs, options.log)
        print(f"{peer.name} {name}: {json.dumps(cells[name])}", file=sys.stderr, flush=True)
    return {"versions": versions(peer, programs), "settings": peer.settings, "cells": cells}


def several(options: argparse.Namespace) -> dict[str, Note]:
    """Each peer in a process of its own, a few at a time."""
    become_subreaper()
    waiting, running = list(options.peer), dict[str, subprocess.Popen[bytes]]()
    with tempfile.TemporaryDirectory(prefix="arq-f-") as name:
        answers = {peer: Path(name) / peer for peer in options.peer}
        try:
            while waiting or running:
                while waiting and len(running) < options.together:
                    peer = waiting.pop(0)
                    running[peer] = start_alone(peer, options, answers[peer])
                running = {peer: process for peer, process in running.items() if process.poll() is None}
                end_orphans({process.pid for process in running.values()})
                time.sleep(0.2)
        finally:
            end_all(list(running.values()))
        if silent := [peer for peer, answer in answers.items() if not answer.read_text()]:
            raise SystemExit(f"faults: nothing was found out about {', '.join(silent)}: see above")
        return {peer: json.loads(answer.read_text()) for peer, answer in answers.items()}


def start_alone(peer: str, options: argparse.Namespace, answer: Path) -> subprocess.Popen[bytes]:
    """A process that looks at this peer only, and writes its findings to `answer`."""
    words = ["--alone", "--peer", peer, *(word for name in options.fault for word in ("--fault", name))]
    words += ["--log", str(options.log.absolute())] if options.log else []
    with answer.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", "benchmarks.faults", *words], cwd=ROOT, stdout=file)


def end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    """Each clears its own scene when it is told to end."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)
    end_orphans(set())


def end_orphans(running: set[int]) -> None:
    """Processes that came to us because the one that looked at them is dead."""
    reap_adopted(running)
    for orphan in (pid for pid, parent in parents().items() if parent == os.getpid() and pid not in running):
        for pid in (orphan, *descendants(orphan)):
            kill(pid)


def machine() -> Note:
    """Where and when."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "server": server_version(),
    }


def server_version() -> str:
    """Name and version of the broker, from its own first line."""
    answer = subprocess.run([find_binary(), "--version"], check=True, capture_output=True, text=True).stdout
    name, _, rest = answer.partition(" server ")
    return f"{name} {rest.split()[0].removeprefix('v=')}"


def merged(known: Note, new: Note) -> Note:
    """`new`, with the cells of `known` that were not looked at this time."""
    if not known:
        return new
    peers = {name: dict(found) for name, found in known["peers"].items()}
    for name, found in new["peers"].items():
        cells = {**peers.get(name, {}).get("cells", {}), **found["cells"]}
        peers[name] = {**found, "cells": {fault: cells[fault] for fault in FAULTS if fault in cells}}
    return {
        **new,
        "peers": {name: peers[name] for name in PEERS if name in peers},
    }


def main() -> None:
    """Observe, write, print."""
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # if we run under nohup, the peers do not
    if options.alone:
        end_with_parent()
        print(json.dumps(alone(PEERS[options.peer[0]], options)))
        return
    peers = several(options)
    results = {"machine": machine(), "peers": peers}
    if options.json:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        options.json.write_text(json.dumps(merged(known, results), indent=1) + "\n")
    print(render(results) if len(options.fault) == len(FAULTS) else json.dumps(peers, indent=1))


if __name__ == "__main__":
    main()
