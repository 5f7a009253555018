"""Values, objects and exceptions in JSON and msgpack: what is written comes back, and nothing else is made of bytes."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import KEEP, Enum, Flag, IntEnum, StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import ModuleType
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq.codecs import Codec, JobFailed, JsonCodec, MsgpackCodec, PickleCodec, RemoteTraceback, register
from arq.worker import JobExecutionFailed

Make = type[JsonCodec] | type[MsgpackCodec]
BOTH = pytest.mark.parametrize("make", [JsonCodec, MsgpackCodec])
#: Set by code that no reader of data may run.
RAN: list[str] = []


@dataclass
class Point:
    x: int
    y: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        RAN.append("post_init")


@dataclass(frozen=True, slots=True)
class Frozen:
    when: datetime


class Order(pydantic.BaseModel):
    number: int
    price: Decimal = Decimal(1)
    points: list[Point] = []
    _seen: int = pydantic.PrivateAttr(default=0)

    @pydantic.field_validator("number")
    @classmethod
    def _checked(cls, value: int) -> int:
        RAN.append("validator")
        return value


class Account(pydantic.BaseModel):
    home: pydantic.HttpUrl
    store: pydantic.PostgresDsn
    key: pydantic.SecretStr
    raw: pydantic.SecretBytes


class Loose(pydantic.BaseModel, extra="allow"):
    pass


class Colour(Enum):
    RED = "r"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    HELLO = "hello"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    left: int
    right: str = "r"


class OurError(Exception):
    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"{code} in {where}")
        self.code, self.where = code, where


class Hidden:
    """Something that no codec knows."""


BERLIN = ZoneInfo("Europe/Berlin")
VALUES = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63,
        2**64,
        -(2**70),
        1.5,
        -0.0,
        float("inf"),
        "",
        "ä\ud800\x00",
        "$",
        b"\x00\xff",
    ),
    *([], [1, [2]], {}, {"a": {"b": 1}}, {"$": "tuple", "v": [1]}, {1: 2, (1, 2): None}, (), (1, (2,)), 1j),
    *({1, 2}, set(), frozenset({"a"}), bytearray(b"x"), {"$": {"$": 1}}),
    *(
        datetime(2026, 1, 1, 1, 2, 3, 4),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.max,
        date(1, 1, 1),
        time(1, 2, 3, 4),
    ),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    *(
        time(1, tzinfo=UTC),
        timedelta(-1, 2, 3),
        UUID(int=5),
        Decimal("1.10"),
        Decimal("NaN").copy_sign(Decimal(1)),
    ),
    *(Point(1, [Point(2)]), Frozen(datetime(2026, 1, 1)), Order(number=3, points=[Point(1)]), Loose(a=1)),  # type: ignore[call-arg]
    *(time(1, 2, tzinfo=ZoneInfo("Europe/Berlin"), fold=1), deque([1, (2,)]), deque([1], 5)),
    Account(home="https://a.example/x?y=1", store="postgres://a@h1:1,h2/d", key="s3cr3t", raw=b"\xff"),  # type: ignore[arg-type]
    *(Path("/a/b"), PurePosixPath("a"), PureWindowsPath("c:/a"), ip_address("::1"), ip_network("10.0.0.0/8")),
    *(
        Colour.RED,
        Level.LOW,
        Word.HELLO,
        Rights.READ,
        Rights.READ | Rights.WRITE,
        Rights(0),
        Pair(1),
        Pair(1, "x"),
    ),
]


def again(codec: Codec, value: Any) -> Any:
    """A value as an argument, as it is read."""
    data = {"t": None, "f": "f", "a": (value,), "k": {"value": value}, "et": 1}
    back = codec.loads(codec.dumps(data))
    assert repr(back["a"][0]) == repr(back["k"]["value"])
    return back["a"][0]


@BOTH
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_written_comes_back(make: Make, value: Any) -> None:
    back = again(make(), value)
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@BOTH
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary()
        | st.datetimes(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
        ),
        max_leaves=10,
    )
)
def test_any_plain_value_comes_back(make: Make, value: Any) -> None:
    assert again(make(), value) == value


@BOTH
def test_what_a_model_has_beside_its_fields(make: Make) -> None:
    order = Order(number=1)
    order._seen = 7
    back = again(make(), order)
    assert (back._seen, back.model_fields_set, back.model_dump()) == (7, {"number"}, order.model_dump())


@BOTH
def test_an_hour_that_comes_twice(make: Make) -> None:
    for fold in (0, 1):
        value = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold)
        back = again(make(), value)
        assert (back, back.utcoffset(), back.tzinfo) == (value, value.utcoffset(), BERLIN)


@BOTH
def test_a_class_that_extends_a_plain_one_comes_back_as_that(make: Make) -> None:
    class Text(str):
        __slots__ = ()

    class Table(dict[str, int]):
        pass

    assert type(again(make(), Text("a"))) is str
    assert again(make(), Table(a=1)) == {"a": 1}


@BOTH
def test_to_make_an_object_runs_no_code_of_its_class(make: Make) -> None:
    codec = make()
    written = codec.dumps({"a": (Point(1), Order(number=1))})
    RAN.clear()
    point, order = codec.loads(written)["a"]
    assert RAN == []
    assert (point, order) == (Point(1), Order(number=1))


def test_other_codecs_know_only_what_they_were_told(monkeypatch: pytest.MonkeyPatch) -> None:
    written = JsonCodec().dumps({"a": (Point(1),)})
    with pytest.raises(Exception, match=r"type 'tests\S+:Point' is not known here: .*register"):
        JsonCodec().loads(written)
    assert JsonCodec([Point]).loads(written)["a"] == (Point(1),)
    reader = JsonCodec()
    reader.allow_types_of([job_with_order])
    assert reader.loads(JsonCodec().dumps({"a": (Order(number=1, points=[Point(1)]),)}))["a"][0].number == 1


async def job_with_order(ctx: Any, orders: dict[str, list[Order]] | None = None) -> None:
    """A job's annotations name classes, also inside others."""


