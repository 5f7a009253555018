"""What is asked and answered at the control socket: one JSON object on one line each way, then the end."""

import json
from typing import NamedTuple, Self

from ..pool.status import PoolStatus, read_status

VERSION = 1


class Request(NamedTuple):
    """A command. `wait`: the answer comes when it is done. `to` (of `scale`) and `slot` (of `dump`) may be anything."""

    command: str
    wait: bool = False
    to: object = None
    slot: object = None

    def encode(self) -> bytes:
        """One line."""
        operands = {
            name: value for name, value in (("to", self.to), ("slot", self.slot)) if value is not None
        }
        return json.dumps({"v": VERSION, "cmd": self.command, "wait": self.wait, **operands}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """What a client has written.

        Raises:
            ValueError: it is no request.
        """
        try:
            body = json.loads(line)
        except RecursionError as error:
            raise ValueError("a request without an end") from error
        match body:
            case {"cmd": str(command)}:
                return cls(command, bool(body.get("wait")), body.get("to"), body.get("slot"))
        raise ValueError("not a request")


class Answer(NamedTuple):
    """What became of it. `said` and `error` are for people, `code` is the pool's exit code; None is left out.

    `received` is all that a client has got, also what a later version may have added.
    """

    ok: bool
    error: str | None = None
    trace: str | None = None
    code: int | None = None
    said: str | None = None
    status: PoolStatus | None = None
    received: str = ""

    def encode(self) -> bytes:
        """One line."""
        members = {
            "ok": self.ok,
            "error": self.error,
            "trace": self.trace,
            "code": self.code,
            "said": self.said,
            "status": self.status and self.status.as_json(),
        }
        return (
            json.dumps({name: value for name, value in members.items() if value is not None}).encode() + b"\n"
        )

    @classmethod
    def read(cls, data: bytes) -> Self:
        """What a supervisor has written.

        Raises:
            ValueError: it is no answer.
        """
        body = json.loads(data)
        try:
            texts = {name: body.get(name) for name in ("error", "trace", "code", "said")}
            status = read_status(body["status"]) if body.get("status") else None
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError("what it says is no answer") from error
        return cls(bool(body.get("ok")), **texts, status=status, received=json.dumps(body))
