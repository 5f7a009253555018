"""The small interpreter of scripts: it reads all of arq's, and does what Lua does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError, NoScriptError, ResponseError

from arq._lua_interpreter import machine
from arq._lua_interpreter.syntax import parse
from arq._redis import script_loader, script_runner, scripts, without_lua


class Server:
    """Notes commands, and answers them from a list."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.commands: list[tuple[Any, ...]] = []

    async def send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        self.commands += commands
        return [self.answers.pop(0) for _ in commands]


async def result(script: str, *arguments: Any, server: Server | None = None) -> Any:
    return await machine.run((server or Server()).send, script, ["k1", "k2"], arguments)


@pytest.mark.parametrize("sha", script_loader.TEXTS)
def test_it_reads_all_scripts(sha: str) -> None:
    """A script that needs more of Lua needs it in `arq/_lua`, too: servers without Lua run it there."""
    parse(script_loader.TEXTS[sha])


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("return 1 + 2 * 3 - 4 / 2", 5),
        ("return 7 % 4", 3),
        ("return 1e3 + 25e-1", 1002),
        ("return -2 ^ 2 * 3", -12),
        ("return 2 ^ 3 ^ 2", 512),
        ("return -7 % 4", 1),
        ("return 3.99", 3),
        ("return '10' + 5", 15),
        ("return 'a' .. 1 .. 'b'", b"a1b"),
        ("return (1 + 2) * 3", 9),
        ("return 1 == '1'", None),
        ("return not nil == true", 1),
        ("return #'abc' + #{1, 2}", 5),
        ("return nil and 1 or 2", 2),
        ("return false or nil", None),
        ("return 'a' < 'b'", 1),
        ("return 1700000000123 .. ''", b"1700000000123"),
        ("return 123456789012345678 .. ''", b"1.2345678901235e+17"),
        ("return string.format('%.0f', 1700000000123.4)", b"1700000000123"),
        ("return {1, 'b', false, 2}", [1, b"b", None, 2]),
        ("return {1, nil, 2}", [1]),
        ("local a, b = string.match('job 12', '^(%a+) (%d+)$') return {b, a}", [b"12", b"job"]),
        ("return string.match('-5', '^%-?%d+$')", b"-5"),
        ("return string.match('x', '^%d+$')", None),
        ("return {string.find('a.b', '.', 1, true)}", [2, 2]),
        ("return string.sub('abcdef', -3) .. string.sub('abcdef', 2, 3)", b"defbc"),
        ("return tonumber('12.5') * 2", 25),
        ("return tonumber('x')", None),
        ("return {math.floor(1.9), math.ceil(1.1), math.min(3, 2), math.max(3, 2)}", [1, 2, 2, 3]),
        ("return type(nil) .. type(1) .. type('') .. type({}) .. type(true)", b"nilnumberstringtableboolean"),
        ("local t = {} t[#t + 1] = 'a' t[#t + 1] = 'b' t[1] = nil return #t", 0),
        ("local s = 0 for i = 1, 10, 3 do s = s + i end return s", 22),
        ("local s = 0 for i = 3, 1, -1 do s = s * 10 + i end return s", 321),
        ("local s = '' for i, v in ipairs({'a', 'b'}) do s = s .. i .. v end return s", b"1a2b"),
        ("local n = 0 for k in pairs({4, 5}) do n = n + k end return n", 3),
        ("local n = 0 while true do n = n + 1 if n == 5 then break end end return n", 5),
        ("if 1 > 2 then return 'a' elseif 2 > 1 then return 'b' else return 'c' end", b"b"),
        ("local function f(n) if n == 0 then return 0 end return n + f(n - 1) end return f(4)", 10),
        ("local n = 1 local function add() n = n + 1 end add() add() return n", 3),
        ("local f = function(a, b) return b, a end local x, y = f(1, 2) return {x, y}", [2, 1]),
        ("local x = 1 unknown = x", NameError),
        ("local function f(a, ...) return ... end return {f(1, 2, 3)}", [2, 3]),
        ("local function f(...) local a, b = ... return {b, a, ...} end return f(1, 2)", [2, 1, 1, 2]),
        ("return string.find('-12', '^-?%d+$')", 1),
        ("return string.find('1x', '^-?%d+$')", None),
        ("return string.match('abc', 'a.-c')", SyntaxError),
        ("local n = 1 do local n = 2 end do n = n + 2 end return n", 3),
        ("return {unpack({1, 2, 3}, 2, 3)}", [2, 3]),
        ("-- a word\nreturn KEYS[2] .. ARGV[1] -- another", b"k2a"),
        ("return undefined", NameError),
        ("return 1 < 'a'", TypeError),
        ("return 1 +", SyntaxError),
        ("goto there", SyntaxError),
        ("return [[long]]", SyntaxError),
    ],
)
async def test_language(script: str, expected: Any) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            await result(script, "a")
    else:
        assert await result(script, "a") == expected


