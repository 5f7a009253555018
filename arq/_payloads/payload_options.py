"""The options of payloads where none or some are given: what they need is imported for those that have some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .serialization import Deserializer, Serializer

if TYPE_CHECKING:
    from .codecs import Codec
    from .keyring import Keyring
    from .payload_format import PayloadFormat

_NONE = (None, None, None, False, False)


def format_of(
    job_serializer: Serializer | None,
    job_deserializer: Deserializer | None,
    *,
    codec: str | Codec | None = None,
    accepts: Sequence[str | Codec] | None = None,
    signing: Keyring | None = None,
    accept_unsigned: bool = False,
    encrypt: bool = False,
) -> PayloadFormat | None:
    """The format that options say; None: pickle, or serializers of the application's, unsigned.

    Raises:
        ValueError, TypeError, ImportError: one of them is wrong, or does not fit another one.
    """
    if (codec, accepts, signing, accept_unsigned, encrypt) == _NONE:
        return None
    from .payload_format import payload_format

    return payload_format(
        codec,
        accepts,
        signing,
        accept_unsigned=accept_unsigned,
        encrypt=encrypt,
        job_serializer=job_serializer,
        job_deserializer=job_deserializer,
    )
