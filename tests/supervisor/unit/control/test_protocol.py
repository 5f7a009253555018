"""Requests and answers on the control socket, as other programs write and read them."""

import json

import pytest

from supervisor.control.protocol import Answer, Request
from supervisor.pool.status import PoolStatus


@pytest.mark.parametrize(
    "request_",
    [Request("status"), Request("reload", wait=True), Request("scale", to=4), Request("dump", slot=0)],
)
def test_a_request_is_read_as_it_was_written(request_: Request) -> None:
    assert Request.read(request_.encode()) == request_


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (Request("status"), {"v": 1, "cmd": "status", "wait": False}),
        (Request("scale", to=4), {"v": 1, "cmd": "scale", "wait": False, "to": 4}),
    ],
)
def test_members_of_a_request(request_: Request, line: dict[str, object]) -> None:
    assert json.loads(request_.encode()) == line


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'"status"', b'{"cmd": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Request.read(line)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Answer(ok=True, said="done"), {"ok": True, "said": "done"}),
        (Answer(ok=False, error="no"), {"ok": False, "error": "no"}),
        (Answer(ok=True, error="", trace="", said="x"), {"ok": True, "error": "", "trace": "", "said": "x"}),
        (Answer(ok=True, code=0, said="over"), {"ok": True, "code": 0, "said": "over"}),
    ],
)
def test_members_of_an_answer(answer: Answer, line: dict[str, object]) -> None:
    assert json.loads(answer.encode()) == line
    assert Answer.read(answer.encode())._replace(received="") == answer


def test_an_answer_with_a_status() -> None:
    answer = Answer(ok=True, status=PoolStatus("shop"))
    assert Answer.read(answer.encode())._replace(received="") == answer


def test_what_a_later_version_adds_is_kept_for_programs() -> None:
    answer = Answer.read(b'{"ok": true, "new": [1], "status": {"pool": "shop", "new": 2}}')
    assert json.loads(answer.received) == {"ok": True, "new": [1], "status": {"pool": "shop", "new": 2}}


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b'{"ok": true, "status": [1]}'])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Answer.read(line)
