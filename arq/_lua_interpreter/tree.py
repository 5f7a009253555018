"""What a script consists of; each part can be run. Values: bytes, float, bool, None, `LuaTable`, functions."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

#: A function gets and returns lists of values.
LuaFunction = Callable[[list[Any]], Awaitable[list[Any]]]
#: What a statement gives: the values of a `return`, or None to go on.
Returned = list[Any] | None
#: The variable that holds what `...` stands for.
REST = "..."
#: What `break` gives.
BREAK: list[Any] = []


class LuaTable(dict[Any, Any]):
    """A table. Whole numbers as keys are int."""

    @classmethod
    def of(cls, values: Sequence[Any]) -> LuaTable:
        """A table with these values at 1, 2, ..."""
        return cls({number: value for number, value in enumerate(values, 1) if value is not None})

    def length(self) -> int:
        """The number of values from 1 on without a gap."""
        number = len(self)
        while number and number not in self:
            number -= 1
        return number

    def values_from(self, first: int, last: int) -> list[Any]:
        """The values at these numbers."""
        return [self.get(number) for number in range(first, last + 1)]


@dataclass
class Scope:
    """The variables of a block."""

    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None

    def home(self, name: str) -> dict[str, Any]:
        """Where a variable is; a name that is not there is an error, as in Redis."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names
            scope = scope.outer
        raise NameError(f"script tried to access the global {name!r}")


def is_true(value: Any) -> bool:
    """Whether a condition holds: everything does but nil and false."""
    return value is not None and value is not False


def number(value: Any) -> float:
    """A number, also from text as Lua does it in arithmetic."""
    return float(value) if isinstance(value, bytes | float | int) else _no_number(value)


def _no_number(value: Any) -> float:
    raise TypeError(f"attempt to perform arithmetic on {value!r}")


def text(value: Any) -> bytes:
    """A text, also from a number as Lua writes it."""
    return value if isinstance(value, bytes) else f"{number(value):.14g}".encode()


def _key(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(left: Any, right: Any) -> bool:
        if type(left) is not type(right):
            raise TypeError(f"attempt to compare {left!r} with {right!r}")
        return compare(left, right)

    return compared


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: number(left) + number(right),
    "-": lambda left, right: number(left) - number(right),
    "*": lambda left, right: number(left) * number(right),
    "/": lambda left, right: number(left) / number(right),
    "%": lambda left, right: number(left) % number(right),
    "^": lambda left, right: number(left) ** number(right),
    "..": lambda left, right: text(left) + text(right),
    "==": lambda left, right: type(left) is type(right) and left == right,
    "~=": lambda left, right: type(left) is not type(right) or left != right,
    "<": _compare(operator.lt),
    ">": _compare(operator.gt),
    "<=": _compare(operator.le),
    ">=": _compare(operator.ge),
}


class Expression:
    """Something that has a value; a call may have several."""

    async def value(self, scope: Scope) -> Any:
        """The (first) value."""
        raise NotImplementedError

    async def values(self, scope: Scope) -> list[Any]:
        """All values."""
        return [await self.value(scope)]


async def _all_values(expressions: Sequence[Expression], scope: Scope) -> list[Any]:
    """The values of a list: the last expression may give more than one."""
    values: list[Any] = [await expression.value(scope) for expression in expressions[:-1]]
    return values + await expressions[-1].values(scope) if expressions else values


@dataclass
class Constant(Expression):
    """nil, true, false, a number or a text."""

    constant: Any

    async def value(self, scope: Scope) -> Any:
        return self.constant


@dataclass
class Name(Expression):
    """A variable."""

    name: str

    async def value(self, scope: Scope) -> Any:
        return scope.home(self.name)[self.name]


class Rest(Expression):
    """`...`: the arguments that have no name."""

    async def value(self, scope: Scope) -> Any:
        return next(iter(await self.values(scope)), None)

    async def values(self, scope: Scope) -> list[Any]:
        rest: list[Any] = scope.home(REST)[REST]
        return rest


@dataclass
class Index(Expression):
    """`table[key]`."""

    table: Expression
    key: Expression

    async def value(self, scope: Scope) -> Any:
        return (await self.table.value(scope)).get(_key(await self.key.value(scope)))


@dataclass
class CallNode(Expression):
    """A call of a function."""

    function: Expression
    arguments: list[Expression]

    async def value(self, scope: Scope) -> Any:
        return next(iter(await self.values(scope)), None)

    async def values(self, scope: Scope) -> list[Any]:
        function: LuaFunction = await self.function.value(scope)
        return await function(await _all_values(self.arguments, scope))


@dataclass
class Either(Expression):
    """One of two expressions; the second may not be looked at."""

    left: Expression
    right: Expression


class And(Either):
    """`and`."""

    async def value(self, scope: Scope) -> Any:
        left = await self.left.value(scope)
        return await self.right.value(scope) if is_true(left) else left


class Or(Either):
    """`or`."""

    async def value(self, scope: Scope) -> Any:
        left = await self.left.value(scope)
        return left if is_true(left) else await self.right.value(scope)


@dataclass
class Operation(Expression):
    """Arithmetic, comparison, concatenation."""

    sign: str
    left: Expression
    right: Expression

    async def value(self, scope: Scope) -> Any:
        left = await self.left.value(scope)
        return _OPERATIONS[self.sign](left, await self.right.value(scope))


