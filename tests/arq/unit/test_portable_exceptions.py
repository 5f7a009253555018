"""What a job raises comes back, or something that says as much; what can't be written costs no outcome."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Self

import pytest

from arq._payloads.unreadable_records import read_result
from arq.jobs import (
    DeserializationError,
    JobResult,
    SerializationError,
    Unreadable,
    serialize_job,
    serialize_result,
)
from arq.utils import safe_repr
from arq.worker import FailedJobs


class ApiError(Exception):
    """Needs an argument that pickle does not keep."""

    def __init__(self, message: str, *, request: str) -> None:
        super().__init__(message)
        self.request = request


class CodeError(Exception):
    """Makes its text longer each time it is made."""

    def __init__(self, code: Any) -> None:
        super().__init__(f"code {code}")


class HoldsError(Exception):
    """Has an attribute that can't be pickled."""

    def __init__(self, message: str, held: Any) -> None:
        super().__init__(message)
        self.held = held


class MuteError(Exception):
    """Can't say what it is."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __repr__(self) -> str:
        raise ValueError("no repr")


class SlottedError(Exception):
    """Can't be made without its constructor."""

    __slots__ = ("held",)

    def __init__(self, *, held: Any) -> None:
        super().__init__("slotted")
        self.held = held


class FileError(OSError):
    """Neither can this one: OSError works in `__new__` or `__init__`, depending on which is overridden."""

    def __init__(self, *, path: str) -> None:
        super().__init__(2, "gone", path)


class StrangeGroup(ExceptionGroup[Exception]):
    """A group that can't be made again."""

    def __new__(cls, *, members: list[Exception]) -> Self:
        return super().__new__(cls, "strange", members)

    def __init__(self, **kwargs: Any) -> None: ...


class Reduced(Exception):
    """Does something when it is pickled, or when that is read."""

    reduce: ClassVar[Callable[[], Any]]

    def __reduce__(self) -> Any:
        return type(self).reduce()


def raising(exc: BaseException) -> Callable[[], Any]:
    def reduce() -> Any:
        raise exc

    return reduce


class ExitsWhenWritten(Reduced):
    reduce = staticmethod(raising(SystemExit(3)))


class InterruptsWhenWritten(Reduced):
    reduce = staticmethod(raising(KeyboardInterrupt()))


class ExitsWhenRead(Reduced):
    reduce = staticmethod(lambda: (sys.exit, (1,)))


class ComesBackAsText(Reduced):
    reduce = staticmethod(lambda: (str, ("something else",)))


class Spoiled:
    """Can be pickled, and not be read."""

    def __reduce__(self) -> Any:
        return int, ("x",)


class Refusing:
    """Can't be pickled."""

    def __init__(self, exc: BaseException | None = None) -> None:
        self.exc = exc or TypeError("I refuse")

    def __reduce__(self) -> Any:
        raise self.exc


def in_a_function() -> Exception:
    class LocalError(Exception): ...

    return LocalError("made in a function")


def written(
    result: Any, *, success: bool = False, args: Any = (1,), kwargs: Any = None, **serializers: Any
) -> bytes:
    options = serializers or {}
    numbers = (3, 4000, success, result, 5000, 6000)
    data = serialize_result("f", args, kwargs or {}, *numbers, "ref", "q", "id", **options)
    assert data is not None
    return data


def there_and_back(result: Any, **options: Any) -> JobResult:
    read = read_result(written(result, **options), deserializer=options.get("deserializer"))
    assert (read.function, read.job_try, read.job_id, read.queue_name) == ("f", 3, "id", "q")
    assert (read.enqueue_time.timestamp(), read.start_time.timestamp(), read.finish_time.timestamp()) == (
        4,
        5,
        6,
    )
    return read


@pytest.mark.parametrize(
    "exc", [ValueError("x"), KeyError("k"), asyncio.CancelledError(), OSError(2, "gone", "/x"), MuteError()]
)
def test_what_comes_back_is_written_as_it_always_was(exc: BaseException) -> None:
    keys = ("t", "f", "a", "k", "et", "s", "r", "st", "ft", "q", "id")
    values: Any = (3, "f", (1,), {}, 4000, False, exc, 5000, 6000, "q", "id")
    assert written(exc) == pickle.dumps(dict(zip(keys, values, strict=True)))


