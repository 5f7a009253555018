"""From a script's text to a tree that can be run. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .tree import (
    And,
    Assign,
    Block,
    Break,
    CallNode,
    Constant,
    Either,
    Expression,
    For,
    ForEach,
    FunctionNode,
    If,
    Index,
    Length,
    Local,
    LocalFunction,
    Name,
    Negative,
    Not,
    Operation,
    Or,
    Perform,
    Rest,
    Return,
    Statement,
    Table,
    While,
)

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    |(?P<string>'(?:[^'\\\n]|\\n)*'|"(?:[^"\\\n]|\\n)*")
    |(?P<sign>==|~=|<=|>=|\.\.\.?|[-+*/%^\#<>=(){}\[\];,.])""",
    re.VERBOSE,
)
_BEGINNERS = (
    "and",
    "break",
    "do",
    "for",
    "function",
    "if",
    "in",
    "local",
    "not",
    "or",
    "return",
    "then",
    "while",
)
_ENDERS = ("", "else", "elseif", "end")
_KEYWORDS = frozenset((*_BEGINNERS, *_ENDERS, "nil", "true", "false"))
_CONSTANTS = {"nil": None, "true": True, "false": False}
#: Operators that are read from left to right, loosest first; `..` may be: its result is the same.
_LEVELS = (("or",), ("and",), ("<", ">", "<=", ">=", "~=", "=="), ("..",), ("+", "-"), ("*", "/", "%"))
_LAZY: dict[str, type[Either]] = {"and": And, "or": Or}


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise SyntaxError(f"line {line}: {text[at : at + 20]!r} is not known to this interpreter")
        kind = found.lastgroup or ""
        if kind == "name" and found[0] in _KEYWORDS:
            kind = "keyword"
        if kind != "space":
            yield _Token(kind, found[0], line)
        line += found[0].count("\n")
        at = found.end()
    yield _Token("end", "", line)


def parse(text: str) -> Block:
    """Read a script.

    Raises:
        SyntaxError: it uses what the interpreter does not know.
    """
    parser = _Parser(list(_tokens(text)))
    block = parser.block()
    parser.expect("")
    return block


class _Parser:
    """Reads tokens from left to right; a method for each thing that may stand there."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _found(self, text: str) -> bool:
        if self._next.text != text or self._next.kind == "string":
            return False
        self._at += 1
        return True

    def expect(self, text: str) -> None:
        """Take a word or sign that must stand here."""
        if not self._found(text):
            raise SyntaxError(f"line {self._next.line}: {text or 'end'!r} expected, not {self._next.text!r}")

    def _name(self) -> str:
        token = self._take()
        if token.kind != "name":
            raise SyntaxError(f"line {token.line}: a name expected, not {token.text!r}")
        return token.text

    # --- statements

    def block(self) -> Block:
        """Statements up to the word that ends them."""
        statements: list[Statement] = []
        while self._next.text not in _ENDERS:
            statements.append(self._statement())
            self._found(";")
        return Block(statements)

    def _statement(self) -> Statement:
        readers: dict[str, Callable[[], Statement]] = {
            "local": self._local,
            "if": self._if,
            "for": self._for,
            "while": self._while,
            "return": self._return,
            "break": Break,
            "do": self._do,
        }
        reader = readers.get(self._next.text)
        if reader is None:
            return self._assignment_or_call()
        self._take()
        return reader()

    def _local(self) -> Statement:
        if self._found("function"):
            return LocalFunction(self._name(), self._function())
        names = self._names()
        return Local(names, self._expressions() if self._found("=") else [])

    def _names(self) -> list[str]:
        names = [self._name()]
        while self._found(","):
            names.append(self._name())
        return names

    def _if(self) -> Statement:
        branches = []
        while True:
            condition = self.expression()
            self.expect("then")
            branches.append((condition, self.block()))
            if not self._found("elseif"):
                break
        otherwise = self.block() if self._found("else") else Block([])
        self.expect("end")
        return If(branches, otherwise)

    def _for(self) -> Statement:
        names = self._names()
        if self._found("in"):
            source = self._expressions()
            return ForEach(names, source, self._body())
        self.expect("=")
        return For(names[0], self._expressions(), self._body())

    def _body(self) -> Statement:
        self.expect("do")
        return self._do()

    def _do(self) -> Statement:
        inner = self.block()
        self.expect("end")
        return inner

    def _while(self) -> Statement:
        condition = self.expression()
        return While(condition, self._body())

    def _return(self) -> Statement:
        return Return([] if self._next.text in _ENDERS else self._expressions())

    def _assignment_or_call(self) -> Statement:
        first = self._operand()
        if isinstance(first, CallNode):
            return Perform(first)
        targets = [first]
        while self._found(","):
            targets.append(self._operand())
        self.expect("=")
        return Assign(targets, self._expressions())

    # --- expressions

    def _expressions(self) -> list[Expression]:
        found = [self.expression()]
        while self._found(","):
            found.append(self.expression())
        return found

    def expression(self, level: int = 0) -> Expression:
        """A value; `level`: with operators that bind at least so much."""
        if level == len(_LEVELS):
            return self._signed()
        left = self.expression(level + 1)
        while self._next.kind != "string" and self._next.text in _LEVELS[level]:
            sign = self._take().text
            right = self.expression(level + 1)
            left = _LAZY[sign](left, right) if sign in _LAZY else Operation(sign, left, right)
        return left

    def _signed(self) -> Expression:
        for sign, kind in (("not", Not), ("#", Length), ("-", Negative)):
            if self._found(sign):
                return kind(self._signed())
        base = self._operand()
        return Operation("^", base, self._signed()) if self._found("^") else base

    def _operand(self) -> Expression:
        found = self._simple()
        while True:
            if self._found("."):
                found = Index(found, Constant(self._name().encode()))
            elif self._found("["):
                found = Index(found, self.expression())
                self.expect("]")
            elif self._found("("):
                found = CallNode(found, self._arguments())
            else:
                return found

    def _arguments(self) -> list[Expression]:
        arguments = [] if self._next.text == ")" else self._expressions()
        self.expect(")")
        return arguments

    def _simple(self) -> Expression:
        readers: dict[str, Callable[[], Expression]] = {
            "function": self._function,
            "(": self._bracketed,
            "{": self._table,
            "...": Rest,
        }
        token = self._take()
        if token.kind == "number":
            return Constant(float(token.text))
        if token.kind == "string":
            return Constant(token.text[1:-1].replace("\\n", "\n").encode())
        if token.kind == "name":
            return Name(token.text)
        if token.text in _CONSTANTS:
            return Constant(_CONSTANTS[token.text])
        if token.text in readers:
            return readers[token.text]()
        raise SyntaxError(f"line {token.line}: {token.text!r} is not known to this interpreter here")

    def _bracketed(self) -> Expression:
        inner = self.expression()
        self.expect(")")
        return inner

    def _table(self) -> Expression:
        items: list[Expression] = []
        while not self._found("}"):
            items.append(self.expression())
            self._found(",")
        return Table(items)

    def _function(self) -> FunctionNode:
        self.expect("(")
        names = []
        while self._next.text not in (")", "..."):
            names.append(self._name())
            self._found(",")
        takes_more = self._found("...")
        self.expect(")")
        body = self.block()
        self.expect("end")
        return FunctionNode(names, takes_more, body)
