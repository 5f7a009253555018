"""Mistakes on the command line, as all commands tell them."""

from __future__ import annotations

from typing import IO, Any

import click

from .._printable import printable, redacted

#: Known from other programs, and not what this one does.
_FOR_MANY = ("-w", "-p", "-c", "--workers", "--processes", "--procs", "--concurrency")


class OneLineError(click.UsageError):
    """A mistake on the command line, told on one line and without the passwords that are in it."""

    def __init__(self, error: click.UsageError) -> None:
        """What click says of it, and where more is to be read."""
        where = error.ctx.command_path if error.ctx is not None else "arq"
        text = error.format_message().rstrip(".")
        if isinstance(error, click.NoSuchOption) and error.option_name in _FOR_MANY:
            text += ": `arq` is one process, for several there is `arq-supervise SETTINGS --procs N`"
        super().__init__(f"{text} (see {where} --help)", error.ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it; no usage before it."""
        click.echo(f"arq: {printable(redacted(self.format_message()))}", file=file, err=file is None)
