"""A few commands to the embedded server, in a process that has no use for a client library."""

import socket
from pathlib import Path

PATIENCE_S = 10.0
LONGEST_ANSWER_BYTES = 4096


class RedisSocket:
    """A connection to a Redis at a unix socket, which answers.

    Raises:
        OSError: nobody listens there, or it is not ready yet.
    """

    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.settimeout(PATIENCE_S)
            self._sock.connect(str(path))
            self._require(self.ask("PING"))
        except BaseException:
            self._sock.close()
            raise

    def ask(self, *words: str) -> bytes:
        """Send a command whose answer is one line; returns it.

        Raises:
            OSError: there is no answer.
        """
        encoded = [word.encode(errors="surrogateescape") for word in words]
        parts = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
        self._sock.sendall(b"*%d\r\n%b" % (len(words), parts))
        answer = b""
        while not answer.endswith(b"\r\n"):
            more = self._sock.recv(LONGEST_ANSWER_BYTES)
            if not more:
                raise ConnectionError("the server has hung up")
            answer += more
        return answer

    def save(self, directory: Path) -> None:
        """Have everything written to a file in this directory.

        Raises:
            OSError: it is not.
        """
        self._require(self.ask("CONFIG", "SET", "dir", str(directory)))
        self._require(self.ask("SAVE"))

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    @staticmethod
    def _require(answer: bytes) -> None:
        if not answer.startswith(b"+"):
            raise ConnectionError(answer.decode(errors="replace").strip())
