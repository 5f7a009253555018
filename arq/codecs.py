"""How jobs and results are written: codecs, keys that sign and encrypt, and classes that may be made of payloads.

    pool = await create_pool(settings, codec="json", signing=Keyring.from_env())

See docs/how-to/signed-jobs.md.
"""

from __future__ import annotations

from ._errors import JobFailed, PayloadRefused, RemoteTraceback
from ._payloads.codecs import Codec, JsonCodec, MsgpackCodec, PickleCodec
from ._payloads.data_types import register
from ._payloads.keyring import Keyring

__all__ = [
    "Codec",
    "JobFailed",
    "JsonCodec",
    "Keyring",
    "MsgpackCodec",
    "PayloadRefused",
    "PickleCodec",
    "RemoteTraceback",
    "register",
]

for _public in (Codec, JsonCodec, MsgpackCodec, PickleCodec, Keyring):
    _public.__module__ = __name__
