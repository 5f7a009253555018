# mypy: disable-error-code="import-not-found, misc, no-untyped-call"
"""rq's own worker, which also says when it begins."""

from arrival import worker_is_up
from rq import Worker


class Noting(Worker):  # type: ignore[name-defined,unused-ignore]
    """rq's worker does not import the application, and must not be made to: its jobs would inherit old code."""

    def register_birth(self) -> None:
        """As it is, and a note."""
        super().register_birth()
        worker_is_up()
