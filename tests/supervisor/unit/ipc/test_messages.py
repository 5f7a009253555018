"""What parent and children say to each other: nothing is lost on the way, and nothing is said to nobody."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from supervisor.ipc import messages
from supervisor.ipc.codec import Message, read_message
from supervisor.ipc.frames import Decoder, Frame
from supervisor.ipc.job_stats import JobRow
from supervisor.ipc.messages import (
    FROM_CHILD,
    NO_LIMIT_S,
    OF_COPIES,
    TO_STEWARD,
    TO_WEB,
    TO_WORKER,
    BeatMessage,
    ByeMessage,
    ChangedMessage,
    CopiedMessage,
    CopyMessage,
    DumpMessage,
    FatalMessage,
    HeadcountMessage,
    HeldMessage,
    JobsMessage,
    LetInMessage,
    LoadedMessage,
    MetricsMessage,
    OutgoingMessage,
    PickMessage,
    QueueMessage,
    ReadyMessage,
    RedisMessage,
    RedisSettingsMessage,
    ReleasedMessage,
    ReleaseFailedMessage,
    RosterMessage,
    StatusMessage,
    SubjectMessage,
    UnloggedMessage,
)
from supervisor.ipc.roster import Entry, Roster
from supervisor.pool.events import Beat, Ready, Report
from supervisor.pool.job_counts import JobCounts
from supervisor.pool.status import Headcount, PoolStatus, SlotStatus, WorkerStatus
from tests.support.source import modules

ALL = {**FROM_CHILD, **TO_WORKER, **OF_COPIES, **TO_STEWARD, **TO_WEB}
COUNTS = JobCounts(1, 2, 3, 4, 5)
RUNNING = (("id", "function"),)
ROWS = [JobRow("function", "complete", 3, 0.5, [0] * 14 + [3])]
EXAMPLES = [
    LoadedMessage(),
    ReadyMessage(Report("q", "q:health-check", 3.0, 20.0, 30.0, 8, 2, "r1"), "settings"),
    BeatMessage(COUNTS, RUNNING, 12.5),
    HeldMessage(COUNTS, RUNNING),
    FatalMessage("boot", "ValueError: x", "Traceback ..."),
    ByeMessage("stop"),
    DumpMessage(RUNNING),
    JobsMessage(ROWS),
    UnloggedMessage(7),
    ChangedMessage(("a.py", "b.py")),
    ReleasedMessage("p:h:0:n", ("j1", "j2"), 2, "j1", is_trial=True),
    ReleaseFailedMessage("p:h:0:n", "refused"),
    RedisMessage("refused"),
    QueueMessage(7, 1.5),
    MetricsMessage("127.0.0.1:9090", "in use"),
    SubjectMessage("q", "settings"),
    PickMessage(is_allowed=True),
    OutgoingMessage("a.1", "a.0"),
    LetInMessage(2, is_first=True, is_quiet=True, previous_worker_id="p:h:0:m", cohort="a.1"),
    CopyMessage("{}"),
    CopiedMessage(7, "refused"),
    RedisSettingsMessage("r1", "settings"),
    HeadcountMessage(Headcount("running", 1, 1, 2, quiet=True)),
    StatusMessage(PoolStatus("p", workers=(SlotStatus(0, worker=WorkerStatus(0, 7, jobs=COUNTS)),)), ROWS),
    RosterMessage(
        Roster((Entry("p:h:0:n", 0, "r1", "k", COUNTS, 0.5, "died", "signal 9"),), (), COUNTS, "q")
    ),
]


def content(message: Any) -> dict[str, Any]:
    """Its members, by name."""
    return {one.name: getattr(message, one.name) for one in fields(message)}


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.KIND)
def test_a_message_survives_the_pipe(message: Message) -> None:
    (frame,) = Decoder().feed(message.encode())
    found = read_message(frame, ALL)
    assert found is not None
    assert type(found) is type(message)
    assert content(found) == content(message)


def test_there_is_an_example_of_each_kind_and_no_kind_beside() -> None:
    defined = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, Message) and "KIND" in vars(kind)
    }
    assert {type(example) for example in EXAMPLES} == set(ALL.values()) == defined
    assert len(ALL) == len(FROM_CHILD) + len(TO_WORKER) + len(OF_COPIES) + len(TO_STEWARD) + len(TO_WEB)


def said_and_heard() -> Iterator[tuple[str, bool]]:
    """Names of messages outside their own module: true where one is made, false where one is taken apart."""
    for module in modules("supervisor"):
        if module.name == messages.__name__:
            continue
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=ast.Name(id=name)):
                    yield name, True
                case ast.MatchClass(cls=ast.Name(id=name)):
                    yield name, False


def test_every_kind_has_a_sender_and_a_reader() -> None:
    """What a child says is read as an event, if not by its link."""
    found = set(said_and_heard())
    for kind in ALL.values():
        assert (kind.__name__, True) in found, f"nobody sends {kind.__name__}"
    for example in EXAMPLES:
        is_event = isinstance(example, messages.FromChild) and example.event(1) is not None
        name = type(example).__name__
        assert is_event or (name, False) in found, f"nobody reads {name}"


def test_what_is_missing_has_a_default() -> None:
    """A child may be of another version than its parent."""
    ready, beat = (read_message(Frame(kind, {}), FROM_CHILD) for kind in ("ready", "beat"))
    assert ready is not None
    assert beat is not None
    assert ready.event(1) == Ready(1, Report())
    assert beat.event(1) == Beat(1, JobCounts())
    assert read_message(Frame("hello", {"pid": 1}), FROM_CHILD) is None


def test_a_wait_without_a_limit_is_told_as_a_number() -> None:
    (frame,) = Decoder().feed(ReadyMessage(Report(completion_wait_s=float("inf"))).encode())
    assert ReadyMessage.read(frame).report.completion_wait_s == NO_LIMIT_S


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr([ReadyMessage(redis_text="secret"), RedisSettingsMessage("r", "secret")])
    assert "secret" not in repr(SubjectMessage("q", "secret"))
