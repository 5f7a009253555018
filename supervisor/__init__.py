"""arq-supervise: keeps N arq workers running, whatever happens to them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .options import Options

# The package index has another project with this import name (supervisord). The console script looks for this
# mark before it trusts what it imported.
ARQ_SUPERVISE = True

__all__ = ["ARQ_SUPERVISE", "Options", "run"]


def __getattr__(name: str) -> Any:
    """`Options` is imported when it is asked for: the command has something to do before it imports anything."""
    if name == "Options":
        from .options import Options

        return Options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run(options: "Options") -> int:
    """Run the pool in this process until it ends, and return the exit code (0-7 or 69, see the operations manual).

    Must be called from the main thread of a process that has no other thread. Replaces the handlers of TERM, INT,
    QUIT, HUP, USR1, USR2, TTIN, TTOU and CHLD while it runs.
    """
    from .host.interpreter import is_to_resume

    if is_to_resume():
        from .process.exec import resume

        resume()
    from .parent.loop import Parent

    return Parent(options).run()
