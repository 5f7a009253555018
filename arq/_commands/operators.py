"""`arq COMMAND`: the commands for operators as one click group, each imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from . import COMMANDS
from .exit_codes import ExitCode
from .usage_error import OneLineError


class Operators(click.Group):
    """The commands of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it."""
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        module = import_module(f".{row.module}", __package__)
        found: click.Command = getattr(module, cmd_name)
        return found

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any
    ) -> Any:
        """Run the command that the words mean. Mistakes are told without the passwords that are in them."""
        if extra.pop("standalone_mode", True) is False:
            return super().main(args, prog_name, None, False, **extra)
        try:
            answer = super().main(args, prog_name, None, False, **extra)
        except click.Abort:
            click.echo("Aborted!", err=True)
            sys.exit(ExitCode.INTERRUPTED)
        except click.UsageError as exc:
            OneLineError(exc).show()
            sys.exit(ExitCode.USAGE)
        sys.exit(answer if isinstance(answer, int) else ExitCode.DONE)


operators = Operators("arq", context_settings={"max_content_width": 100})
