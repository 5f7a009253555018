"""Whose SIGHUP it is."""

import pytest

from supervisor.host import controlling_terminal
from supervisor.host.controlling_terminal import LATE_S, Terminal


def test_a_hangup_is_the_kernels_also_when_the_end_of_the_terminal_was_seen_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = True
    monkeypatch.setattr(controlling_terminal, "is_there", lambda: there)
    terminal = Terminal()
    terminal.look(1.0)
    assert not terminal.has_gone(1.0)
    there = False
    terminal.look(2.0)  # before the signal is taken
    assert terminal.has_gone(2.0)
    assert terminal.has_gone(2.0 + LATE_S / 2)
    assert not terminal.has_gone(2.0 + LATE_S), "an operator's"


def test_without_a_terminal_every_hangup_is_an_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlling_terminal, "is_there", lambda: False)
    assert not Terminal().has_gone(1.0)