def test_types_that_are_registered() -> None:
    register(Hidden, dump=lambda _: "h", load=lambda _: Hidden())
    codec = JsonCodec()
    assert isinstance(codec.loads(codec.dumps({"r": Hidden()}))["r"], Hidden)
    for wrong in ({"dump": str}, {}):
        with pytest.raises(TypeError):
            register(ModuleType, **wrong)
    with pytest.raises(TypeError, match="a class"):
        register(3)  # type: ignore[type-var]


class Bits(Flag, boundary=KEEP):
    ONE = 1


@BOTH
def test_bits_that_have_no_name_are_refused(make: Make) -> None:
    with pytest.raises(TypeError, match="no member"):
        make().dumps({"a": (Bits(5),)})


@BOTH
def test_what_can_not_be_written_is_refused_by_its_name(make: Make) -> None:
    with pytest.raises(TypeError, match="ModuleType|builtins:module"):
        make().dumps({"a": (sys,)})


@BOTH
@pytest.mark.parametrize(
    "exc",
    [
        *(
            ValueError("x"),
            KeyError("k"),
            OSError(2, "no", "file"),
            UnicodeDecodeError("utf8", b"x", 0, 1, "bad"),
        ),
        *(
            ImportError("x", name="n"),
            AttributeError("x", name="n"),
            asyncio.CancelledError(),
            JobFailed("a.B", "t"),
        ),
        *(JobExecutionFailed("max 5 retries exceeded"), OurError(7, where="here"), TimeoutError()),
        ExceptionGroup("two", [ValueError(1), OurError(1, where="x")]),
    ],
    ids=repr,
)
def test_exceptions_come_back_as_what_they_were(make: Make, exc: BaseException) -> None:
    exc = copy.copy(exc) if not isinstance(exc, OurError) else OurError(7, where="here")
    exc.__notes__ = ["a note"]
    try:
        raise exc
    except BaseException as raised:
        back = make().loads(make().dumps({"r": raised}))["r"]
    assert (type(back), str(back), back.args) == (type(exc), str(exc), exc.args) or repr(back) == repr(exc)
    assert back.__notes__ == ["a note"]
    assert isinstance(back.__cause__, RemoteTraceback)
    assert "test_exceptions_come_back_as_what_they_were" in str(back.__cause__)
    own = {name: value for name, value in vars(exc).items() if name != "__notes__"}
    assert {name: vars(back)[name] for name in own} == own


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_nothing_that_ends_a_process_is_made_of_data(exc: BaseException) -> None:
    back = again(JsonCodec(), exc)
    assert isinstance(back, JobFailed)
    assert back.type_name == f"builtins.{type(exc).__name__}"


