"""`--ctl COMMAND`: ask a running pool, and print what it says."""

import json
from pathlib import Path

from ..console import complain, tell
from ..control.client import UnreachableError, ask
from ..control.protocol import Answer, Request
from ..exit_codes import ProbeCode
from .status_table import status_table


def run_ctl(path: Path, command: str, operand: str, wait: bool, as_json: bool) -> int:
    """Do what `--ctl` asks for; prints the answer, returns the exit code."""
    number = int(operand) if operand else None
    operands = {"to": number} if command == "scale" else {"slot": number}
    try:
        answer = ask(path, Request(command, wait, **operands))
    except UnreachableError as error:
        complain(str(error))
        return ProbeCode.UNKNOWN
    if answer.ok and answer.status is not None:
        text = json.dumps(json.loads(answer.received)["status"]) if as_json else status_table(answer.status)
        return ProbeCode.OK if tell(text + "\n") else ProbeCode.FAILED
    if as_json:
        tell(answer.received + "\n")
    if not answer.ok:
        _complain(command, answer, as_json)
        return ProbeCode.FAILED
    if not as_json:
        tell(f"{command}: {answer.said or 'done'}\n")
    return answer.code or ProbeCode.OK


def _complain(command: str, answer: Answer, as_json: bool) -> None:
    if as_json:
        return
    trace = answer.trace.rstrip("\n") + "\n" if answer.trace else ""
    complain(f"{command}: {answer.error or 'no answer: the supervisor has ended'}", trace)
