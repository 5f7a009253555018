"""The options `codec`, `accepts`, `signing`, `accept_unsigned` and `encrypt` of a client or a worker, put together."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from time import monotonic
from typing import Any

from .._errors import PayloadRefused, SerializationError
from .codecs import Codec, FunctionsCodec, JsonCodec, codec_of
from .keyring import Keyring
from .plain_json import PlainJob, PlainJson
from .serialization import Deserializer, Serializer, serialize_job
from .signed_envelope import JOB, MARK, RESULT, Seal, opened, parse, sealed_secretly, signed_entry
from .unreadable_records import PICKLE

logger = logging.getLogger("arq.worker")

#: Queues for which what is needed to sign is kept, times two.
_MOST_SEALS = 256
#: Seconds between two lines about payloads without a signature.
_SAY_EVERY_S = 60.0


class PayloadFormat:
    """How jobs and results become bytes, and which bytes are read.

    Args:
        codec: what is written.
        accepts: what is read: nothing else is decoded.
        keyring: what is written is signed, and what is read must be; None: neither.
        accept_unsigned: read also what is not signed.
        encrypt: encrypt what is written.

    Attributes:
        serializer, deserializer: of the codec, as the functions of `serialization` take them; None: pickle.
        unsigned: how many payloads without a signature were read.
    """

    def __init__(
        self,
        codec: Codec,
        accepts: Sequence[Codec],
        keyring: Keyring | None = None,
        *,
        accept_unsigned: bool = False,
        encrypt: bool = False,
    ) -> None:
        self.codec, self.accepts, self.keyring = codec, tuple(accepts), keyring
        self.accept_unsigned, self.encrypt = accept_unsigned, encrypt
        is_pickle = codec.name == "pickle"
        self.serializer: Serializer | None = None if is_pickle else codec.dumps
        self.deserializer: Deserializer | None = None if is_pickle else codec.loads
        self.unsigned = 0
        self._said_at_s = -_SAY_EVERY_S
        only = self.accepts[0] if len(self.accepts) == 1 else None
        self._reads_json: Callable[[bytes], dict[str, Any]] | None = None
        if type(only) is JsonCodec and not accept_unsigned:
            self._reads_json = only.reader(is_verified=keyring is not None)
        self._json = codec if type(codec) is JsonCodec and not encrypt else None
        #: of jobs and results of plain values; a mixture of codecs is for the time of a migration
        self._plain: PlainJson | None = None
        if self._json is not None and self._reads_json is not None:
            self._plain = PlainJson(self._json.plain_job, self._json.plain_result, self._json.plain_types)
        self._seals: dict[tuple[bytes, str | None], Seal] = {}

    def __repr__(self) -> str:
        return f"<PayloadFormat {self.describe()}>"

    @property
    def is_open(self) -> bool:
        """Whether a migration leaves something open to those who can write to Redis."""
        has_pickle = any(codec.name == "pickle" for codec in self.accepts)
        return self.accept_unsigned or (has_pickle and self.codec.name != "pickle")

    def describe(self) -> str:
        """The options, in words."""
        signed = (
            f", signed {'and encrypted ' * self.encrypt}with {self.keyring.ids[0]!r}" if self.keyring else ""
        )
        unsigned = ", also without a signature" * self.accept_unsigned
        return f"{self.codec.name}{signed}; accepts {self._accepted()}{unsigned}"

    def allow_types_of(self, functions: Iterable[Callable[..., Any]]) -> None:
        """Let payloads contain objects of the classes that functions name."""
        functions = list(functions)
        for codec in self.accepts:
            allow = getattr(codec, "allow_types_of", None)
            if allow is not None:
                allow(functions)

    # --- writing --------------------------------------------------------------------------------------------------

    def write_job(
        self,
        function: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        job_try: int | None,
        enqueue_ms: int,
        job_id: str,
        queue: str,
    ) -> bytes:
        """The payload of a job.

        Raises:
            SerializationError: it can't be written.
        """
        body = None
        if self._json is not None and not kwargs:
            body = self._json.plain_job(job_try, function, args, enqueue_ms)
        if body is None:
            body = serialize_job(function, args, kwargs, job_try, enqueue_ms, serializer=self.serializer)
        if self.encrypt and self.keyring is not None:
            shown = {"t": job_try, "f": function, "et": enqueue_ms}
            return sealed_secretly(self.keyring, JOB, job_id, queue, body, shown)
        if self.keyring is None:
            return body
        return (self._seals.get((JOB, queue)) or self._seal(JOB, queue)).sealed(job_id, body)

    def plain_result(self, queue: str, job_id: str, fields: tuple[Any, ...]) -> bytes | None:
        """What stands in Redis of a result of plain values without keyword arguments, faster than by `serialize_result`
        and `seal_result`; None: it is for these. `fields`: what `serialize_result` takes.
        """
        body = None if self._json is None else self._json.plain_result(*fields)
        if body is None or self.keyring is None:
            return body
        return (self._seals.get((RESULT, queue)) or self._seal(RESULT, queue)).sealed(job_id, body)

    def seal_result(
        self, body: bytes | None, job_id: str | bytes, queue: str, shown: Callable[[], dict[str, Any]]
    ) -> bytes | None:
        """What stands in Redis of a result that the codec has written; `shown`: what of it need not be secret."""
        if not body or self.keyring is None:
            return body
        if self.encrypt:
            return sealed_secretly(self.keyring, RESULT, job_id, queue, body, shown())
        return (self._seals.get((RESULT, queue)) or self._seal(RESULT, queue)).sealed(job_id, body)

    def sign_entry(self, entry: bytes, job_id: str | bytes, queue: str, payload: bytes) -> bytes:
        """What is kept of a dead job beside its payload, signed where payloads are."""
        if self.keyring is None:
            return entry
        return signed_entry(self.keyring, job_id, queue, payload, entry)

    def _seal(self, kind: bytes, queue: str) -> Seal:
        """What signs, kept for the next time."""
        assert self.keyring is not None
        if len(self._seals) >= _MOST_SEALS:
            self._seals.clear()
        found = self._seals[kind, queue] = Seal(self.keyring, kind, queue)
        return found

    def write_plain_result(
        self,
        queue: str,
        job_id: str,
        function: str,
        job_try: int,
        args: str,
        enqueue_ms: int,
        value: Any,
        start_ms: int,
        finish_ms: int,
    ) -> bytes | None:
        """What stands in Redis of the result of a job that `read_plain_job` has read; None: write it as any other.

        Args:
            args: as they were read.
        """
        plain, written = self._plain, None if self._json is None else self._json.plain_value(value)
        if plain is None or written is None:
            return None
        body = plain.write_result(
            function, job_try, args, enqueue_ms, written, start_ms, finish_ms, queue, job_id
        )
        if body is None or self.keyring is None:
            return body
        return (self._seals.get((RESULT, queue)) or self._seal(RESULT, queue)).sealed(job_id, body)

    # --- reading --------------------------------------------------------------------------------------------------

    def job_reader(self, job_id: str | bytes, queue: str) -> Deserializer:
        """What reads the payload of this job."""
        return functools.partial(self._read, JOB, job_id, queue)

    def read_plain_job(self, payload: bytes, job_id: str, queue: str) -> PlainJob | Deserializer:
        """A job without arguments by name that begins as one before; else what reads it."""
        plain, seal = self._plain, self._seals.get((JOB, queue))
        if plain is None or (seal is None and self.keyring is not None):
            return self.job_reader(job_id, queue)
        body = payload if seal is None else seal.body_of(job_id, payload)
        if body is None or body[:1] != b"{":
            return self.job_reader(job_id, queue)
        return plain.read_job(body) or functools.partial(self._read_and_note, body)

    def _read_and_note(self, body: bytes, _payload: bytes) -> dict[str, Any]:
        """What stands in a job whose signature is verified, and what the next one of its kind looks like."""
        found = self._decoded_body(body, is_verified=self.keyring is not None)
        if self._plain is not None and not found.get("k"):
            self._plain.note_job(body, found.get("f"))
        return found

    def _decoded_body(self, body: bytes, *, is_verified: bool) -> dict[str, Any]:
        if self._reads_json is not None and body[:1] == b"{":
            return self._reads_json(body)
        return self._decoded(body, is_verified=is_verified)

    def result_reader(self, job_id: str | bytes, queue: str | None) -> Deserializer:
        """What reads the result of this job; `queue` None: of any queue."""
        return functools.partial(self._read, RESULT, job_id, queue)

    def _read(self, kind: bytes, job_id: str | bytes, queue: str | None, data: bytes) -> dict[str, Any]:
        body, seal = None, self._seals.get((kind, queue))
        if seal is not None:
            body = seal.body_of(job_id, data)
        if body is None:
            body = self._opened(kind, job_id, queue, data)
        return self._decoded_body(body, is_verified=self.keyring is not None and data.startswith(MARK))

    def _opened(self, kind: bytes, job_id: str | bytes, queue: str | None, data: bytes) -> bytes:
        if data.startswith(MARK):
            if self.keyring is not None and queue is not None and (kind, queue) not in self._seals:
                self._seal(kind, queue)  # what else is signed so is read faster
            return opened(self.keyring, parse(data), kind, job_id, queue)
        if self.keyring is not None:
            if not self.accept_unsigned:
                raise PayloadRefused("it is not signed (only accept_unsigned=True takes that)")
            self._count_unsigned()
        return data

    def _count_unsigned(self) -> None:
        self.unsigned += 1
        now_s = monotonic()
        if now_s - self._said_at_s >= _SAY_EVERY_S:
            self._said_at_s = now_s
            logger.warning("%d payloads without a signature were accepted (accept_unsigned)", self.unsigned)

    def _decoded(self, body: bytes, *, is_verified: bool = False) -> dict[str, Any]:
        is_pickle = body.startswith(PICKLE)
        for codec in self.accepts:
            if is_pickle if codec.name == "pickle" else not is_pickle and codec.recognizes(body):
                return codec.loads_verified(body) if is_verified else codec.loads(body)
        what = "pickle" if is_pickle else f"something that begins with {body[:8]!r}"
        raise PayloadRefused(
            f"it is {what}, and accepted here is {self._accepted()} (accepts)", elsewhere=True
        )

    def _accepted(self) -> str:
        return " and ".join(codec.name for codec in self.accepts)

    # --- for code that knows of serializers only ------------------------------------------------------------------

    def dump(self, data: dict[str, Any]) -> bytes:
        """As `job_serializer` of a client.

        Raises:
            SerializationError: payloads are signed: for that the id must be known.
        """
        if self.keyring is not None:
            raise SerializationError("payloads are signed here: they are written with the job's id")
        return self.codec.dumps(data)

    def load(self, data: bytes) -> dict[str, Any]:
        """As `job_deserializer` of a client.

        Raises:
            PayloadRefused: it is not accepted; or payloads are signed: for that the id must be known.
        """
        if self.keyring is not None:
            raise PayloadRefused("payloads are signed here: they are read with the job's id, as by Job.info")
        return self._decoded(data)


def payload_format(
    codec: str | Codec | None = None,
    accepts: Sequence[str | Codec] | None = None,
    signing: Keyring | None = None,
    *,
    accept_unsigned: bool = False,
    encrypt: bool = False,
    job_serializer: Serializer | None = None,
    job_deserializer: Deserializer | None = None,
) -> PayloadFormat | None:
    """The format that options say; None: pickle, or serializers of the application's, unsigned.

    Raises:
        ValueError, TypeError, ImportError: one of them is wrong, or does not fit another one.
    """
    _check_signing(signing, accept_unsigned=accept_unsigned, encrypt=encrypt)
    own = job_serializer is not None or job_deserializer is not None
    if own and (codec is not None or accepts is not None):
        raise ValueError("give codec and accepts, or job_serializer and job_deserializer, not both")
    if own:
        if signing is None:
            return None
        writes: Codec = FunctionsCodec(job_serializer, job_deserializer)
        return PayloadFormat(writes, [writes], signing, accept_unsigned=accept_unsigned, encrypt=encrypt)
    writes = codec_of("codec", "pickle" if codec is None else codec)
    reads = _accepted(accepts, writes)
    if writes.name == "pickle" and len(reads) == 1 and signing is None:
        return None
    if writes.name != "pickle" and any(one.name == "pickle" for one in reads):
        warnings.warn(
            f"codec {writes.name!r} is written, but pickle is accepted: whoever can write to Redis can still run code "
            "here. Take 'pickle' out of accepts when no pickled job or result is left",
            stacklevel=4,
        )
    return PayloadFormat(writes, reads, signing, accept_unsigned=accept_unsigned, encrypt=encrypt)


def _check_signing(signing: Keyring | None, *, accept_unsigned: bool, encrypt: bool) -> None:
    if signing is not None and not isinstance(signing, Keyring):
        raise TypeError(f"signing must be an arq.codecs.Keyring, not {type(signing).__name__}")
    if signing is None and (accept_unsigned or encrypt):
        raise ValueError(f"{'encrypt' if encrypt else 'accept_unsigned'} needs signing=Keyring(...)")
    if encrypt and find_spec("cryptography") is None:
        raise ImportError("encrypt=True needs a package: pip install 'arq[crypto]'")


def _accepted(accepts: Sequence[str | Codec] | None, writes: Codec) -> list[Codec]:
    if accepts is None:
        return [writes]
    if isinstance(accepts, str | bytes) or not isinstance(accepts, Iterable):
        raise TypeError(f"accepts must be a list of codecs, not {accepts!r}")
    reads = [writes if one == writes.name else codec_of("accepts", one) for one in accepts]
    if all(one is not writes and one.name != writes.name for one in reads):
        raise ValueError(f"accepts must have {writes.name!r}, too, which codec says is written here")
    return reads
