"""Pickles that can't be read here: what is known all the same, what is missing, and that nothing is called for it."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import pickle
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq._payloads.pickle_errors import Recipe, Salvaged, explain, show
from arq._payloads.unreadable_records import read_job, read_result
from arq.jobs import (
    DeserializationError,
    JobResult,
    Unreadable,
    deserialize_job,
    deserialize_result,
    serialize_job,
    serialize_result,
)
from arq.worker import JobExecutionFailed

CALLED: list[Any] = []


def note(*args: Any) -> str:
    """Whoever reads a pickle with this in it calls it."""
    CALLED.append(args)
    return f"noted {args}"


class Noted:
    """Calls `note` when it is read."""

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __reduce__(self) -> Any:
        return note, self.args


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    """A class that is there."""

    number: int
    lines: list[Any] = dataclasses.field(default_factory=list)


class Grown:
    """Its reader has a newer class, which wants more of its state."""

    wants = "old"

    def __init__(self) -> None:
        self.old = 1

    def __setstate__(self, state: Any) -> None:
        self.old = state[self.wants]


@pytest.fixture
def gone() -> Iterator[types.ModuleType]:
    """A module that is there when something is written, and is not when it is read: `shop.models`."""
    CALLED.clear()
    package, models = types.ModuleType("shop"), types.ModuleType("shop.models")
    code = """
class Money:
    def __init__(self, amount, currency="EUR"):
        self.amount, self.currency = amount, currency
