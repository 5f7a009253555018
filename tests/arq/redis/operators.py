"""Runs commands for operators in the process of the test."""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import Any, NamedTuple
from unittest import mock

from arq.cli import cli


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The objects that it has printed."""
        return [json.loads(line) for line in self.out.splitlines()]


def run_command(*words: str, **env: str) -> Outcome:
    """Run `arq` with these words, where nobody can be asked."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ, env),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", io.StringIO()),
    ):
        try:
            cli.main(list(words), prog_name="arq")
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())
