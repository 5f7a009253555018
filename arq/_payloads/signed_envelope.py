"""The envelope of signed payloads: who has signed what for which job, and the encrypted ones. No I/O.

    1 byte 0x01, 1 byte version, 1 byte `j` (job) or `r` (result), or `J`, `R` where the body is encrypted,
    1 byte + id of the key, 2 bytes + name of the queue, 4 bytes + what stays in the clear of what is encrypted (JSON),
    32 bytes HMAC-SHA256, the body: what the codec has written.

The signature is over all of that but itself, and the job's id. The function's name stands in the body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import PayloadRefused
from .._printable import printable

if TYPE_CHECKING:
    from .keyring import Keyring

#: What an envelope begins with, and its version.
MARK, VERSION = b"\x01", 1
JOB, RESULT = b"j", b"r"
_MAC_BYTES = 32
_SALT_BYTES, _NONCE_BYTES = 20, 12
_LONGEST_SHOWN = 60


class Envelope(NamedTuple):
    """An envelope as it stands in Redis; nothing of it is verified.

    Attributes:
        kind: JOB or RESULT.
        is_encrypted: whether the body is.
        key_id: of the key that has signed it.
        queue: name of the queue of the job.
        shown: of one that is encrypted, what stays in the clear: JSON.
        signature: 32 bytes.
        body: what was signed.
    """

    kind: bytes
    is_encrypted: bool
    key_id: str
    queue: bytes
    shown: bytes
    signature: bytes
    body: bytes

    def head(self) -> bytes:
        """What stands before the signature."""
        kind = self.kind.upper() if self.is_encrypted else self.kind
        key_id = self.key_id.encode(errors="surrogateescape")
        parts = (
            MARK,
            bytes((VERSION,)),
            kind,
            bytes((len(key_id),)),
            key_id,
            struct.pack(">H", len(self.queue)),
            self.queue,
            struct.pack(">I", len(self.shown)),
            self.shown,
        )
        return b"".join(parts)


#: How lengths are written, of usual ids.
_SIZES_READY = 129
_SIZES = tuple(size.to_bytes(4, "big") for size in range(_SIZES_READY))
#: What is signed begins with it, so that it is nothing else that was ever signed with a key.
_BEGIN = b"arq payload 1"


def _rest(job_id: str | bytes, body: bytes) -> bytes:
    """What is signed after the head. All parts but the last say how long they are."""
    raw_id = to_bytes(job_id)
    return len(raw_id).to_bytes(4, "big") + raw_id + body


class Seal:
    """Signs payloads of one kind for one queue, and knows those again that were signed so.

    Args:
        keyring: its first key signs.
        kind: JOB or RESULT.
        queue: name of the queue.
    """

    __slots__ = ("_head", "_inner", "_mac_at", "_outer")

    def __init__(self, keyring: Keyring, kind: bytes, queue: str) -> None:
        key_id = keyring.ids[0]
        signer = keyring.signer(key_id)
        assert signer is not None
        self._head = Envelope(kind, False, key_id, to_bytes(queue), b"", b"", b"").head()
        self._mac_at = len(self._head)
        self._inner, self._outer = signer.after(_BEGIN + self._head).hashes

    def sealed(self, job_id: str | bytes, body: bytes) -> bytes:
        """The signed payload."""
        return self._head + self._mac(job_id, body) + body

    def body_of(self, job_id: str | bytes, data: bytes) -> bytes | None:
        """What this has signed for this job; None: it has not, and somebody must look closer."""
        if not data.startswith(self._head):
            return None
        begin, end = self._mac_at, self._mac_at + _MAC_BYTES
        body = data[end:]
        return body if body and hmac.compare_digest(self._mac(job_id, body), data[begin:end]) else None

    def _mac(self, job_id: str | bytes, body: bytes) -> bytes:
        """The signature; the same as `check` computes, without calls in between: it is for each job."""
        raw_id = job_id if type(job_id) is bytes else job_id.encode("utf-8", "surrogateescape")  # type: ignore[union-attr]
        size = len(raw_id)
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update((_SIZES[size] if size < _SIZES_READY else size.to_bytes(4, "big")) + raw_id + body)
        outer.update(inner.digest())
        return outer.digest()


def to_bytes(name: str | bytes) -> bytes:
    """An id or a queue's name as Redis has it."""
    return name if isinstance(name, bytes) else name.encode(errors="surrogateescape")


def sealed_secretly(
    keyring: Keyring, kind: bytes, job_id: str | bytes, queue: str, body: bytes, shown: dict[str, Any]
) -> bytes:
    """Encrypt and sign a payload.

    Args:
        kind: JOB or RESULT.
        body: what the codec has written.
        shown: what of it stays in the clear.
    """
    key_id = keyring.ids[0]
    signer = keyring.signer(key_id)
    assert signer is not None
    head = Envelope(kind, True, key_id, to_bytes(queue), json.dumps(shown).encode(), b"", b"").head()
    encrypted = _encrypted(keyring, key_id, body, head + _rest(job_id, b""))
    return head + signer.mac(_BEGIN + head + _rest(job_id, encrypted)) + encrypted


def parse(data: bytes) -> Envelope:
    """The parts of an envelope, unverified.

    Raises:
        PayloadRefused: it is truncated, or of another version.
    """
    version = data[1] if len(data) > 1 else VERSION
    if version != VERSION:
        raise PayloadRefused(
            f"its envelope is of version {version}, and this arq reads version {VERSION}", elsewhere=True
        )
    try:
        mode, at = data[2:3], 4 + data[3]
        key_id = data[4:at].decode(errors="surrogateescape")
        queue, at = _sized(data, at, ">H")
        shown, at = _sized(data, at, ">I")
        signature, body = data[at : at + _MAC_BYTES], data[at + _MAC_BYTES :]
    except (IndexError, struct.error):
        body = mode = b""
    if not body or mode.lower() not in (JOB, RESULT):
        raise PayloadRefused("its envelope is truncated or damaged")
    return Envelope(mode.lower(), mode.isupper(), key_id, queue, shown, signature, body)