@dataclass
class _Signed(Expression):
    operand: Expression


class Not(_Signed):
    """`not`."""

    async def value(self, scope: Scope) -> Any:
        return not is_true(await self.operand.value(scope))


class Length(_Signed):
    """`#`."""

    async def value(self, scope: Scope) -> Any:
        value = await self.operand.value(scope)
        return float(value.length() if isinstance(value, LuaTable) else len(value))


class Negative(_Signed):
    """`-`."""

    async def value(self, scope: Scope) -> Any:
        return -number(await self.operand.value(scope))


@dataclass
class Table(Expression):
    """`{a, b, c}`."""

    items: list[Expression]

    async def value(self, scope: Scope) -> Any:
        return LuaTable.of(await _all_values(self.items, scope))


@dataclass
class FunctionNode(Expression):
    """A function, with the variables around it."""

    names: list[str]
    takes_more: bool
    body: Block

    async def value(self, scope: Scope) -> Any:
        async def call(arguments: list[Any]) -> list[Any]:
            inner = Scope(dict.fromkeys(self.names), scope)
            inner.names.update(zip(self.names, arguments, strict=False))
            if self.takes_more:
                inner.names[REST] = arguments[len(self.names) :]
            return await self.body.run(inner) or []

        return call


class Statement:
    """Something that is done."""

    async def run(self, scope: Scope) -> Returned:
        """Do it; gives the values if that is a `return`."""
        raise NotImplementedError


@dataclass
class Block(Statement):
    """Statements with variables of their own."""

    statements: list[Statement]

    async def run(self, scope: Scope) -> Returned:
        inner = Scope({}, scope)
        for statement in self.statements:
            if (returned := await statement.run(inner)) is not None:
                return returned
        return None


@dataclass
class Local(Statement):
    """`local a, b = ...`."""

    names: list[str]
    expressions: list[Expression]

    async def run(self, scope: Scope) -> Returned:
        values = await _all_values(self.expressions, scope)
        scope.names.update(dict.fromkeys(self.names))
        scope.names.update(zip(self.names, values, strict=False))
        return None


@dataclass
class LocalFunction(Statement):
    """`local function`: it knows its own name."""

    name: str
    function: FunctionNode

    async def run(self, scope: Scope) -> Returned:
        scope.names[self.name] = await self.function.value(scope)
        return None


@dataclass
class Assign(Statement):
    """`a, t[i] = ...`."""

    targets: list[Expression]
    expressions: list[Expression]

    async def run(self, scope: Scope) -> Returned:
        values = await _all_values(self.expressions, scope)
        values += [None] * (len(self.targets) - len(values))
        for target, value in zip(self.targets, values, strict=False):
            if isinstance(target, Name):
                scope.home(target.name)[target.name] = value
            elif isinstance(target, Index):
                table, key = await target.table.value(scope), _key(await target.key.value(scope))
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value
        return None


@dataclass
class Perform(Statement):
    """A call as a statement."""

    call: CallNode

    async def run(self, scope: Scope) -> Returned:
        await self.call.values(scope)
        return None


@dataclass
class If(Statement):
    """`if`, `elseif`, `else`."""

    branches: list[tuple[Expression, Block]]
    otherwise: Block

    async def run(self, scope: Scope) -> Returned:
        for condition, block in self.branches:
            if is_true(await condition.value(scope)):
                return await block.run(scope)
        return await self.otherwise.run(scope)


@dataclass
class While(Statement):
    """`while`."""

    condition: Expression
    body: Statement

    async def run(self, scope: Scope) -> Returned:
        while is_true(await self.condition.value(scope)):
            if (returned := await self.body.run(scope)) is not None:
                return _after_loop(returned)
        return None


@dataclass
class For(Statement):
    """`for i = first, last, step`."""

    name: str
    bounds: list[Expression]
    body: Statement

    async def run(self, scope: Scope) -> Returned:
        at, last, step = ([number(await bound.value(scope)) for bound in self.bounds] + [1.0])[:3]
        while at <= last if step > 0 else at >= last:
            if (returned := await self.body.run(Scope({self.name: at}, scope))) is not None:
                return _after_loop(returned)
            at += step
        return None


@dataclass
class ForEach(Statement):
    """`for a, b in pairs(t)`: what `pairs` and `ipairs` of the library give is a list of all pairs."""

    names: list[str]
    source: list[Expression]
    body: Statement

    async def run(self, scope: Scope) -> Returned:
        (pairs,) = await _all_values(self.source, scope)
        for pair in pairs:
            inner = Scope(dict(zip(self.names, pair, strict=False)), scope)
            if (returned := await self.body.run(inner)) is not None:
                return _after_loop(returned)
        return None


def _after_loop(returned: list[Any]) -> Returned:
    return None if returned is BREAK else returned


class Break(Statement):
    """`break`."""

    async def run(self, scope: Scope) -> Returned:
        return BREAK


@dataclass
class Return(Statement):
    """`return`."""

    expressions: list[Expression]

    async def run(self, scope: Scope) -> Returned:
        return await _all_values(self.expressions, scope)
