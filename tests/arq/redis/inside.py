"""What a worker does not show, for tests that wait for it or bring it about: the only place that looks into one."""

from __future__ import annotations

import pytest

from arq._redis.worker_connection import REPLY_TIMEOUT_S, Link
from arq._worker.commit_and_claim import Exchange
from arq._worker.context import Context
from arq._worker.crash_suspects import Suspects
from arq._worker.duty_times import DutyTimes
from arq._worker.main_loop import MainLoop
from arq._worker.poll_schedule import PollSchedule
from arq._worker.wake_tokens import Listener
from arq.worker import Worker


def main_loop(worker: Worker) -> MainLoop:
    """Its main loop, which holds its parts."""
    return worker._main_loop


def context(worker: Worker) -> Context:
    """What its parts share."""
    return main_loop(worker).context


def is_in_main(worker: Worker) -> bool:
    """Whether its main loop runs."""
    return context(worker).in_main


def clock_s(worker: Worker) -> float:
    """The time of its event loop."""
    return context(worker).clock()


def wait_for_answers(monkeypatch: pytest.MonkeyPatch, limit_s: float) -> None:
    """From now on workers take an answer for lost after this many seconds."""
    usual_s, *more = Link.__init__.__defaults__ or ()
    assert usual_s == REPLY_TIMEOUT_S
    monkeypatch.setattr(Link.__init__, "__defaults__", (limit_s, *more))


def wake_up(worker: Worker) -> None:
    """Let its main loop look what there is to do."""
    context(worker).activity.set()


def exchange(worker: Worker) -> Exchange:
    """What it says to Redis about jobs."""
    return context(worker).exchange()


def has_endings(worker: Worker) -> bool:
    """Whether it has still to write how jobs ended."""
    return exchange(worker).has_endings


def due(worker: Worker) -> DutyTimes:
    """When its duties are due; 0.0: now."""
    return main_loop(worker).duties.times


def poll(worker: Worker) -> PollSchedule:
    """When it looks at the queue."""
    return main_loop(worker).poll


def suspects(worker: Worker) -> Suspects:
    """Jobs that it must be careful with."""
    return main_loop(worker).suspects


def room(worker: Worker) -> int:
    """How many jobs it may take."""
    return main_loop(worker).slots.room()


def listens(worker: Worker) -> bool:
    """Whether it waits for tokens when it has nothing to do."""
    return main_loop(worker).idle.listener is not None


def listener(worker: Worker) -> Listener:
    """What waits for tokens."""
    found = main_loop(worker).idle.listener
    assert found is not None
    return found


def has_waiting_claim(worker: Worker) -> bool:
    """Whether a claim of it waits for a token."""
    return listens(worker) and listener(worker).has_claim
