"""Reads payloads and results without trust in who wrote them: nothing is imported, called or made for them. No I/O.

A pickle becomes plain values with recipes in them (see `pickle_errors`): what would have been called, with what; so do
JSON and msgpack with tags. Signatures are not looked at: what is read here goes to an operator's eyes only.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

from .._errors import PayloadRefused
from .._payloads.codecs import MSGPACK_MAPS
from .._payloads.pickle_errors import Recipe, RecipeReader, explain
from .._payloads.signed_envelope import MARK, parse, shown_part
from .._payloads.tagged_values import PLAIN_TAGS, TAG, TYPE, VALUE
from .._payloads.unreadable_records import PICKLE

#: What pickles say that would make Python's reader ask for memory without need: numbers of remembered objects.
_LARGE_NUMBERS = re.compile(rb"r.{3}[^\x00]|p[0-9]{7}", re.DOTALL)
_LARGEST_NUMBER = 1_000_000
#: So many tuples may lie in one another: Python's C code goes down in them without a limit.
_MOST_TUPLES = 5_000
_TUPLES = (b"t", b"\x85", b"\x86", b"\x87")
JSON = b"{"
#: Stands in what was read of an encrypted payload.
ENCRYPTED = "encrypted"


#: Stands there instead of what pydantic does not show, either.
_HIDDEN = "**********"


class UnreadableError(Exception):
    """Bytes can't be read; the text says why."""


class _Attribute:
    """What a pickle gets for `getattr`: that is how it names methods of classes. It has nothing that could be set."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[str, str], Any]) -> None:
        self._find = find

    def __call__(self, owner: Any, name: Any) -> Any:
        """The recipes of a method."""
        if not (isinstance(owner, type) and issubclass(owner, Recipe) and isinstance(name, str)):
            raise pickle.UnpicklingError("it wants an attribute of what is no class")
        return self._find(owner.module, f"{owner.name}.{name}")


class _Reader(RecipeReader):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _Attribute(super().find_class)
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        # not shown: it may have no end
        return self.find_class("persistent", "object")


def read(data: bytes) -> dict[str, Any]:
    """The dict of a payload or a result.

    Raises:
        UnreadableError: there is none.
    """
    try:
        found = _opened(data) if data.startswith(MARK) else _read_body(data)
    except UnreadableError:
        raise
    except Exception as exc:  # whatever broken bytes lead to
        raise UnreadableError(explain(exc)) from exc
    if not isinstance(found, dict):
        raise UnreadableError("it is no dict")
    return found


def _unpickled(data: bytes) -> Any:
    if sum(data.count(code) for code in _TUPLES) > _MOST_TUPLES and _count_tuples(data) > _MOST_TUPLES:
        raise UnreadableError(f"it has more than {_MOST_TUPLES} tuples")
    if _LARGE_NUMBERS.search(data):
        _check_numbers(data)
    return _Reader(io.BytesIO(data)).load()


def _count_tuples(data: bytes) -> int:
    return sum(opcode.name.startswith("TUPLE") for opcode, _, _ in pickletools.genops(data))


def _check_numbers(data: bytes) -> None:
    """Most of these bytes are text; then nothing is wrong."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("LONG_BINPUT", "PUT") and not 0 <= (argument or 0) <= _LARGEST_NUMBER:
            raise UnreadableError("it is no pickle that pickle writes")


def _opened(data: bytes) -> Any:
    """What was signed; of what is encrypted that which is not."""
    try:
        envelope = parse(data)
    except PayloadRefused as exc:
        raise UnreadableError(str(exc)) from exc
    if not envelope.is_encrypted:
        return _read_body(envelope.body)
    return shown_part(envelope) | {"q": envelope.queue.decode(errors="surrogateescape"), ENCRYPTED: True}


def opened_part(head: bytes) -> Any:
    """Of an envelope of which only the first bytes are there: the first bytes of its body, or what is not encrypted.

    Raises:
        UnreadableError: it is damaged, or its queue has a longer name than that.
    """
    try:
        envelope = parse(head)
    except PayloadRefused as exc:
        raise UnreadableError(str(exc)) from exc
    return shown_part(envelope) | {ENCRYPTED: True} if envelope.is_encrypted else envelope.body


def _read_body(data: bytes) -> Any:
    if data.startswith(PICKLE):
        return _unpickled(data)
    if data.startswith(JSON):
        return json.loads(data, object_hook=_untagged)
    found = _from_msgpack(data) if data.startswith(MSGPACK_MAPS) else None
    if found is None:
        shown = repr(data[:20]) + ("…" if len(data) > 20 else "")
        raise UnreadableError(
            f"it is neither pickle nor JSON, a serializer of the application wrote it: {shown}"
        )
    return found


def _from_msgpack(data: bytes) -> Any:
    try:
        import msgpack
    except ImportError as exc:
        raise UnreadableError(
            "it is msgpack, which is not installed here: pip install 'arq[msgpack]'"
        ) from exc
    try:
        return msgpack.unpackb(
            data, raw=False, object_hook=_untagged, unicode_errors="surrogatepass", strict_map_key=False
        )
    except Exception:  # noqa: BLE001  (it only looked like msgpack)
        return None


def _untagged(found: dict[str, Any]) -> Any:
    """A plain value, or the recipe of what would be made of a tag."""
    tag = found.get(TAG)
    if not isinstance(tag, str):
        return found
    if tag in PLAIN_TAGS:
        return PLAIN_TAGS[tag](found)
    name = found.get("name" if tag == "exception" else TYPE)
    if not isinstance(name, str):
        return found
    module, _, qualname = name.partition(":")
    kind = RecipeReader(io.BytesIO()).find_class(module, qualname)
    value = _HIDDEN if tag == "pydantic" and name.startswith("pydantic:Secret") else found.get(VALUE)
    if tag == "exception":
        recipe = kind(*filter(None, [found.get("text")]))
        notes = [note for note in [*found.get("notes", []), found.get("traceback")] if note]
        if notes:
            recipe.__setstate__({"__notes__": notes})
        return recipe
    if isinstance(value, dict):
        return kind(**value)
    return kind(*value) if isinstance(value, list) else kind(value)


def text_at(found: dict[str, Any], key: str) -> str | None:
    """The text under a key; None if there is none."""
    value = found.get(key)
    return value if isinstance(value, str) else None


def ms_at(found: dict[str, Any], key: str) -> int | None:
    """The time or number under a key; None if there is none that could be one."""
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if abs(value) < 1e15 else None


def error_of(raw: Any) -> tuple[str, str]:
    """Type and text of an exception in a result."""
    if not isinstance(raw, Recipe):
        return "", raw if isinstance(raw, str) else ""
    kind = repr(type(raw)).removeprefix("builtins.")
    args = raw.args
    return kind, args[0] if len(args) == 1 and isinstance(args[0], str) else ""


def notes_of(raw: Any) -> list[str]:
    """The notes of an exception in a result: arq leaves a traceback there when it could not store the exception."""
    state = raw.state if isinstance(raw, Recipe) else None
    notes = state.get("__notes__") if isinstance(state, dict) else None
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