async def test_commands_and_their_answers() -> None:
    server = Server(None, 5, [b"a", None], b"OK", b"zset", {b"f": b"v"}, [[b"m", 2.0]], 1.5)
    script = """
        local answers = {redis.call('GET', KEYS[1]), redis.call('INCR', KEYS[1], 2), redis.call('MGET', 'a', 'b')}
        answers[4] = redis.call('SET', 'a', 1.5) and 1
        answers[5] = redis.call('TYPE', 'a').ok
        answers[6] = redis.call('HGETALL', 'a')
        answers[7] = redis.call('ZRANGE', 'a', 0, -1, 'WITHSCORES')
        answers[8] = redis.call('ZSCORE', 'a', 'm')
        return answers"""
    answers = await result(script, server=server)
    assert answers == [None, 5, [b"a", None], 1, b"zset", [b"f", b"v"], [b"m", b"2"], b"1.5"]
    assert server.commands[1] == (b"INCR", b"k1", b"2")
    assert server.commands[3] == (b"SET", b"a", b"1.5")


async def test_refused_commands() -> None:
    refusal = ResponseError("WRONGTYPE no")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await result("redis.call('GET', 'a') return 1", server=Server(refusal))
    asked = await result("return redis.pcall('GET', 'a')", server=Server(refusal))
    assert isinstance(asked, ResponseError)
    assert await result("return type(redis.pcall('GET', 'a'))", server=Server(refusal)) == b"table"


@pytest.mark.parametrize(
    ("said", "has_none"),
    [
        ("unknown command `evalsha`, with args beginning with: ", True),
        ("unknown command 'eval', with args beginning with: ", True),
        ("unknown command 'EVALSHA', with args beginning with: 'x'", True),
        ("unknown command 'evaluate', with args beginning with: ", False),
        ("Error running script: unknown command 'get'", False),
        ("No matching script. Please use EVAL.", False),
    ],
)
def test_what_a_server_says_of_scripts(said: str, has_none: bool) -> None:
    assert without_lua.has_no_scripts(ResponseError(said)) is has_none
    assert without_lua.is_not_known(ResponseError(said)) is said.startswith("No matching")


class HangsUp(Server):
    """As the TCP server of fakeredis 2.26: after a refusal the connection is closed, the next command is lost."""

    is_open = True

    async def send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        if not self.is_open:
            self.is_open = True
            raise ConnectionError("Connection closed by server.")
        answers = await super().send(commands)
        self.is_open = not any(isinstance(answer, Exception) for answer in answers)
        return answers


async def test_a_server_that_hangs_up_after_each_refusal() -> None:
    text = "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[1])"
    call = scripts.Call(script_loader.Script("counting", text, "sha"), ("counter",), ())
    unknown = ResponseError("No matching script. Please use EVAL.")
    known = HangsUp(unknown, 1)
    assert await script_runner.run_all(known.send, [call]) == [1]
    assert [command[0] for command in known.commands] == ["EVALSHA", "EVAL"]
    none = HangsUp(ResponseError("unknown command `evalsha`, with args beginning with: "), 1, 2)
    assert await script_runner.run_all(none.send, [call]) == [2]
    assert [command[0] for command in none.commands] == ["EVALSHA", b"INCR", b"INCR"]


async def test_a_real_server_that_goes_away_is_not_asked_again() -> None:
    server = HangsUp(NoScriptError("No matching script. Please use EVAL."), 1)
    with pytest.raises(ConnectionError):
        await script_runner.run_all(server.send, [scripts.present("arq:queue", "w", 1000)])
