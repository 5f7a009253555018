"""Exceptions and objects whose module is not imported where they are read: who has it imported, and what comes else."""

from __future__ import annotations

import builtins
import json
import logging
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from arq._admin.restricted import read
from arq._payloads.payload_format import PayloadFormat, payload_format
from arq.codecs import JobFailed, JsonCodec, Keyring, MsgpackCodec
from arq.jobs import DeserializationError, deserialize_result

BOTH = pytest.mark.parametrize("make", [JsonCodec, MsgpackCodec])
Make = type[JsonCodec] | type[MsgpackCodec]
KEYS = Keyring({"k1": "1" * 40})
WELL = """
class Odd(Exception):
    def __init__(self, code, *, where):
        raise AssertionError("to make it runs none of its code")
class Ends(SystemExit): pass
class Plain: pass
"""
_numbers = count()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a package with the module `errors`; the name of that."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(text: str) -> str:
        package = f"app_of_test_{next(_numbers)}"
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "errors.py").write_text(text)
        return f"{package}.errors"

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("app_of_test_"):
            del sys.modules[name]


def result_of(raised: dict[str, Any]) -> dict[str, Any]:
    job = {"t": 1, "f": "f", "a": [], "k": {}, "et": 1}
    return {**job, "s": False, "r": raised, "st": 1, "ft": 2, "q": "q", "id": "x"}


def record(module: str, kind: str = "Odd") -> dict[str, Any]:
    """An exception as a worker writes it."""
    parts = {
        "text": "7 in here",
        "args": ["7 in here"],
        "state": {"code": 7},
        "traceback": "Traceback: there",
    }
    return {"$": "exception", "name": f"{module}:{kind}", **parts}


def bytes_of(make: Make, data: dict[str, Any]) -> bytes:
    if make is JsonCodec:
        return json.dumps(data).encode()
    import msgpack

    packed: bytes = msgpack.packb(data)
    return packed


def raised_by(how: PayloadFormat, payload: bytes) -> Any:
    """What a job has raised, as it is read."""
    return deserialize_result(payload, deserializer=how.result_reader("x", "q")).result


def made(**options: Any) -> PayloadFormat:
    found = payload_format(**options)
    assert found is not None
    return found


def sealed(how: PayloadFormat, body: bytes) -> bytes:
    payload = how.seal_result(body, "x", "q", dict)
    assert payload
    return payload


@BOTH
@pytest.mark.parametrize("encrypt", [False, True])
def test_what_is_signed_comes_back_as_what_it_was(
    make: Make, encrypt: bool, written: Callable[[str], str]
) -> None:
    name = written(WELL)
    how = made(codec=make(), signing=KEYS, encrypt=encrypt)
    back = raised_by(how, sealed(how, bytes_of(make, result_of(record(name)))))
    assert (type(back).__module__, type(back).__name__) == (name, "Odd")
    assert (str(back), back.args, back.code) == ("7 in here", ("7 in here",), 7)
    assert "there" in str(back.__cause__)


@BOTH
def test_what_is_not_signed_imports_nothing(make: Make, written: Callable[[str], str]) -> None:
    name = written(WELL)
    body = bytes_of(make, result_of(record(name)))
    unsigned = made(codec=make(), signing=KEYS, accept_unsigned=True)
    no_keys = made(codec=make())
    for how, payload in ((no_keys, body), (unsigned, body), (no_keys, sealed(unsigned, body))):
        back = raised_by(how, payload)
        assert type(back) is JobFailed
        assert (back.type_name, back.text, back.arguments) == (f"{name}.Odd", "7 in here", ("7 in here",))
        assert (back.attributes, back.traceback) == ({"code": 7}, "Traceback: there")
    for payload in (body, sealed(unsigned, body)):  # as tools read it, with keys and without
        assert repr(read(payload)["r"]).startswith(f"{name}.Odd(")
    assert name.partition(".")[0] not in sys.modules


@BOTH
@pytest.mark.parametrize("all_in", [False, True])
def test_modules_that_the_application_names(make: Make, all_in: bool, written: Callable[[str], str]) -> None:
    name, other = written(WELL), written(WELL)
    package = name.partition(".")[0]
    codec = make(exception_modules=[f"{package}.*" if all_in else name])
    assert type(codec.loads(bytes_of(make, {"r": record(name)}))["r"]).__name__ == "Odd"
    for not_named in (other, f"{package}x.errors", package[:-1]):
        assert type(codec.loads(bytes_of(make, {"r": record(not_named)}))["r"]) is JobFailed
    assert other.partition(".")[0] not in sys.modules


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("app.errors", "must be a list of names of modules, not 'app.errors'"),
        ([3], "names of modules, not int"),
        (["*"], r"'\*' is no name of a module, as 'app.errors'"),
        ([""], "'' is no name"),
        (["app.*.errors"], "is no name"),
        ([".errors"], "is no name"),
        (["os; import x"], "is no name"),
    ],
)
def test_names_that_can_not_be_those_of_modules(given: Any, said: str) -> None:
    for make in (JsonCodec, MsgpackCodec):
        with pytest.raises((TypeError, ValueError), match=said):
            make(exception_modules=given)


