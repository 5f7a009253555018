"""JSON without encoder and decoder: the bytes are the codec's own, and what is not as usual is left to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arq._errors import PayloadRefused
from arq._payloads import plain_json
from arq._payloads.codecs import JsonCodec
from arq._payloads.payload_format import PayloadFormat
from arq._payloads.plain_json import PlainJson
from arq.codecs import Keyring

NOW_MS = 1_764_000_000_000
CODEC = JsonCodec()
KEYS = Keyring({"one": "k" * 40})
QUEUE, JOB_ID = "arq:queue", "0123456789abcdef0123456789abcdef"


def plain() -> PlainJson:
    return PlainJson(CODEC.plain_job, CODEC.plain_result, CODEC.plain_types)


def job(name: Any = "work", **changed: Any) -> bytes:
    return CODEC.dumps({"t": None, "f": name, "a": (), "k": {}, "et": NOW_MS} | changed)


@pytest.mark.parametrize("name", ["work", "Zeit für Ü", 'a"b\\', "%s", "", '"et":1111111111111,', "$"])
def test_a_job_is_read_as_the_one_before_it(name: str) -> None:
    known = plain()
    assert known.read_job(job(name)) is None
    known.note_job(job(name), name)
    for later_ms in (NOW_MS + 1, 10**12, 10**13 - 1):
        assert known.read_job(job(name, et=later_ms)) == (name, (), "[]", later_ms)
    assert known.read_job(job(name + "x")) is None


@pytest.mark.parametrize(
    "written",
    [
        job(k={"x": 1}),
        job(t=2),
        job(et=5),
        job(et=-NOW_MS),
        job(et=float(NOW_MS)),
        job(x=1),
        job()[:-14] + b"0000000000001}",
        job()[:-14] + b"+764000000000}",
        job()[:-14] + b" 764000000000}",
        job()[:-14] + b"1_64000000000}",
        job()[:-1] + b"]",
        job() + b" ",
        b"",
        b"}",
    ],
)
def test_what_is_no_such_job_is_left_to_the_codec(written: bytes) -> None:
    known = plain()
    known.note_job(job(), "work")
    assert known.read_job(written) is None


ARGS = [
    (1,),
    ("text", None, True, -5, 10**30),
    ('"a":[],', ',"k":{},"et":1111111111111}', "\\", "Ü\ud800"),
    ("",),
]


@pytest.mark.parametrize("args", ARGS)
def test_arguments_are_read_alone_and_kept_as_they_stand(args: tuple[Any, ...]) -> None:
    known = plain()
    known.note_job(job(), "work")
    found = known.read_job(job(a=args, et=NOW_MS + 1))
    assert found == ("work", args, json.dumps(args, separators=(",", ":")), NOW_MS + 1)
    assert [type(one) for one in found[1]] == [type(one) for one in args]


@pytest.mark.parametrize("args", [([1, 2],), ({"x": 1},), (1.5, "text")])
def test_arguments_that_a_job_may_change_are_written_anew(args: tuple[Any, ...]) -> None:
    known = plain()
    known.note_job(job(), "work")
    assert known.read_job(job(a=args)) == ("work", args, "", NOW_MS)


@pytest.mark.parametrize(
    "raw",
    [b"", b"5", b"{}", b"null", b'"[]"', b"[1] ", b" [1]", b"[1]]", b"[1],2", b"[1", b"[1,]", b"[b]", b"[\xff]",
     b'[{"$":"set","v":[1]}]', b'[{"\\u0024":"set","v":[1]}]', b'[1],"k":{"x":2},"a":[3]'],
)  # fmt: skip
def test_odd_arguments_are_left_to_the_codec(raw: bytes) -> None:
    known = plain()
    known.note_job(job(), "work")
    assert known.read_job(job().replace(b'"a":[]', b'"a":' + raw)) is None


@pytest.mark.parametrize("name", ["other", None, 5])
def test_what_is_written_in_another_way_is_not_noted(name: object) -> None:
    known = plain()
    for written, called in ((job(), name), (json.dumps(json.loads(job())).encode(), "work")):
        known.note_job(written, called)
        assert known.read_job(written) is None


def results(known: PlainJson, **changed: Any) -> tuple[bytes | None, bytes]:
    """A result as it is written here, and as the codec writes it."""
    say: dict[str, Any] = {"f": "work", "t": 1, "et": NOW_MS, "r": None, "st": NOW_MS + 7, "ft": NOW_MS + 300}
    say |= {"q": QUEUE, "id": JOB_ID, "a": ()} | changed
    data = {"t": say["t"], "f": say["f"], "a": say["a"], "k": {}, "et": say["et"], "s": True, "r": say["r"]}
    data |= {key: say[key] for key in ("st", "ft", "q", "id")}
    args = json.dumps(say["a"], separators=(",", ":"))
    value = CODEC.plain_value(say["r"])
    assert value is not None
    rest = (say[name] for name in ("st", "ft", "q", "id"))
    return known.write_result(say["f"], say["t"], args, say["et"], value, *rest), CODEC.dumps(data)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"r": True},
        {"r": 5, "a": (1, None, True)},
        {"r": 'Ü"\\', "a": ('"et":1111111111111,', "Ü")},
        {"r": False},
        {"t": 300},
        {"f": '"et":1111111111111,', "q": '"ft":3333333333333,"id":""}'},
        {"f": "1111111111111", "q": "3333333333333"},
        {"id": ""},
        {"id": 'Ü"\\\ud800'},
        {"et": 0, "st": -5, "ft": 10**20},
    ],
)
def test_a_result_is_written_as_the_codec_does(changed: dict[str, Any]) -> None:
    known = plain()
    for number in range(3):
        ours, encoded = results(known, **{"ft": NOW_MS + number} | changed)
        assert ours == encoded


def test_no_more_is_kept_than_is_good() -> None:
    known = plain()
    for number in range(2 * plain_json._MOST_KEPT):
        known.note_job(job(f"work{number}"), f"work{number}")
        results(known, f=f"work{number}")
    assert 0 < len(known._heads) <= plain_json._MOST_KEPT
    assert 0 < len(known._results) <= plain_json._MOST_KEPT


def formats() -> list[PayloadFormat]:
    return [PayloadFormat(CODEC, [CODEC], keyring) for keyring in (None, KEYS)]


def written(of: PayloadFormat, job_id: str = JOB_ID, queue: str = QUEUE) -> bytes:
    return of.write_job("work", (), {}, None, NOW_MS, job_id, queue)


@pytest.mark.parametrize("of", formats())
def test_a_format_knows_the_second_job(of: PayloadFormat) -> None:
    for _ in range(2):
        read = of.read_plain_job(written(of), JOB_ID, QUEUE)
        if not isinstance(read, tuple):
            assert read(written(of))["f"] == "work"
    assert of.read_plain_job(written(of), JOB_ID, QUEUE) == ("work", (), "[]", NOW_MS)


@pytest.mark.parametrize("of", formats())
def test_the_result_of_a_known_job_is_what_any_result_is(of: PayloadFormat) -> None:
    fields = ("work", 1, "[]", NOW_MS, None, NOW_MS + 1, NOW_MS + 2)
    usual = of.plain_result(
        QUEUE, JOB_ID, ("work", (), {}, 1, NOW_MS, True, None, NOW_MS + 1, NOW_MS + 2, "", QUEUE, JOB_ID)
    )
    assert usual is not None
    assert of.write_plain_result(QUEUE, JOB_ID, *fields) == usual


def test_a_known_job_under_another_id_or_queue_or_unsigned_is_refused() -> None:
    of = PayloadFormat(CODEC, [CODEC], KEYS)
    payload = written(of)
    for _ in range(3):
        of.job_reader(JOB_ID, QUEUE)(payload)
        read = of.read_plain_job(payload, JOB_ID, QUEUE)
        if not isinstance(read, tuple):
            read(payload)
    assert isinstance(of.read_plain_job(payload, JOB_ID, QUEUE), tuple)
    for odd, job_id, queue in (
        (payload, "another", QUEUE),
        (payload, JOB_ID, "another"),
        (job(), JOB_ID, QUEUE),
        (payload[:-2] + b"1}", JOB_ID, QUEUE),
    ):
        read = of.read_plain_job(odd, job_id, queue)
        assert not isinstance(read, tuple)
        with pytest.raises(PayloadRefused):
            read(odd)