class Basket(list): ...
class Prices(dict): ...
class Declined(Exception): ...
def function(): ...
"""
    exec(code, vars(models))
    sys.modules.update({"shop": package, "shop.models": models})
    yield models
    sys.modules.pop("shop", None)
    sys.modules.pop("shop.models", None)


def forget(*names: str) -> None:
    for name in names or ("shop", "shop.models"):
        del sys.modules[name]


def result_of(value: Any, *, success: bool = True, args: Any = (), protocol: int | None = None) -> bytes:
    data = serialize_result("f", args, {}, 2, 4000, success, value, 5000, 6000, "ref", "q", "id")
    assert data is not None
    if protocol is not None:
        data = pickle.dumps(pickle.loads(data), protocol=protocol)
    return data


def check_known(read: JobResult) -> None:
    assert (read.function, read.job_try, read.queue_name, read.job_id) == ("f", 2, "q", "id")
    assert (read.enqueue_time.timestamp(), read.start_time.timestamp(), read.finish_time.timestamp()) == (
        4,
        5,
        6,
    )


def test_a_job_keeps_what_can_be_read(gone: types.ModuleType) -> None:
    when = datetime(2027, 1, 2, tzinfo=UTC)
    args = (1, "two", gone.Money(5), [gone.Money(6)], Order(7, [8]))
    payload = serialize_job("f", args, {"a": when, "b": {"c": gone.Money}}, None, 4000)
    forget()
    with pytest.raises(DeserializationError, match="^unable to deserialize job$"):
        deserialize_job(payload)
    job = read_job(payload)
    assert (job.function, job.job_try, job.enqueue_time.timestamp()) == ("f", None, 4)
    assert job.args[:2] == (1, "two")
    assert job.args[4] == Order(7, [8])
    assert job.kwargs["a"] == when
    for unreadable in (*job.args[2:4], job.kwargs["b"]):
        assert isinstance(unreadable, Unreadable)
        assert unreadable.reason == "module 'shop' is not there: not installed here?"
    assert repr(job.args[2]) == (
        "<unreadable: module 'shop' is not there: not installed here?: shop.models.Money(amount=5, currency='EUR')>"
    )
    assert repr(job.args[3]).endswith("list(shop.models.Money(amount=6, currency='EUR'))>")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("success", [True, False])
def test_a_result_keeps_what_can_be_read(gone: types.ModuleType, success: bool, protocol: int) -> None:
    value = gone.Money(5) if success else gone.Declined("no money")
    payload = result_of(value, success=success, protocol=protocol)
    forget()
    read = read_result(payload)
    check_known(read)
    assert read.success is success
    if success:
        assert isinstance(read.result, Unreadable)
    else:
        assert isinstance(read.result, DeserializationError)
        assert str(read.result) == "shop.models.Declined: no money"
        assert read.result.original_type == "shop.models.Declined"


def test_a_readable_result_beside_unreadable_arguments(gone: types.ModuleType) -> None:
    payload = result_of(Order(3), args=(gone.Money(1), Order(2)))
    forget()
    read = read_result(payload)
    assert (read.success, read.result, read.args[1]) == (True, Order(3), Order(2))
    assert isinstance(read.args[0], Unreadable)


def test_a_value_that_its_worker_could_not_read_back(gone: types.ModuleType) -> None:
    class Refusing:
        def __reduce__(self) -> Any:
            return int, ("x",)

    payload = result_of(Refusing(), args=(gone.Money(1),))
    whole = read_result(payload)
    forget()
    for read in (whole, read_result(payload)):
        check_known(read)
        assert read.success
        assert isinstance(read.result, Unreadable)
        assert read.result.shown == whole.result.shown


def test_notes_of_an_unreadable_exception(gone: types.ModuleType) -> None:
    exc = gone.Declined("no", 7)
    exc.add_note("a note")
    payload = result_of(exc, success=False)
    forget()
    back = read_result(payload).result
    assert str(back) == "shop.models.Declined: ('no', 7)"
    assert back.__notes__ == [
        "a note",
        "the exception itself can't be read here: module 'shop' is not there: not installed here?",
    ]


REASONS = {
    "pathlib._local": "module 'pathlib._local' is not there: written by Python 3.13?",
    "annotationlib": "module 'annotationlib' is not there: written by Python 3.14 or newer?",
    "json.gone": "module 'json.gone' is not there: written by another version of Python?",
    "redis.gone": "module 'redis.gone' is not there: written by another version of 'redis'?",
    "nobody": "module 'nobody' is not there: not installed here?",
}


@pytest.mark.parametrize("module", REASONS)
def test_what_is_missing_is_named(module: str) -> None:
    if has_module(module):
        pytest.skip("this Python has it")
    payload = b"\x80\x04" + f"c{module}\nThing\n)\x81.".encode()
    with pytest.raises(ImportError) as caught:
        pickle.loads(payload)
    assert explain(caught.value) == REASONS[module]


def has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what is above it is no package
        return False


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("re\nNoSuchName", "module 're' has no 'NoSuchName': written by another version of Python?"),
        ("calendar\nDay", "module 'calendar' has no 'Day': written by Python 3.12 or newer?"),
        ("arq.jobs\nNever", "module 'arq.jobs' has no 'Never': written by another version of 'arq'?"),
    ],
)
def test_missing_names_are_named(name: str, reason: str) -> None:
    payload = b"\x80\x04" + f"c{name}\n.".encode()
    if name.startswith("calendar") and sys.version_info >= (3, 12):
        pytest.skip("this Python has it")
    with pytest.raises(AttributeError) as caught:
        pickle.loads(payload)
    assert explain(caught.value) == reason


def test_a_class_that_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = result_of(Grown(), args=(Grown(), 2))
    monkeypatch.setattr(Grown, "wants", "new")
    with pytest.raises(DeserializationError):
        deserialize_result(payload)
    read = read_result(payload)
    check_known(read)
    assert (read.success, read.args[1]) == (True, 2)
    for unreadable in (read.result, read.args[0]):
        assert unreadable.reason.endswith("Grown can't be rebuilt: KeyError: 'new'")


def test_the_worker_calls_nothing(gone: types.ModuleType) -> None:
    args = (1, gone.Money(5), Noted("never"), Order(1), Decimal("1.5"), UUID(int=7), {1, 2}, bytearray(b"x"))
    payload = serialize_job("f", args, {}, None, 4000)
    forget()
    found = Salvaged(payload, rebuild=False)
    assert found.raw("f") == "f"
    read = found.args()
    assert (read[0], *read[4:]) == (1, Decimal("1.5"), UUID(int=7), {1, 2}, bytearray(b"x"))
    shown = [repr(arg) for arg in read[1:4]]
    assert shown[0] == "<unreadable: shop.models.Money(amount=5, currency='EUR')>"
    assert shown[1].endswith("test_pickle_errors.note('never')>")
    assert shown[2].endswith("test_pickle_errors.Order(number=1, lines=list())>")
    assert not CALLED
    assert pickle.loads(pickle.dumps(read[1])) == shown[0]  # readers of other versions get a text


def test_a_reader_of_ones_own_is_not_overruled() -> None:
    def refuse(data: bytes) -> dict[str, Any]:
        raise ValueError("wrong signature")

    CALLED.clear()
    payload = result_of([Noted("x")], args=(Noted("y"), 1))
    CALLED.clear()
    read = read_result(payload, deserializer=refuse)
    check_known(read)
    assert isinstance(read.result, Unreadable)
    assert read.result.reason == "ValueError: wrong signature"
    assert not CALLED
    assert isinstance(read_result(result_of(42), deserializer=refuse).result, Unreadable)
    failed = read_result(result_of(JobExecutionFailed("too late"), success=False), deserializer=refuse)
    assert str(failed.result) == "arq.worker.JobExecutionFailed: too late"
    text = b'{"f": "f"}'
    with pytest.raises(DeserializationError) as caught:
        read_result(text, deserializer=refuse)
    assert caught.value.__notes__ == ["ValueError: wrong signature"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        b"?",
        b"\x80\x04]\x94.",
        pickle.dumps(None),
        pickle.dumps({"f": 1}),
        b"\x80\x04}",
        b"\x80\x04N}",
    ],
)
def test_bytes_of_which_nothing_is_known(payload: bytes) -> None:
    with pytest.raises(DeserializationError) as caught:
        read_job(payload)
    assert str(caught.value) == "unable to deserialize job"
    with pytest.raises(DeserializationError) as caught:
        read_result(payload)
    assert str(caught.value) == "unable to deserialize job result"
    assert caught.value.__notes__


@pytest.mark.parametrize("field", ["t", "a", "k", "et", "st", "ft", "q", "id"])
@pytest.mark.parametrize("odd", [None, "x", [], float("nan"), 10**30, -1])
def test_odd_fields_do_no_harm(field: str, odd: Any) -> None:
    data = pickle.loads(result_of(5)) | {field: odd}
    del data["r"]
    read = read_result(pickle.dumps(data))
    assert (read.function, read.success, read.result) == ("f", True, None)
    assert read.enqueue_time <= datetime.now(UTC)


def test_whole_values_are_whole(gone: types.ModuleType) -> None:
    """Beside something that is missing, every other kind of value comes back as the plain reader makes it."""
    shared: list[Any] = [1]
    circle: dict[str, Any] = {"x": shared}
    circle["self"] = circle
    basket = types.SimpleNamespace(items=deque([Order(1)], maxlen=3), more=OrderedDict(a=frozenset({(1, 2)})))
    value = [circle, shared, basket, Order, {Order: 1}, range(3), 1 + 2j, slice(1, 2), ValueError("v"), UTC]
    payload = result_of(value, args=(gone.Basket([1, 2]), gone.Prices(a=1)))
    forget()
    read = read_result(payload)
    back = read.result
    assert back[0]["self"] is back[0]
    assert back[0]["x"] is back[1] == [1]
    assert back[2] == basket
    assert back[3:8] == [Order, {Order: 1}, range(3), 1 + 2j, slice(1, 2)]
    assert (str(back[8]), back[9]) == ("v", UTC)
    assert [type(arg) for arg in read.args] == [Unreadable, Unreadable]


leaves = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.datetimes(timezones=st.none() | st.just(UTC)),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.sampled_from([Order, note, range(2), bytearray(b"x"), 1j, Color.RED]),
    st.frozensets(st.integers(), max_size=2),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
        st.builds(Order, st.integers(), st.lists(inner, max_size=2)),
        st.lists(inner, max_size=2).map(deque),
        st.dictionaries(st.text(max_size=2), inner, max_size=2).map(OrderedDict),
    ),
    max_leaves=8,
)


@given(values, st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_recipes_lead_to_what_the_plain_reader_makes(value: Any, protocol: int) -> None:
    payload = pickle.dumps({"r": value, "a": (value,)}, protocol=protocol)
    found = Salvaged(payload, rebuild=True)
    plain = pickle.loads(payload)
    for mine, theirs in ((found.get("r"), plain["r"]), (found.args()[0], plain["a"][0])):
        assert type(mine) is type(theirs)
        assert mine == theirs
    assert isinstance(show(found.raw("r")), str)
    Salvaged(payload, rebuild=False).args()


def test_what_is_shown_is_short(gone: types.ModuleType) -> None:
    big: Any = [gone.Money("x" * 10_000) for _ in range(1000)]
    for _ in range(50):
        big = [big, big, {"k": big}]
    payload = serialize_job("f", (big, gone.Money(10**5000)), {"f": gone.function}, None, 1)
    forget()
    job = read_job(payload)
    for unreadable in (*job.args, job.kwargs["f"]):
        assert len(repr(unreadable)) < 300
    assert "shop.models.function" in repr(job.kwargs["f"])
    assert show([1, {"a": (2, b"x")}]) == "list(1, {'a': tuple(2, b'x')})"


def test_deeply_nested_values(gone: types.ModuleType) -> None:
    payload = serialize_job("f", (1,), {}, None, 1)
    nested = payload.replace(
        b"K\x01\x85", b"]" * 100_000 + b"cshop.models\nMoney\n)\x81" + b"a" * 100_000 + b"\x85"
    )
    forget()
    job = read_job(nested)
    assert job.function == "f"
    assert isinstance(job.args[0], Unreadable)


def test_recipes_say_what_they_are() -> None:
    payload = b"\x80\x04}\x8c\x01fcshop.models\nMoney\nK\x01\x85Rs."
    recipe = Salvaged(payload, rebuild=False).raw("f")
    assert isinstance(recipe, Recipe)
    assert repr(recipe) == "shop.models.Money(1)"
    persistent = Salvaged(b"\x80\x04}\x8c\x01fK\x07Qs.", rebuild=True).get("f")
    assert repr(persistent).startswith("<unreadable: module 'persistent' is not there")
