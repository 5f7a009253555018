"""What a child writes into its pipe arrives whole, whoever writes in between."""

import os
from collections.abc import Callable

import pytest

from supervisor.ipc.child_end import ChildEnd
from supervisor.ipc.frames import Decoder
from supervisor.ipc.messages import BeatMessage, ByeMessage, DumpMessage, FromChild


class Interrupted(ChildEnd):
    """Writes in pieces, and is interrupted by a signal's handler behind the first of them."""

    handler: Callable[[], object] | None = None

    def _write(self, data: bytes) -> int:
        written = super()._write(data[:5])
        if (handler := self.handler) is not None:
            self.handler = None
            handler()
        return written


@pytest.mark.parametrize("is_sure", [False, True])
def test_a_handler_does_not_write_into_the_middle_of_a_line(is_sure: bool) -> None:
    read_fd, write_fd = os.pipe()
    try:
        line = Interrupted(write_fd)
        line.handler = lambda: line.send(DumpMessage((("id", "function"),)))
        said: FromChild = ByeMessage("stop") if is_sure else BeatMessage()
        (line.send_surely if is_sure else line.send)(said)
        line.send_surely(ByeMessage("burst"))
        decoder = Decoder()
        kinds = [frame.kind for frame in decoder.feed(os.read(read_fd, 65536))]
        assert kinds == [said.KIND, "dump", "bye"]
        assert decoder.dropped == 0
    finally:
        os.close(read_fd)
        os.close(write_fd)
