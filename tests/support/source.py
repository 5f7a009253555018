"""Read this project's own source: modules, their imports, their functions."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from tests.support.programs import ROOT

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy`: inside a function, `typing`: for the type checker only."""

    module: str
    lazy: bool = False
    typing: bool = False


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    text: str = field(repr=False, compare=False)

    @cached_property
    def tree(self) -> ast.Module:
        """Not before it is asked for: to parse them all takes seconds, in each process that collects tests."""
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def code_lines(self) -> int:
        """Length without blank lines, comments and docstrings: explaining is free."""
        explaining = {line for node in ast.walk(self.tree) for line in _docstring_lines(node)}
        return sum(
            bool(line.strip()) and not line.lstrip().startswith("#") and number not in explaining
            for number, line in enumerate(self.text.splitlines(), 1)
        )

    def imports(self) -> frozenset[Import]:
        return _imports_of(self)

    def functions(self) -> tuple[tuple[str, FunctionNode], ...]:
        """Every function with its dotted name inside the module."""
        return _functions_of(self)


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found.append(Module(name, path, text))
    return tuple(found)


@cache
def _imports_of(module: Module) -> frozenset[Import]:
    return frozenset(_imports(module, module.tree))


@cache
def _functions_of(module: Module) -> tuple[tuple[str, FunctionNode], ...]:
    return tuple(_functions(module.tree, ""))


def body_lines(function: FunctionNode) -> int:
    """Length of a function in lines, its docstring left out."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def _docstring_lines(node: ast.AST) -> range:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if not isinstance(node, documented) or ast.get_docstring(node, clean=False) is None:
        return range(0)
    return range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            yield prefix + child.name, child
        name = f"{prefix}{child.name}." if isinstance(child, FunctionNode | ast.ClassDef) else prefix
        yield from _functions(child, name)


def _imports(module: Module, node: ast.AST, *, lazy: bool = False, typing: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, lazy, typing) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(module, child)
            # `from . import x` may name modules: the caller keeps those that are
            yield from (Import(f"{base}.{alias.name}", lazy, typing) for alias in child.names)
            yield Import(base, lazy, typing)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            yield from _imports(module, child, lazy=lazy, typing=True)
        else:
            inside = lazy or isinstance(child, FunctionNode)
            yield from _imports(module, child, lazy=inside, typing=typing)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    base = module.package.split(".")
    base = base[: len(base) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
