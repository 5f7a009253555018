"""Which function may have been meant."""

from __future__ import annotations

import pytest

from arq._worker.unknown_function import hint

KNOWN = ("send_email", "app.tasks.clean_up", "cron:report", "echo")
LIST = "this worker has send_email, app.tasks.clean_up, cron:report, echo"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("send_mail", "send_email"),
        ("sendEmail", "send_email"),
        ("app.tasks.send_email", "send_email"),
        ("app.tasks:send_email", "send_email"),
        ("clean_up", "app.tasks.clean_up"),
        ("report", "cron:report"),
        ("Echo", "echo"),
    ],
)
def test_what_was_meant_is_told(name: str, meant: str) -> None:
    assert hint(name, KNOWN) == f"did you mean {meant}? {LIST}"


@pytest.mark.parametrize("name", ["", "something_else", "x" * 10_000, "send_email" * 100, "\n", "é" * 50])
def test_nothing_is_guessed_at(name: str) -> None:
    assert hint(name, KNOWN) == LIST


def test_the_list_is_short() -> None:
    told = hint("nothing", [f"function_{number}_{'x' * 500}" for number in range(5000)])
    assert told.endswith(" and 4990 more")
    assert len(told) < 1000


def test_a_name_forges_no_line() -> None:
    assert "\n" not in hint("ab", ["a\nb", "\x1b[31m"])
    assert "\x1b" not in hint("ab", ["a\nb", "\x1b[31m"])
