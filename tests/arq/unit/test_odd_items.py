"""Names and payloads that Redis would refuse, or take for something else: one clear line."""

from __future__ import annotations

from typing import Any

import pytest

from arq._payloads.serialization import serialize_job, serialize_result
from arq._worker import outcomes
from arq.connections import ArqRedis
from arq.jobs import SerializationError
from tests.arq.unit.attempts import attempt


@pytest.mark.parametrize("option", ["_job_id", "_queue_name"])
async def test_names_have_an_end(option: str) -> None:
    options: dict[str, Any] = {option: "x" * 100_000}
    with pytest.raises(
        ValueError, match=f"^{option} has 100000 characters, 65536 are allowed: 'xxx"
    ) as caught:
        await ArqRedis().enqueue_job("job", **options)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("nothing", [b"", "", bytearray(), None, 5, "\ud800"])
def test_a_serializer_that_returns_nothing_is_found_out(
    nothing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SerializationError, match='unable to serialize job "job"'):
        serialize_job("job", (), {}, None, 0, serializer=lambda data: nothing)
    arguments: Any = ("job", (), {}, 1, 0, True, "result", 0, 0, "id:job", "queue", "id")
    assert serialize_result(*arguments, serializer=lambda data: nothing) is None
    assert "even after replacing result" in caplog.text


def test_a_payload_that_can_not_be_fetched_is_no_expired_job() -> None:
    claimed = attempt("work").job._replace(payload=None, unreadable="unable to read job: no")
    assert str(outcomes.read(claimed, {}, None).problem) == "unable to read job: no"
