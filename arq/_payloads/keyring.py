"""The keys by which payloads are signed and encrypted."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, NoReturn

#: The shortest key, in bytes: as long as the signature.
LEAST_BYTES = 32
ENVIRONMENT = "ARQ_SIGNING_KEYS"
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_BLOCK_BYTES = 64


class Signer:
    """HMAC-SHA256 with one key, which nothing shows, over messages that begin alike.

    Hash objects are copied: that is several times faster than to begin anew with each message.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        key = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def after(self, begin: bytes) -> Signer:
        """One for messages of which the begin is known."""
        new = Signer.__new__(Signer)
        new._inner, new._outer = self._inner.copy(), self._outer
        new._inner.update(begin)
        return new

    @property
    def hashes(self) -> tuple[hashlib._Hash, hashlib._Hash]:
        """The inner and the outer one of HMAC, to be copied."""
        return self._inner, self._outer

    def mac(self, message: bytes) -> bytes:
        """The signature of a message, 32 bytes; of what follows on the begin, if there is one."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "keys are not pickled: make a Keyring where it is needed, from the environment or a file"
        )


class Keyring:
    """Keys by their ids. The first one signs, all of them verify.

    Nothing shows the keys: no text of it, no pickle, no exception. Of each only what is derived from it is kept.

    Args:
        keys: id -> key, 32 bytes at least, which should be random: `secrets.token_bytes(32)`, or as text
            `secrets.token_urlsafe(32)`. Ids are letters, digits, `_`, `.` and `-`, up to 32 of them; they stand in
            payloads in the clear.

    Raises:
        TypeError: it is no mapping of texts to texts or bytes.
        ValueError: there is no key, one is too short, two are the same, or an id can't be one.
    """

    __slots__ = ("_derived",)

    def __init__(self, keys: Mapping[str, str | bytes]) -> None:
        problem, self._derived = _derived_from(keys)
        del keys  # tools that show the variables of a traceback show none of these
        if problem is not None:
            raise problem

    @classmethod
    def from_env(cls, name: str = ENVIRONMENT) -> Keyring:
        """Keys of an environment variable: `ID:KEY`, several with blanks or commas between them; the first one signs.

        Raises:
            ValueError: it is not set, or wrong.
        """
        return _parsed(
            cls, re.split(r"[\s,]+", os.environ.get(name, "").strip()), f"the environment variable {name}"
        )

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Keyring:
        """Keys of a file: a line `ID:KEY` for each, the first one signs. Empty lines and those with `#` are left out.

        Raises:
            OSError: it can't be read.
            ValueError: it is wrong.
        """
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
        return _parsed(
            cls, [line for line in lines if line and not line.startswith("#")], f"the file {os.fspath(path)}"
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys; that of the one that signs is the first."""
        return tuple(self._derived)

    def signer(self, key_id: str) -> Signer | None:
        """What signs with a key; None: there is no such key."""
        found = self._derived.get(key_id)
        return None if found is None else found[0]

    def message_key(self, key_id: str, salt: bytes) -> bytes | None:
        """The key that encrypts one message, 32 bytes; None: there is no such key."""
        found = self._derived.get(key_id)
        return None if found is None else found[1].mac(salt)

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(self.ids)}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __copy__(self) -> Keyring:
        return self

    def __deepcopy__(self, memo: Any) -> Keyring:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a Keyring is not pickled: make it where it is needed, from the environment or a file"
        )


def _derived_from(keys: Any) -> tuple[Exception | None, dict[str, tuple[Signer, Signer]]]:
    """A key to sign and one to encrypt for each; or what is wrong. Never says anything of a key."""
    derived: dict[str, tuple[Signer, Signer]] = {}
    if not isinstance(keys, Mapping):
        return TypeError(
            f"a Keyring is made of ids and keys, as in {{'k1': ...}}, not of {type(keys).__name__}"
        ), {}
    if not keys:
        return ValueError("a Keyring needs a key"), {}
    seen: set[bytes] = set()
    for key_id, key in keys.items():
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            return ValueError("the id of a key must be 1 to 32 letters, digits, '_', '.' or '-'"), {}
        if not isinstance(key, str | bytes):
            return TypeError(f"key {key_id!r} must be text or bytes, not {type(key).__name__}"), {}
        raw = key.encode(errors="surrogateescape") if isinstance(key, str) else key
        is_short, digest, secret = len(raw) < LEAST_BYTES, hashlib.sha256(raw).digest(), Signer(raw)
        del raw, key
        if is_short:
            return ValueError(
                f"key {key_id!r} is too short: {LEAST_BYTES} bytes at least, as secrets.token_urlsafe(32) makes it"
            ), {}
        if digest in seen:
            return ValueError(f"key {key_id!r} is the same as another one"), {}
        seen.add(digest)
        derived[key_id] = Signer(secret.mac(b"arq sign 1")), Signer(secret.mac(b"arq encrypt 1"))
    return None, derived


def _parsed(cls: type[Keyring], words: list[str], source: str) -> Keyring:
    keys: dict[str, str] = {}
    words = [word for word in words if word]
    problem: str | None = "" if words else "it has no key"
    for number, word in enumerate(words, 1):
        key_id, colon, key = word.partition(":")
        key = key.strip()
        if not colon or not key:
            problem = f"entry {number} is not ID:KEY"
        elif key_id.strip() in keys:
            problem = f"entry {number} has an id that stood before"
        keys[key_id.strip()] = key
        del word, key
    found, derived = _derived_from(keys)
    del keys, words
    problem = problem or (str(found) if found else None)
    if problem:
        raise ValueError(f"{source}: {problem}")
    keyring = cls.__new__(cls)
    keyring._derived = derived
    return keyring
