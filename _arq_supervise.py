"""The console script `arq-supervise`. Belongs to no package: what comes first here must not wait for an import."""

import sys
from importlib import import_module

USAGE = 2
WRONG_PACKAGE = (
    "arq-supervise: the installed package 'supervisor' is not the one that came with arq (supervisord uses the same"
    " name); uninstall supervisord from this environment, then install arq again\n"
)


def main() -> None:
    """Run `arq-supervise`; exit code 2 and one line when another project's `supervisor` is in the way."""
    try:
        if not getattr(import_module("supervisor"), "ARQ_SUPERVISE", False):
            raise ImportError("supervisor")
        import_module("supervisor.early").stop_at_once_until_ready_to_stop()
        cli = import_module("supervisor.cli").cli
    except ImportError as error:
        if not (error.name or "supervisor").startswith("supervisor"):
            raise
        sys.stderr.write(WRONG_PACKAGE)
        sys.exit(USAGE)
    cli(prog_name="arq-supervise")
