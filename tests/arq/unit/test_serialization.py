"""Bytes to records and back; keys and texts of the wire format."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arq.jobs import (
    DeserializationError,
    JobDef,
    JobResult,
    SerializationError,
    deserialize_job,
    deserialize_job_raw,
    deserialize_result,
    serialize_job,
    serialize_result,
)
from arq.worker import FailedJobs, JobExecutionFailed, Retry, RetryJob

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.floats(allow_nan=False), max_size=2),
)


def packb(data: dict[str, Any]) -> bytes:
    return bytes(msgpack.packb(data))


def unpackb(data: bytes) -> dict[str, Any]:
    return dict(msgpack.unpackb(data))


@given(
    st.text(max_size=9),
    st.lists(values, max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=3), values, max_size=3),
    st.none() | st.integers(0, 99),
)
def test_jobs_survive_the_trip(
    function: str, args: tuple[Any, ...], kwargs: dict[str, Any], job_try: int | None
) -> None:
    data = serialize_job(function, args, kwargs, job_try, 1_600_000_000_123)
    assert deserialize_job_raw(data) == (function, args, kwargs, job_try, 1_600_000_000_123)
    packed = serialize_job(function, args, kwargs, job_try, 1, serializer=packb)
    unpacked = deserialize_job_raw(packed, deserializer=unpackb)
    assert (unpacked[0], [*unpacked[1]], *unpacked[2:]) == (function, [*args], kwargs, job_try, 1)


def test_keys_of_a_job() -> None:
    assert pickle.loads(serialize_job("f", (1,), {"a": 2}, 3, 4)) == {
        "t": 3,
        "f": "f",
        "a": (1,),
        "k": {"a": 2},
        "et": 4,
    }


def result_bytes(
    result: Any = "r", *, success: bool = True, serializer: Any = None, args: Any = (1,)
) -> bytes | None:
    return serialize_result(
        "f", args, {"a": 2}, 3, 4000, success, result, 5000, 6000, "ref", "q", "id", serializer=serializer
    )


def test_keys_of_a_result() -> None:
    data = result_bytes()
    assert data is not None
    assert pickle.loads(data) == {
        "t": 3,
        "f": "f",
        "a": (1,),
        "k": {"a": 2},
        "et": 4000,
        "s": True,
        "r": "r",
        "st": 5000,
        "ft": 6000,
        "q": "q",
        "id": "id",
    }


def test_records() -> None:
    data = result_bytes()
    assert data is not None
    assert deserialize_result(data) == JobResult(
        function="f",
        args=(1,),
        kwargs={"a": 2},
        job_try=3,
        enqueue_time=datetime(1970, 1, 1, 0, 0, 4, tzinfo=UTC),
        score=None,
        job_id="id",
        success=True,
        result="r",
        start_time=datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC),
        finish_time=datetime(1970, 1, 1, 0, 0, 6, tzinfo=UTC),
        queue_name="q",
    )
    assert deserialize_job(serialize_job("f", (), {}, None, 4000)) == JobDef(
        function="f",
        args=(),
        kwargs={},
        job_try=None,
        enqueue_time=datetime(1970, 1, 1, 0, 0, 4, tzinfo=UTC),
        score=None,
        job_id=None,
    )


def test_unknown_keys_are_ignored_and_old_results_lack_two() -> None:
    job: dict[str, Any] = {"t": None, "f": "f", "a": (), "k": {}, "et": 1, "new": "?"}
    assert deserialize_job_raw(pickle.dumps(job))[0] == "f"
    result = {**job, "s": True, "r": 1, "st": 1, "ft": 1}
    read = deserialize_result(pickle.dumps(result))
    assert (read.queue_name, read.job_id) == ("<unknown>", "<unknown>")


@pytest.mark.parametrize("data", [b"", b"?", pickle.dumps(None), pickle.dumps({"f": "f"})])
def test_bytes_that_can_not_be_read(data: bytes) -> None:
    with pytest.raises(DeserializationError, match="^unable to deserialize job$"):
        deserialize_job(data)
    with pytest.raises(DeserializationError, match="^unable to deserialize job result$"):
        deserialize_result(data)


def test_arguments_that_can_not_be_serialized() -> None:
    with pytest.raises(SerializationError, match='^unable to serialize job "f"$') as caught:
        serialize_job("f", (lambda: None,), {}, None, 1)
    assert caught.value.__cause__ is not None


def test_a_result_that_can_not_be_serialized_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    data = result_bytes(lambda: None)
    assert data is not None
    read = deserialize_result(data)
    assert (read.success, read.result) == (False, "unable to serialize result")
    assert [r.getMessage() for r in caplog.records] == ["error serializing result of ref"]
    assert caplog.records[0].levelname == "WARNING"


def test_a_serializer_that_refuses_everything_leaves_no_result(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(data: dict[str, Any]) -> bytes:
        raise TypeError("no")

    assert result_bytes(serializer=refuse) is None
    assert caplog.records[-1].levelname == "CRITICAL"
    assert caplog.messages[-1] == "error serializing result of ref even after replacing result"


def test_exceptions_do_not_fit_into_json() -> None:
    data = result_bytes(ValueError("boom"), success=False, serializer=lambda d: json.dumps(d).encode())
    assert data is not None
    read = deserialize_result(data, deserializer=json.loads)
    assert read.result == "unable to serialize result: ValueError: boom"


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (JobExecutionFailed("job expired"), b"arq.worker"),
        (Retry(1.5), b"arq.worker"),
        (RetryJob(), b"arq.worker"),
        (SerializationError("x"), b"arq.jobs"),
        (DeserializationError("x"), b"arq.jobs"),
    ],
)
def test_exceptions_travel_under_their_public_paths(error: Exception, path: bytes) -> None:
    data = pickle.dumps(error)
    assert path in data
    assert b"_errors" not in data
    back = pickle.loads(data)
    assert (type(back), back.args) == (type(error), error.args)


def test_retry() -> None:
    back: Retry = pickle.loads(pickle.dumps(Retry(1.5)))
    assert back.defer_score == 1500
    assert str(back) == repr(back) == "<Retry defer 1.50s>"
    assert Retry().defer_score is None
    assert repr(Retry()) == "<Retry defer 0.00s>"


def test_failures_of_the_worker_compare_by_text_and_can_be_kept_in_a_set() -> None:
    assert JobExecutionFailed("a") == JobExecutionFailed("a") != JobExecutionFailed("b")
    assert JobExecutionFailed("a") != RuntimeError("a")
    assert len({JobExecutionFailed("a"), JobExecutionFailed("a")}) == 1


def test_failed_jobs_names_them() -> None:
    data = result_bytes(ValueError("boom"), success=False)
    assert data is not None
    one = deserialize_result(data)
    assert str(FailedJobs(1, [one])) == "1 job failed ValueError('boom')"
    assert repr(FailedJobs(2, [one, one])) == "<2 jobs failed:\nValueError('boom')\nValueError('boom')>"
    assert str(FailedJobs(1, [])) == "1 jobs failed:\n"
