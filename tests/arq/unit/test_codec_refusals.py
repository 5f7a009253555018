"""What JSON and msgpack can't write or read, and how that is told; values of pydantic's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import KEEP, Enum, Flag
from typing import Any

import msgpack
import pydantic
import pytest

from arq._admin import restricted
from arq._payloads.payload_format import PayloadFormat
from arq._payloads.serialization import serialize_job, serialize_result
from arq.codecs import JsonCodec, MsgpackCodec
from arq.jobs import DeserializationError, SerializationError, deserialize_job

Make = type[JsonCodec] | type[MsgpackCodec]
BOTH = pytest.mark.parametrize("make", [JsonCodec, MsgpackCodec])


@dataclass
class Point:
    x: int


class Bits(Flag, boundary=KEEP):
    ONE = 1


def test_secrets_come_back_and_operators_do_not_see_them() -> None:
    codec = JsonCodec()
    written = codec.dumps({"t": None, "f": "f", "a": (pydantic.SecretStr("s3cr3t"),), "k": {}, "et": 1})
    assert codec.loads(written)["a"][0].get_secret_value() == "s3cr3t"
    assert repr(restricted.read(written)["a"]) == "[pydantic.SecretStr('**********')]"


@pytest.mark.parametrize(
    "name", ["pydantic:BaseModel", "pydantic:ImportString", "pydantic:_BaseUrl", "HttpUrl", 3]
)
def test_other_classes_of_pydantic_are_not_made(name: Any) -> None:
    values: list[Any] = ["os.system", {}, 3]
    for value in values:
        with pytest.raises(Exception, match="is pydantic imported|does not fit"):
            JsonCodec().loads(json.dumps({"r": {"$": "pydantic", "t": name, "v": value}}).encode())


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@BOTH
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (endless(), "a value is nested too deep for this codec, or contains itself"),
        (Point, "builtins:type can't be written by this codec"),
        (Bits(5), "no member"),
    ],
    ids=["endless", "class", "bits"],
)
def test_a_job_or_a_result_that_can_not_be_written_says_why(make: Make, value: Any, said: str) -> None:
    codec = make()
    with pytest.raises(SerializationError, match=f'unable to serialize job "f": .*{said}') as caught:
        serialize_job("f", (value,), {}, None, 1, serializer=codec.dumps)
    assert "\n" not in str(caught.value)
    told = (1, 1, True, value, 1, 1, "ref", "q", "id")
    payload = serialize_result("f", (), {}, *told, serializer=codec.dumps, deserializer=codec.loads)
    assert payload
    back = codec.loads(payload)
    assert back["s"] is False
    assert said in back["r"]
    assert back["r"].startswith("unable to serialize result: ")


def test_numbers_that_are_too_long_for_json() -> None:
    long = 10**5000
    how = PayloadFormat(JsonCodec(), [JsonCodec()])
    with pytest.raises(SerializationError, match="Exceeds the limit"):
        how.write_job("f", (long,), {}, None, 1, "id", "q")
    assert how.plain_result("q", "id", ("f", (), {}, 1, 1, True, long, 1, 1, "", "q", "id")) is None
    assert how.plain_result("q", "id", ("f", (long,), {}, 1, 1, True, 1, 1, 1, "", "q", "id")) is None
    assert MsgpackCodec().loads(MsgpackCodec().dumps({"a": (long,)}))["a"] == (long,)


def test_what_is_not_known_is_in_the_text() -> None:
    body = JsonCodec().dumps({"t": None, "f": "f", "a": (Point(1),), "k": {}, "et": 1})
    with pytest.raises(
        DeserializationError, match=r"unable to deserialize job: type '\S+:Point' is not known"
    ):
        deserialize_job(body, deserializer=JsonCodec().loads)


def test_extension_types_of_msgpack() -> None:
    """Times of programs in other languages are times; the rest is nothing that anybody could know."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    packed = msgpack.packb({"a": [now]}, datetime=True)
    assert MsgpackCodec().loads(packed)["a"] == (now,)
    with pytest.raises(Exception, match="extension type 4"):
        MsgpackCodec().loads(msgpack.packb({"a": [msgpack.ExtType(4, b"x")]}))


def test_an_enum_runs_no_code_for_no_names() -> None:
    class Loud(Enum):
        A = 1

        @classmethod
        def _missing_(cls, value: object) -> Any:
            raise AssertionError(value)

    written = {"r": {"$": "enum", "t": f"{Loud.__module__}:{Loud.__qualname__}", "v": []}}
    with pytest.raises(Exception, match="is no flag here"):
        JsonCodec([Loud]).loads(json.dumps(written).encode())
