"""The console scripts. Imports nothing of `arq` and `supervisor` before it knows that they are those it came with,
and nothing that takes time before `main` is ready for a stop.
"""

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

USAGE = 2
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# package -> a file or folder that only ours has
MARKS = {"supervisor": "commands/arq-supervise.service.in", "arq": "lua"}
ANOTHER_SUPERVISOR = (
    "the installed package 'supervisor' is not the one that came with arq (supervisord uses the same name);"
    " uninstall supervisord from this environment, then install arq again; found: "
)


def main() -> None:
    """Run `arq-supervise`; exit code 2 and one line when a package of ours is not what is found under its name."""
    _require_own("arq-supervise", "supervisor")
    _require_own("arq-supervise", "arq")
    try:
        import supervisor

        if not getattr(supervisor, "ARQ_SUPERVISE", False):
            raise ImportError(name="supervisor")
        from supervisor.early_stop import stop_at_once_until_ready_to_stop

        stop_at_once_until_ready_to_stop()
        from supervisor.cli import cli
    except ImportError as error:  # two projects have written into one folder
        if not (error.name or "supervisor").startswith("supervisor"):
            raise
        _leave("arq-supervise", ANOTHER_SUPERVISOR + os.path.join(HERE, "supervisor"))
    cli(prog_name="arq-supervise")


def arq() -> None:
    """Run `arq`, with the same exception."""
    _require_own("arq", "arq")
    from arq.cli import cli

    cli()


def _require_own(command: str, package: str) -> None:
    trouble = in_the_way(package)
    if trouble:
        _leave(command, trouble)


def _leave(command: str, trouble: str) -> NoReturn:
    sys.stderr.write(f"{command}: {trouble}\n")
    sys.exit(USAGE)


def in_the_way(package: str) -> str:
    """What is wrong about where `package` is found; nothing of it is run for that. "" if it is ours."""
    spec = find_spec(package)
    if spec is None:
        return f"the package {package!r} is not installed: install arq again"
    folders = spec.submodule_search_locations
    if folders is None:
        return _foreign(package, spec.origin or package)
    # what is in no folder of the disk (a zip file, a frozen program) has been put together on purpose
    for folder in filter(os.path.isdir, folders):
        if not os.path.exists(os.path.join(folder, MARKS[package])):
            return ANOTHER_SUPERVISOR + folder if package == "supervisor" else _foreign(package, folder)
    return ""


def _foreign(package: str, place: str) -> str:
    if os.path.dirname(os.path.abspath(place)) == HERE:
        return f"{place} is not the package {package!r} that arq-supervise came with: install arq again"
    return (
        f"{place} is in the way of the package {package!r} that arq brings: give it another name, or take its folder"
        " off the Python path (PYTHONPATH, working directory)"
    )
