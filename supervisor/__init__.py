"""arq-supervise: keeps N arq workers running, whatever happens to them."""

from __future__ import annotations

# without an import: the command has something to do before it imports anything
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .options import Options

# The package index has another project with this import name (supervisord). The console script looks for this
# mark before it trusts what it imported.
ARQ_SUPERVISE = True

__all__ = ["ARQ_SUPERVISE", "Options", "run"]


def __getattr__(name: str) -> Any:
    """`Options` is imported when it is asked for."""
    if name == "Options":
        from .options import Options

        return Options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run(options: Options) -> int:
    """Run a pool in this process until it ends. `arq-supervise SETTINGS` does nothing else.

    Must be called from the main thread; in a process that has other threads, workers are started by `exec` instead of
    `fork`. Handlers of TERM, INT, QUIT, HUP, USR1, USR2, TTIN, TTOU and CHLD are replaced while it runs. What goes
    wrong with the pool is told on stderr and by the exit code; nothing of it is raised.

    Args:
        options: the pool; `help(supervisor.Options)` has every option with its unit, range and default.

    Returns:
        the exit code: 0 stopped as asked or burst finished, 1 a bug of the supervisor, 2 something that the options
        need is missing, 3 workers fail to start, 4 the settings can't be used, 5 too many failures in a short time,
        6 stopped, but jobs were interrupted, 7 another supervisor runs this pool, 69 Redis stayed away
        (`--exit-on-tempfail`).

    Raises:
        ValueError: called from another thread than the main one.
    """
    from .host.interpreter import is_to_resume

    if is_to_resume():
        from .children.roles import resume

        resume()
    from .parent.run import run_pool

    return run_pool(options)