def _sized(data: bytes, at: int, form: str) -> tuple[bytes, int]:
    (size,) = struct.unpack_from(form, data, at)
    begin = at + struct.calcsize(form)
    return data[begin : begin + size], begin + size


def opened(
    keyring: Keyring | None, envelope: Envelope, kind: bytes, job_id: str | bytes, queue: str | None
) -> bytes:
    """The body of an envelope, verified and decrypted.

    Args:
        keyring: None: the signature is ignored, as whoever has no keys trusts everybody who can write to Redis.
        kind: what it must be, JOB or RESULT.
        queue: that it must be for; None: any.

    Raises:
        PayloadRefused: it must not be used.
    """
    if keyring is None:
        if envelope.is_encrypted:
            raise PayloadRefused("it is encrypted, and there are no keys here (signing=)", elsewhere=True)
        return envelope.body
    check(keyring, envelope, kind, job_id, queue)
    if not envelope.is_encrypted:
        return envelope.body
    return _decrypted(keyring, envelope, envelope.head() + _rest(job_id, b""))


def check(keyring: Keyring, envelope: Envelope, kind: bytes, job_id: str | bytes, queue: str | None) -> None:
    """Verify an envelope; what it is for as of `opened`.

    Raises:
        PayloadRefused: it is not what it should be.
    """
    head, signer = envelope.head(), keyring.signer(envelope.key_id)
    key = _short(envelope.key_id)
    if signer is None:
        known = ", ".join(keyring.ids)
        raise PayloadRefused(
            f"it is signed with key {key}, which is not in the keyring ({known})", elsewhere=True
        )
    signature = signer.mac(_BEGIN + head + _rest(job_id, envelope.body))
    if not hmac.compare_digest(signature, envelope.signature):
        raise PayloadRefused(f"its signature, with key {key}, is not that of this job id and content")
    if envelope.kind != kind:
        raise PayloadRefused("it is a signed job in the place of a result, or the reverse")
    if queue is not None and to_bytes(queue) != envelope.queue:
        signed_for = _short(envelope.queue.decode(errors="replace"))
        raise PayloadRefused(f"it is signed for queue {signed_for}, and this is {_short(queue)}")


_ENTRY_END = re.compile(rb',"sig":"([^":]{1,32}):([0-9a-f]{64})"}\Z')


def _entry_message(job_id: str | bytes, queue: str, payload: bytes, entry: bytes) -> bytes:
    name = to_bytes(queue)
    parts = (_BEGIN, b"d", struct.pack(">H", len(name)), name, hashlib.sha256(payload).digest())
    return b"".join(parts) + _rest(job_id, entry)


def signed_entry(keyring: Keyring, job_id: str | bytes, queue: str, payload: bytes, entry: bytes) -> bytes:
    """What is kept of a dead job, signed.

    Args:
        payload: of the job, which is kept beside it.
        entry: JSON.
    """
    key_id = keyring.ids[0]
    signer = keyring.signer(key_id)
    assert signer is not None
    signature = signer.mac(_entry_message(job_id, queue, payload, entry)).hex()
    return entry[:-1] + f',"sig":"{key_id}:{signature}"}}'.encode()


def is_entry_signed(keyring: Keyring, job_id: str | bytes, queue: str, payload: bytes, entry: bytes) -> bool:
    """Whether what is kept of a dead job is signed by one of the keys."""
    found = _ENTRY_END.search(entry)
    signer = keyring.signer(found[1].decode(errors="replace")) if found else None
    if found is None or signer is None:
        return False
    bare = entry[: found.start()] + b"}"
    signature = signer.mac(_entry_message(job_id, queue, payload, bare))
    return hmac.compare_digest(signature.hex().encode(), found[2])


def _short(name: str) -> str:
    return repr(printable(name[:_LONGEST_SHOWN]))


def _cipher(key: bytes | None) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as exc:
        raise PayloadRefused("it is encrypted: pip install 'arq[crypto]'", elsewhere=True) from exc
    return AESGCM(key or b"")


def _encrypted(keyring: Keyring, key_id: str, body: bytes, beside: bytes) -> bytes:
    """AES-256-GCM with a key of its own for each message, so that no number of messages is too many for a key."""
    salt = secrets.token_bytes(_SALT_BYTES + _NONCE_BYTES)
    cipher = _cipher(keyring.message_key(key_id, salt[:_SALT_BYTES]))
    encrypted: bytes = cipher.encrypt(salt[_SALT_BYTES:], body, beside)
    return salt + encrypted


def _decrypted(keyring: Keyring, envelope: Envelope, beside: bytes) -> bytes:
    salt, body = envelope.body[: _SALT_BYTES + _NONCE_BYTES], envelope.body[_SALT_BYTES + _NONCE_BYTES :]
    cipher = _cipher(keyring.message_key(envelope.key_id, salt[:_SALT_BYTES]))
    try:
        decrypted: bytes = cipher.decrypt(salt[_SALT_BYTES:], body, beside)
    except Exception as exc:
        raise PayloadRefused("it can't be decrypted") from exc
    return decrypted


def shown_part(envelope: Envelope) -> dict[str, Any]:
    """What stays in the clear of an encrypted payload."""
    try:
        found = json.loads(envelope.shown)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
