"""Shells complete the commands for operators."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.programs import ROOT


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "number", "found"),
    [
        ("arq w", 1, ["watch", "web", "workers"]),
        ("arq ls --st", 2, ["--state"]),
        ("arq --bur", 1, ["--burst"]),
    ],
)
def test_a_shell_completes_commands_and_their_options(words: str, number: int, found: list[str]) -> None:
    asked = {"_ARQ_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    code = "from arq.cli import cli; cli(prog_name='arq')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [f"plain,{one}" for one in found], done.stderr
