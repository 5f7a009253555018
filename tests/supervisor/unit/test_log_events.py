"""The table of log events is what the code says: names, levels, fields."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import pytest

from arq._worker.attempt import Attempt, Outcome
from supervisor.log_events import FIELDS, HEAD, LOG_EVENTS
from supervisor.log_records import LEVELS
from tests.support.source import FunctionNode, Module, modules

#: Where a record is made with an event of its own, and no more is known of it here.
PASSED_ON = {
    "supervisor.host.event_log",
    "supervisor.log_records",
    "supervisor.pool.state",
}
MAKERS = {"json_record": 2, "text_record": 2, "record": 2, "Say": 1}


@dataclass
class Said:
    """What one call says."""

    event: str
    levels: set[str]
    fields: set[str] = field(default_factory=set)


def constants(node: ast.expr) -> set[str]:
    """The texts that an expression may be."""
    if isinstance(node, ast.IfExp):
        return constants(node.body) | constants(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def keys_of(node: ast.expr, within: ast.AST, module: Module) -> set[str]:
    """The keys of a dictionary: one that stands there, a variable of the function, what another function returns."""
    match node:
        case ast.Dict():
            return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)} | {
                name
                for key, value in zip(node.keys, node.values, strict=True)
                if key is None
                for name in keys_of(value, within, module)
            }
        case ast.Name():
            return {key for value in assigned(node.id, within) for key in keys_of(value, within, module)} | {
                str(target.slice.value)
                for target in ast.walk(within)
                if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant)
                if isinstance(target.value, ast.Name) and target.value.id == node.id
            }
        case ast.Call(func=ast.Name(id=name)):
            called = dict(module.functions())[name]
            returned = [one.value for one in ast.walk(called) if isinstance(one, ast.Return) and one.value]
            return {key for value in returned for key in keys_of(value, called, module)}
    return set()


def assigned(name: str, within: ast.AST) -> Iterator[ast.expr]:
    """What a variable is set to, or gets more of."""
    for node in ast.walk(within):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value
            case ast.AugAssign(target=ast.Name(id=found), value=value) if found == name:
                yield value


def said_by(call: ast.Call, within: FunctionNode, module: Module) -> Iterator[Said]:
    """What a call says to the log, if it does."""
    match call.func:
        case ast.Attribute(attr="say", value=ast.Name() | ast.Attribute(attr="pool")) if not is_journal(call):
            levels = constants(call.args[1]) if len(call.args) > 1 else {"info"}
            fields = {keyword.arg for keyword in call.keywords if keyword.arg} | {
                key
                for keyword in call.keywords
                if not keyword.arg
                for key in keys_of(keyword.value, within, module)
            }
            yield from (Said(event, levels, fields) for event in constants(call.args[0]))
        case ast.Attribute(attr="say") if is_journal(call):
            levels, given = constants(call.args[0]), keys_of(call.args[2], within, module)
            yield from (Said(event, levels, given) for event in events_of(call.args[1]))
        case ast.Name(id=name) if name in MAKERS:
            at = MAKERS[name]
            levels = set().union(*(constants(value) for value in values_of(call.args[0], within)))
            given = keys_of(call.args[-1], within, module)
            yield from (Said(event, levels, given) for event in constants(call.args[at]))


def is_journal(call: ast.Call) -> bool:
    """An `EventLog` has the level first."""
    return bool(constants(call.args[0]) & LEVELS.keys())


def events_of(node: ast.expr) -> set[str]:
    """Events by name; one that is put together is about one of two files."""
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
        return {f"{what}{node.values[-1].value!s}" for what in ("control", "pidfile")}
    return constants(node)


def values_of(node: ast.expr, within: ast.AST) -> list[ast.expr]:
    return [*assigned(node.id, within)] if isinstance(node, ast.Name) else [node]


@cache
def everything_said() -> list[Said]:
    return [
        said
        for module in modules("supervisor")
        if module.name not in PASSED_ON
        for _, function in module.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        for said in said_by(node, function, module)
    ]


#: Made in `supervisor.children.worker_log` and `supervisor.log_records`, for every process.
OF_EVERY_PROCESS = {"log", "log.dropped"}


def test_every_event_is_in_the_table() -> None:
    assert {said.event for said in everything_said()} | OF_EVERY_PROCESS == LOG_EVENTS.keys()


@pytest.mark.parametrize("event", sorted(LOG_EVENTS.keys() - OF_EVERY_PROCESS))
def test_an_event_has_the_levels_and_fields_of_its_row(event: str) -> None:
    said = [one for one in everything_said() if one.event == event]
    row = LOG_EVENTS[event]
    assert set().union(*(one.levels for one in said)) == set(row.levels)
    assert set().union(*(one.fields for one in said)) == set(row.fields)


def test_a_job_s_record_has_the_fields_of_its_row() -> None:
    names = {
        node.value
        for module in modules("arq")
        if module.name == Attempt.__module__
        for name, function in module.functions()
        if name in {"Attempt.log_fields", "Attempt.names", "Outcome.log_fields"}
        for found in ast.walk(function)
        if isinstance(found, ast.Dict)
        for node in found.keys
        if isinstance(node, ast.Constant)
    }
    assert Outcome.__module__ == Attempt.__module__
    assert names | {"slot", "logger", "message", "exc"} == set(LOG_EVENTS["log"].fields)


def test_every_field_is_explained_once() -> None:
    used = {name for row in LOG_EVENTS.values() for name in row.fields}
    assert used == FIELDS.keys()
    assert not {"ts", "level", "event", "pool"} & used
    assert list(FIELDS) == sorted(FIELDS)
    assert "pid" in HEAD