@pytest.mark.parametrize(
    "exc",
    [
        ApiError("503 from upstream", request="GET /orders"),
        CodeError(5),
        ExitsWhenWritten("a", 1),
        InterruptsWhenWritten("b"),
        ExitsWhenRead("c"),
        ComesBackAsText("d"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_an_exception_that_its_class_can_not_rebuild_comes_back(
    exc: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    exc.add_note("a note")
    read = there_and_back(exc)
    assert not read.success
    assert type(read.result) is type(exc)
    assert (read.result.args, str(read.result), vars(read.result)) == (exc.args, str(exc), vars(exc))
    assert not caplog.records
    plainly_read = pickle.loads(written(exc))["r"]  # as arq 0.28 does it
    assert (type(plainly_read), str(plainly_read)) == (type(exc), str(exc))


def test_an_attribute_that_can_not_be_pickled_is_left_out() -> None:
    back = there_and_back(HoldsError("the text", threading.Lock())).result
    assert (type(back), str(back)) == (HoldsError, "the text")
    assert not hasattr(back, "held")
    assert back.__notes__ == ["arq could not store of it: held"]


@pytest.mark.parametrize(
    ("exc", "kind", "text"),
    [
        (in_a_function(), SerializationError, "in_a_function.<locals>.LocalError: made in a function"),
        (ValueError("in use", threading.Lock()), SerializationError, "ValueError: ('in use', <unlocked"),
        (SlottedError(held=1), DeserializationError, "SlottedError: slotted"),
        (FileError(path="/x"), DeserializationError, "FileError: [Errno 2] gone: '/x'"),
        (
            StrangeGroup(members=[ValueError("v")]),
            DeserializationError,
            "StrangeGroup: strange (1 sub-exception)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_stand_in_has_type_text_and_notes(
    exc: Exception, kind: type[SerializationError], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    exc.add_note("a note")
    back = there_and_back(exc).result
    assert type(back) is kind
    assert text in str(back)
    assert back.original_type is not None
    assert back.original_type.endswith(type(exc).__qualname__)
    assert back.__notes__[0] == "a note"
    assert back.__notes__[1].startswith("arq could not store the exception itself: ")
    assert caplog.messages == ["error serializing result of ref"]
    assert SerializationError("a usual one").original_type is None


def test_a_stand_in_has_the_traceback_with_its_causes() -> None:
    try:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise in_a_function() from cause
    except Exception as exc:
        back = there_and_back(exc).result
    assert "KeyError: 'the cause'" in back.__notes__[-1]
    assert "test_a_stand_in_has_the_traceback_with_its_causes" in back.__notes__[-1]


def test_one_bad_member_does_not_spoil_its_group() -> None:
    inner = ExceptionGroup("inner", [in_a_function(), CodeError(6)])
    group = ExceptionGroup("outer", [ValueError("good"), ApiError("bad", request="r"), inner])
    back = there_and_back(group).result
    assert type(back) is ExceptionGroup
    members: Any = back.exceptions
    good, api, inner_back = members
    assert (type(good), type(api), api.request) == (ValueError, ApiError, "r")
    local, code = inner_back.exceptions
    assert (type(local), str(code)) == (SerializationError, "code 6")


def test_exceptions_that_contain_each_other() -> None:
    one, other = ApiError("one", request="r"), ApiError("other", request="r")
    vars(one)["peer"], vars(other)["peer"] = other, one
    back = there_and_back(one).result
    assert (type(back), str(back)) == (ApiError, "one")


def test_an_exception_that_says_nothing_can_be_listed() -> None:
    read = there_and_back(MuteError("x"))
    assert type(read.result) is MuteError
    assert "MuteError whose repr() raises" in str(FailedJobs(1, [read]))
    assert "MuteError whose repr() raises" in repr(FailedJobs(2, [read, read]))


def test_returned_exceptions_come_back(caplog: pytest.LogCaptureFixture) -> None:
    read = there_and_back([1, ApiError("x", request="r")], success=True)
    assert read.success
    assert (read.result[0], read.result[1].request) == (1, "r")
    assert not caplog.records


def test_a_value_that_can_not_be_read_is_told_of_and_its_job_was_successful(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read = there_and_back([1, Spoiled()], success=True)
    assert read.success
    assert isinstance(read.result, Unreadable)
    assert "invalid literal for int()" in read.result.reason
    assert "Spoiled object" in read.result.shown
    plainly_read = pickle.loads(written([1, Spoiled()], success=True))  # as arq 0.28 does it
    assert plainly_read["s"] is False
    assert type(plainly_read["r"]) is DeserializationError
    assert "the job was successful, but its value can't be read: ValueError: invalid literal" in str(
        plainly_read["r"]
    )
    caplog.clear()
    there_and_back(Spoiled(), success=True)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith("result of ref can't be read again: ")


def test_large_values_are_not_read_back(caplog: pytest.LogCaptureFixture) -> None:
    there_and_back([bytes(2_000_000), Spoiled()], success=True)
    assert not caplog.records


@pytest.mark.parametrize("exc", [TypeError("no"), KeyboardInterrupt(), SystemExit(1), BaseException("panic")])
def test_a_value_that_can_not_be_written(exc: BaseException) -> None:
    read = there_and_back(Refusing(exc), success=True)
    assert (read.success, read.result, read.args) == (False, "unable to serialize result", (1,))


REFUSED = Refusing(KeyboardInterrupt())


@pytest.mark.parametrize(
    ("args", "kwargs", "kept"),
    [
        ((REFUSED, 1), {"k": 2}, ((), {"k": 2})),
        ((1,), {"k": [REFUSED]}, ((1,), {})),
        ((REFUSED,), {"k": REFUSED}, ((), {})),
        ((Spoiled(),), {}, ((), {})),
    ],
)
@pytest.mark.parametrize(
    "outcome", [42, ValueError("boom"), ApiError("x", request="r"), in_a_function(), REFUSED]
)
def test_arguments_cost_no_outcome(
    args: Any, kwargs: Any, kept: Any, outcome: Any, caplog: pytest.LogCaptureFixture
) -> None:
    success = not isinstance(outcome, Exception)
    read = there_and_back(outcome, success=success, args=args, kwargs=kwargs)
    if isinstance(outcome, Refusing):
        assert (read.success, read.result) == (False, "unable to serialize result")
    else:
        assert read.success == success
        assert str(outcome) in str(read.result)
    if (
        isinstance(args[0], Spoiled) and outcome == 42
    ):  # a plain result is not read back, and can be read all the same
        assert isinstance(read.args[0], Unreadable)
        return
    assert (read.args, read.kwargs) == kept
    assert "arguments of ref can't be serialized any more, its result is kept without them" in caplog.text


JSON: dict[str, Any] = {"serializer": lambda data: json.dumps(data).encode(), "deserializer": json.loads}


@pytest.mark.parametrize(
    ("success", "value", "args", "expected", "kept"),
    [
        (True, 2, [1], (True, 2), [1]),
        (True, {1, 2}, [1], (False, "unable to serialize result"), [1]),
        (True, 2, [{1}], (True, 2), []),
        (True, {1}, [{1}], (False, "unable to serialize result"), []),
        (False, ValueError("boom"), [1], (False, "unable to serialize result: ValueError: boom"), [1]),
        (False, ValueError("boom"), [{1}], (False, "unable to serialize result: ValueError: boom"), []),
    ],
)
def test_a_serializer_of_ones_own(success: bool, value: Any, args: Any, expected: Any, kept: Any) -> None:
    read = there_and_back(value, success=success, args=args, **JSON)
    assert (read.success, read.result, read.args) == (*expected, kept)


def test_a_serializer_of_ones_own_that_knows_exceptions() -> None:
    """One that makes a text of them is believed; one that is a pickle gets a stand-in for what does not come back."""
    told = {"serializer": lambda d: json.dumps(d, default=str).encode(), "deserializer": json.loads}
    assert there_and_back(ValueError("boom"), **told).result == "boom"
    pickled = {"serializer": lambda d: b"1" + pickle.dumps(d), "deserializer": lambda b: pickle.loads(b[1:])}
    assert str(there_and_back(ValueError("boom"), **pickled).result) == "boom"
    back = there_and_back(ApiError("x", request="r"), **pickled).result
    assert type(back) is DeserializationError
    assert str(back).endswith("ApiError: x")


@pytest.mark.parametrize("exc", [TypeError("no"), KeyboardInterrupt(), SystemExit(1), BaseException("panic")])
def test_arguments_that_a_producer_can_not_write(exc: BaseException) -> None:
    with pytest.raises(SerializationError, match='^unable to serialize job "f"$') as caught:
        serialize_job("f", (Refusing(exc),), {}, None, 1)
    assert caught.value.__cause__ is exc


class InterruptedOnce:
    """Somebody presses Ctrl-C while it is pickled."""

    def __init__(self) -> None:
        self.times = 0

    def __reduce__(self) -> Any:
        self.times += 1
        if self.times == 1:
            raise KeyboardInterrupt
        return int, (5,)


def test_a_real_interrupt_is_not_taken_for_the_jobs() -> None:
    with pytest.raises(KeyboardInterrupt):
        written(InterruptedOnce(), success=True)
    with pytest.raises(KeyboardInterrupt):
        serialize_job("f", (InterruptedOnce(),), {}, None, 1)


def test_safe_repr_is_what_lists_use() -> None:
    assert safe_repr(MuteError()) == "<MuteError whose repr() raises ValueError>"
