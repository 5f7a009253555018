"""Payloads before operators who have keys: is what they see signed, and how is that signed which they write?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from .._errors import PayloadRefused
from .._payloads.codecs import Codec, JsonCodec, MsgpackCodec, PickleCodec
from .._payloads.keyring import ENVIRONMENT, Keyring
from .._payloads.payload_format import PayloadFormat
from .._payloads.signed_envelope import JOB, MARK, check, opened, parse
from .admin_scripts import Looked, LookedDead

if TYPE_CHECKING:
    from redis.asyncio import Redis

Seen = TypeVar("Seen", Looked, LookedDead)

#: Told instead of a run that nobody could sign.
NO_KEYS = "payloads are signed here, and there are no keys: set ARQ_SIGNING_KEYS, or give --settings that have signing"


def keys_of_environment() -> Keyring | None:
    """The keys that the environment has for commands and the dashboard; None: it has none.

    Raises:
        ValueError: they are wrong.
    """
    return Keyring.from_env() if os.environ.get(ENVIRONMENT) else None


def keyring_of(redis: Redis) -> Keyring | None:
    """The keys of a client, if it has some."""
    found: PayloadFormat | None = getattr(redis, "payload_format", None)
    return None if found is None else found.keyring


def distrust(redis: Redis, kind: bytes, job_id: str, queue: str | None, payload: bytes | None) -> str:
    """Why a payload or a result is not looked into; '': it is signed as it must be, or there are no keys here."""
    keyring = keyring_of(redis)
    if keyring is None or payload is None:
        return ""
    if not payload.startswith(MARK):
        return "it is not signed"
    try:
        check(keyring, parse(payload), kind, job_id, queue)
    except PayloadRefused as exc:
        return str(exc)
    return ""


def as_seen(redis: Redis, looked: Seen) -> Seen:
    """What is known of a payload; of one that is not there whole nothing, if there are keys: is it signed?"""
    return looked if keyring_of(redis) is None else looked._replace(seen=None)


def format_beside(redis: Redis, job_id: str, queue: str, payload: bytes) -> PayloadFormat | None:
    """How a result is written where this payload of a job stood; None: that is not known, or needs other keys."""
    keyring, is_encrypted = keyring_of(redis), False
    if payload.startswith(MARK) != (keyring is not None):
        return None
    if keyring is not None:
        try:
            envelope = parse(payload)
            is_encrypted, payload = envelope.is_encrypted, opened(keyring, envelope, JOB, job_id, queue)
        except PayloadRefused:
            return None
    codec = codec_of_body(payload)
    return None if codec is None else PayloadFormat(codec, [codec], keyring, encrypt=is_encrypted)


def codec_of_body(body: bytes) -> Codec | None:
    """The codec that has written something, by its first byte."""
    known: tuple[type[Codec], ...] = (PickleCodec, JsonCodec, MsgpackCodec)
    for make in known:
        if make.recognizes(make.__new__(make), body):
            try:
                return make()
            except ImportError:
                return None
    return None
