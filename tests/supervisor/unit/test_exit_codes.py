"""Exit codes have names, in one table."""

import ast

import pytest

from supervisor.exit_codes import ExitCode, ProbeCode, by_signal
from tests.support.programs import ROOT
from tests.support.source import FunctionNode, Module, modules

SUPERVISOR = modules("supervisor")


def is_number(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool)


def bare_exits(module: Module) -> list[str]:
    """Lines that end a process, or say how it is to end, with a number that has no name."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "exit",
            "_exit",
            "leave",
        ):
            found += [f"{module.name}:{node.lineno}"] * any(map(is_number, node.args))
        if isinstance(node, FunctionNode) and "exit code" in (ast.get_docstring(node) or ""):
            found += [
                f"{module.name}:{one.lineno}"
                for one in ast.walk(node)
                if isinstance(one, ast.Return) and is_number(one.value)
            ]
    return found


@pytest.mark.parametrize("module", SUPERVISOR, ids=lambda module: module.name)
def test_no_exit_code_is_a_bare_number(module: Module) -> None:
    assert not bare_exits(module)


def test_a_bare_number_would_be_found() -> None:
    code = 'def f():\n    """Returns the exit code."""\n    if x:\n        return 3\n    os._exit(0)\n'
    assert len(bare_exits(Module("some", ROOT, code))) == 2


def test_probes_and_pools_mean_the_same_by_the_same_code() -> None:
    """Where a program may meet both, as `arq-supervise SETTINGS --check` with wrong settings."""
    assert int(ProbeCode.OK) == ExitCode.OK
    assert int(ProbeCode.SETTINGS) == ExitCode.SETTINGS
    assert ExitCode.USAGE not in list(map(int, ProbeCode))
    assert by_signal(2) not in list(map(int, ExitCode))