def test_an_exception_whose_module_is_not_here() -> None:
    try:
        raise OurError(7, where="there")
    except OurError as raised:
        data = json.loads(JsonCodec().dumps({"r": raised}))
    data["r"]["name"] = "tests.not_imported:OurError"
    back = JsonCodec().loads(json.dumps(data).encode())["r"]
    assert isinstance(back, JobFailed)
    assert (back.type_name, back.text) == ("tests.not_imported.OurError", "7 in there")
    assert back.arguments == ("7 in there",)
    assert "in test_an_exception_whose_module_is_not_here" in back.traceback
    assert "tests.not_imported" not in sys.modules
    assert str(back) == "tests.not_imported.OurError: 7 in there"


def test_arguments_that_can_not_be_written_are_text() -> None:
    back = again(JsonCodec(), ValueError(sys))
    assert type(back) is ValueError
    assert "module 'sys'" in str(back)
    assert back.__notes__ == ["arq could not store of it: argument 1"]


class Lazy(ModuleType):
    """A module that imports when somebody asks for a name."""

    def __getattr__(self, name: str) -> Any:
        RAN.append(f"getattr {name}")
        return ValueError


#: What somebody may write who wants code to run. Each is answered with an exception.
HOSTILE: list[Any] = [
    {"$": "dataclass", "t": "os:system", "v": {}},
    {"$": "dataclass", "t": "subprocess:CompletedProcess", "v": {"args": 1}},
    {"$": "dataclass", "t": ["os"], "v": {}},
    {"$": "model", "t": "tests.arq.unit.test_codecs:Evil", "v": {}},
    {"$": "enum", "t": "tests.arq.unit.test_codecs:Evil", "v": ["A"]},
    {"$": "namedtuple", "t": "tests.arq.unit.test_codecs:Evil", "v": []},
    {"$": "custom", "t": "os:system", "v": "true"},
    {"$": "exec", "v": "1"},
    {"$": ["tuple"], "v": []},
    {"$": "tuple"},
    {"$": "bytearray", "v": 10**12},
    {"$": "path", "t": "os", "v": "/"},
    {"$": "ip", "t": "IPv4Address", "v": {}},
    {"$": "set", "v": [[]]},
    {"$": "timedelta", "v": [10**30]},
    {"$": "exception", "name": 3, "text": "x"},
    {"$": "exception", "name": "builtins:ValueError", "text": "x", "notes": [3]},
    {"$": "exception", "name": "x:Y", "text": "x", "odd": 1},
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_is_made_that_was_not_allowed(value: Any) -> None:
    with pytest.raises(Exception):  # noqa: PT011, B017
        JsonCodec().loads(json.dumps({"a": [value]}).encode())
    assert RAN == []


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "lazy_module:Anything",
        "builtins:eval",
        "sys:exc_info",
        "builtins:object",
        "os:path",
        ":",
        "os",
    ],
)
def test_only_exceptions_are_made_of_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    record = {"$": "exception", "name": name, "text": "x", "args": ["touch"]}
    back = JsonCodec().loads(json.dumps({"r": record}).encode())["r"]
    assert type(back) is JobFailed
    assert RAN == []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