FAILING = {
    "raises": ("raise LookupError('two\\nlines')", r"LookupError: two\nlines"),
    "ends": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "needs": (
        "import not_installed_anywhere",
        "module 'not_installed_anywhere' is not there: not installed here?",
    ),
    "broken": ("def", "SyntaxError: "),
}


@pytest.mark.parametrize(("text", "said"), FAILING.values(), ids=FAILING)
def test_a_module_that_can_not_be_imported(
    text: str, said: str, written: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """One line for the module, not one for each result."""
    caplog.set_level(logging.WARNING)
    name = written(f"import builtins\nbuiltins.tried = getattr(builtins, 'tried', 0) + 1\n{text}")
    how = made(codec="json", signing=KEYS)
    payload = sealed(how, bytes_of(JsonCodec, result_of(record(name))))
    for _ in range(3):
        back = raised_by(how, payload)
        assert type(back) is JobFailed
        assert back.attributes == {"code": 7}
    (line,) = [one.getMessage() for one in caplog.records]
    assert line.startswith(
        f"module {name}, of which a class was in a job or result, can't be imported: {said}"
    )
    assert getattr(builtins, "tried", 0) <= 2  # what looks like Ctrl-C is tried again
    if hasattr(builtins, "tried"):
        del builtins.tried


def test_what_a_module_does_not_have_or_may_not_be_raised(written: Callable[[str], str]) -> None:
    name = written(WELL)
    how = made(codec="json", signing=KEYS)
    for kind in ("Gone", "Ends", "Plain", "Odd.Inner", ""):
        back = raised_by(how, sealed(how, bytes_of(JsonCodec, result_of(record(name, kind)))))
        assert type(back) is JobFailed
        assert back.type_name == f"{name}.{kind}"


THINGS = """
import builtins, dataclasses, enum, typing
@dataclasses.dataclass
class Box:
    inside: int
    def __post_init__(self): builtins.ran = True
class Colour(enum.Enum):
    RED = 1
class Pair(typing.NamedTuple):
    left: int
class Plain:
    def __init__(self, *args): builtins.ran = True
"""
DATA: list[tuple[str, str, Any, str]] = [
    ("dataclass", "Box", {"inside": 1}, "Box(inside=1)"),
    ("enum", "Colour", ["RED"], "<Colour.RED: 1>"),
    ("namedtuple", "Pair", [1], "Pair(left=1)"),
]


@BOTH
def test_objects_in_what_is_signed(make: Make, written: Callable[[str], str]) -> None:
    """A process that only reads results need not name their classes."""
    name = written(THINGS)
    how = made(codec=make(), signing=KEYS)
    for tag, kind, value, shown in DATA:
        told = {"$": tag, "t": f"{name}:{kind}", "v": value}
        assert repr(raised_by(how, sealed(how, bytes_of(make, result_of(told))))) == shown
    for kind in ("Plain", "Gone", "Box.inside"):
        told = {"$": "dataclass", "t": f"{name}:{kind}", "v": {}}
        with pytest.raises(DeserializationError, match="not known here|another kind of class"):
            raised_by(how, sealed(how, bytes_of(make, result_of(told))))
    assert not hasattr(builtins, "ran")


@BOTH
def test_objects_in_what_is_not_signed(make: Make, written: Callable[[str], str]) -> None:
    """Also not of modules that are named for exceptions, or of those that what is signed has imported."""
    name = written(THINGS)
    how = made(codec=make(exception_modules=[name]), signing=KEYS, accept_unsigned=True)
    for tag, kind, value, _ in DATA:
        body = bytes_of(make, result_of({"$": tag, "t": f"{name}:{kind}", "v": value}))
        for _again in range(2):
            with pytest.raises(DeserializationError, match=f"type '{name}:{kind}' is not known here"):
                raised_by(how, body)
            assert raised_by(how, sealed(how, body)) is not None


@pytest.mark.parametrize("name", ["..errors", "a b", "os/../x", "", "a..b", "x" * 300, "ä.\ud800"])
def test_odd_names_in_what_is_signed(name: str) -> None:
    how = made(codec="json", signing=KEYS)
    body = json.dumps(result_of(record(name))).encode()
    assert type(raised_by(how, sealed(how, body))) is JobFailed


def test_a_codec_of_the_application_is_asked_also_for_what_is_signed() -> None:
    class Mine(JsonCodec):
        def loads(self, data: bytes) -> dict[str, Any]:
            return super().loads(data.swapcase())

    how = made(codec=Mine(), signing=KEYS)
    payload = sealed(how, bytes_of(JsonCodec, result_of(record("not.there"))).swapcase())
    assert type(raised_by(how, payload)) is JobFailed


def test_a_name_that_is_no_text(written: Callable[[str], str]) -> None:
    how = made(codec="json", signing=KEYS)
    for name in (3, None, ["a"], {"a": 1}):
        broken = {**record("x"), "name": name}
        with pytest.raises(DeserializationError):
            raised_by(how, sealed(how, json.dumps(result_of(broken)).encode()))
