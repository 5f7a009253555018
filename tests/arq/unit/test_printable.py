"""Text from elsewhere: what is not printable is escaped, passwords are left out."""

from __future__ import annotations

import io
import logging

import pytest

from arq._printable import printable, printable_lines, redacted
from arq._redis.scripts import ClaimedJob
from arq._worker.attempt import Attempt
from arq.logs import LineFormatter
from arq.utils import args_to_string
from supervisor import printable_text
from supervisor.commands.check_fleet import fleet_text, judge_fleet, read_member
from supervisor.log_records import text_record

ESCAPES = [
    ("line\nbreak", r"line\nbreak"),
    ("\r\x1b[2J", r"\r\x1b[2J"),
    ("\x9b31m", r"\x9b31m"),
    ("a\x00b\x7f", r"a\x00b\x7f"),
    ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
    ("\u202egnp.exe", r"\u202egnp.exe"),
    ("\u2066\ufeff", r"\u2066\ufeff"),
    ("\ud800", r"\ud800"),
]
PLAIN = ["", "id:f", "ä ö ü", "日本", "→ ●", "🙂", "a b"]
HARMLESS = ["a\u00a0b", "全角\u3000空白", "क्\u200dष", "👩\u200d💻", "a\u200cb", "\U0001fae9\ue000"]


@pytest.mark.parametrize(("text", "escaped"), ESCAPES)
def test_what_is_not_printable_is_escaped(text: str, escaped: str) -> None:
    assert printable(text) == printable_text.printable(text) == escaped
    assert printable_lines(f"first\n\t{text.strip()}").isprintable() is False
    assert printable_lines(text).replace("\n", "").isprintable()
    assert printable_text.printable_lines(text) == printable_lines(text)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_printable_stays(text: str) -> None:
    assert printable(text) is text
    assert printable_text.all_printable({"a": [text, 1, None]}) == {"a": [text, 1, None]}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_ordinary_text_stays(text: str) -> None:
    assert printable(text) == printable_lines(text) == text


def test_lines_stay_lines() -> None:
    assert printable_lines("Traceback\n\tline\n") == "Traceback\n\tline\n"
    assert printable_lines("one\n\x1b[31mtwo") == "one\n\\x1b[31mtwo"


def test_no_job_makes_up_log_lines() -> None:
    """Whoever may enqueue has chosen id, function and arguments."""
    job = ClaimedJob("id\n00:00:00: forged", 1, None, 1, 0, False, b"")
    assert Attempt(job, "f\x1b[2J").ref == r"id\n00:00:00: forged:f\x1b[2J"
    assert args_to_string((), {"key\nforged": 1}) == r"key\nforged=1"

    class Odd:
        def __repr__(self) -> str:
            return "<odd\x1b[31m\nforged>"

    assert args_to_string((Odd(), "ä"), {}) == r"<odd\x1b[31m\nforged>, 'ä'"


def test_the_last_look_is_the_formatters() -> None:
    """Whatever a line says: no escape code reaches a terminal. Tracebacks have lines, and no passwords."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(asctime)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("tests.arq.unit.test_printable")
    logger.handlers = [handler]
    logger.warning("plain ä %s", "\x1b]0;title\x07")
    try:
        raise ValueError("boom\n\x1b[2Jredis://me:s3cr/3t@host")
    except ValueError:
        logger.exception("failed")
    assert r"plain ä \x1b]0;title\x07" in stream.getvalue()
    assert "ValueError: boom\n\\x1b[2Jredis://***@host\n" in stream.getvalue()


def test_a_field_of_a_record_is_one_value() -> None:
    fields = {"jobs": ["a:f", "b\n[pool] stop.done", "c] code=0", "d,e"], "why": "x\x1b[2Jy", "name": "日本"}
    record = text_record("info", "pool", "child.exit", fields)
    assert record.count("\n") == 1
    shown_jobs = r'jobs=[a:f,"b\n[pool] stop.done","c] code=0","d,e"]'
    assert record.endswith(rf'{shown_jobs} why="x\u001b[2Jy" name=日本' + "\n")
    assert r"\u202e" in text_record("info", "pool", "event", {"id": "\u202eid"})


def test_members_of_a_fleet_make_up_no_lines() -> None:
    member = read_member("pool\nOK  queue\x1b[2J:host:0:nonce", 5.0)
    assert member is not None
    text = fleet_text(judge_fleet("queue", 0, [member], 1))
    assert r"pool\nOK  queue\x1b[2J@host" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://me:secret@host:1/0", "redis://***@host:1/0"),
        ("at rediss://:se/c#r?et@host", "at rediss://***@host"),
        ("('redis://:se\"cret@host')", "('redis://***@host')"),
        ("unix://me:secret@/run/r.sock", "unix://***@/run/r.sock"),
        ("redis://host:1/0", "redis://host:1/0"),
        ("postgresql://me:secret@db/x and http://host:80/a@b", "postgresql://me:***@db/x and http://host:80/a@b"),
        ("https://example.com/@somebody", "https://example.com/@somebody"),
        ("Port could not be cast to integer value as 'secret'", "Port could not be cast to integer value as ***"),
        ("netloc 'me:secret℀@h' contains invalid", "netloc *** contains invalid"),
        ("'secret' does not appear to be an IPv4 or IPv6 address", "*** does not appear to be an IPv4 or IPv6 address"),
        ("plain", "plain"),
    ],
)  # fmt: skip
def test_passwords_of_addresses(text: str, expected: str) -> None:
    assert redacted(text) == printable_text.redacted(text) == expected