def test_versions_of_a_class() -> None:
    """A field with a default may be missing; one that is not known is another version's."""
    codec = JsonCodec([Point, Order, Pair, Colour])

    def of(tag: str, kind: type, value: Any) -> Any:
        name = f"{kind.__module__}:{kind.__qualname__}"
        return codec.loads(json.dumps({"r": {"$": tag, "t": name, "v": value}}).encode())["r"]

    assert of("dataclass", Point, {"x": 1}).y == []
    assert of("model", Order, {"number": 1}).price == 1
    assert of("namedtuple", Pair, [1]) == Pair(1)
    for tag, kind, value in (
        ("dataclass", Point, {"y": []}),
        ("dataclass", Point, {"x": 1, "z": 1}),
        ("model", Order, {}),
        ("model", Order, {"number": 1, "z": 1}),
        ("namedtuple", Pair, []),
        ("namedtuple", Pair, [1, "r", 3]),
        ("enum", Colour, ["GREEN"]),
        ("enum", Point, ["GREEN"]),
        ("dataclass", Order, {"number": 1}),
    ):
        with pytest.raises(Exception, match=r"another version's|another kind of class"):
            of(tag, kind, value)


@BOTH
def test_broken_bytes_are_an_exception(make: Make) -> None:
    written = make().dumps({"t": None, "f": "f", "a": (1, "x"), "k": {}, "et": 1})
    for end in range(len(written)):
        with pytest.raises(Exception):  # noqa: PT011, B017
            make().loads(written[:end])
    for junk in (written + b"1", b"[]", b"{}{}", b"\x80\x04N.", b"{" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(Exception):  # noqa: PT011, B017, PT012
            make().loads(junk)
            pytest.fail("read")


def test_first_bytes_tell_codecs_apart() -> None:
    data: dict[str, Any] = {"t": None, "f": "f", "a": (), "k": {}, "et": 1}
    codecs: list[Codec] = [PickleCodec(), JsonCodec(), MsgpackCodec()]
    for codec in codecs:
        assert [one.name for one in codecs if one.recognizes(codec.dumps(data))] == [codec.name]


# --- the short way for plain jobs and results ---------------------------------------------------------------------

PLAIN = [0, -1, 2**70, True, False, None, "", "text", 'a"b\\c\n', "\ud800", "é", "$"]


@pytest.mark.parametrize("value", PLAIN)
def test_plain_jobs_and_results_are_written_as_all_others(value: Any) -> None:
    codec = JsonCodec()
    for args in ((), (value,), (1, value, "x")):
        job: dict[str, Any] = {"t": None, "f": 'f"é', "a": args, "k": {}, "et": 1700000000000}
        assert codec.plain_job(None, job["f"], args, job["et"]) == codec.dumps(job)
        for success in (True, False):
            result = {**job, "t": 2, "s": success, "r": value, "st": 1, "ft": 2, "q": "q\n", "id": "\udce9"}
            short = codec.plain_result(
                job["f"], args, {}, 2, job["et"], success, value, 1, 2, "", "q\n", "\udce9"
            )
            assert short == codec.dumps(result)


@pytest.mark.parametrize("value", [1.5, (1,), [1], {"a": 1}, b"x", Point(1), Colour.RED, ValueError("x")])
def test_what_is_more_than_plain_goes_the_long_way(value: Any) -> None:
    codec = JsonCodec()
    assert codec.plain_job(None, "f", (value,), 1) is None
    assert codec.plain_result("f", (value,), {}, 1, 1, True, 1, 1, 1, "", "q", "id") is None
    assert codec.plain_result("f", (), {}, 1, 1, True, value, 1, 1, "", "q", "id") is None


def test_odd_parts_go_the_long_way() -> None:
    codec = JsonCodec()
    assert codec.plain_job(1, "f", (), 1) is None
    assert codec.plain_job(None, "f", [], 1) is None
    assert codec.plain_job(None, "f", (), True) is None
    assert codec.plain_result("f", (), {}, None, 1, True, 1, 1, 1, "", "q", "id") is None  # type: ignore[arg-type]
    assert codec.plain_result("f", (), {}, 1, 1, True, 1, 1.5, 1, "", "q", "id") is None  # type: ignore[arg-type]
    assert codec.plain_result("f", (), {"k": 1}, 1, 1, True, 1, 1, 1, "", "q", "id") is None
