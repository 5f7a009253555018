"""What the first and the last bytes of a payload say: its function, the first arguments, when it was enqueued. No I/O.

Lists are made of payloads that are as large as they like. To read each of them whole takes a millisecond for some
kilobytes, so of those that are large only so much is looked at as is shown.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from typing import Any, NamedTuple

from .._payloads.codecs import MSGPACK_MAPS
from .._payloads.pickle_errors import RecipeReader
from .._payloads.signed_envelope import MARK
from .._payloads.unreadable_records import PICKLE
from .restricted import JSON, UnreadableError, opened_part

#: Bytes of a payload that are looked at: the first and the last ones.
HEAD, TAIL = 2048, 64
#: Stands in what was read, behind what is there of the arguments.
MORE = "more"
#: The time of enqueueing at the end of a payload: as a pickle has it, and as JSON.
_PICKLED_TIME = re.compile(rb"et\x94?\x8a([\x01-\x08])(.+)u\.$", re.DOTALL)
_JSON_TIME = re.compile(rb'"et":\s*([0-9]{1,15})\}$')


class Preview(NamedTuple):
    """The first and the last bytes of a payload, and how many it has."""

    head: bytes
    tail: bytes
    size: int


def preview_of(payload: bytes) -> Preview:
    """That of a payload which is there whole."""
    return Preview(payload[:HEAD], payload[-TAIL:], len(payload))


def read_part(seen: Preview) -> dict[str, Any]:
    """What is known of a payload, as `restricted.read` tells it; under `MORE` that it is not all.

    Raises:
        UnreadableError: nothing is.
    """
    try:
        head = opened_part(seen.head) if seen.head.startswith(MARK) else seen.head
        found = head if isinstance(head, dict) else _first_pairs(head)
    except UnreadableError:
        raise
    except Exception as exc:  # whatever broken bytes lead to
        raise UnreadableError(f"{seen.size} bytes are too much to be read here") from exc
    if not isinstance(found.get("f"), str):
        raise UnreadableError(f"{seen.size} bytes are too much to be read here")
    at_ms = _time_at_end(seen.tail)
    return found | ({} if at_ms is None else {"et": at_ms}) | {MORE: True}


def _first_pairs(head: bytes) -> dict[str, Any]:
    """Keys and values of the dict that begins here."""
    if head.startswith(PICKLE):
        return _PartReader(head).pairs()
    if head.startswith(JSON):
        return _json_pairs(head.decode(errors="ignore"))
    if head.startswith(MSGPACK_MAPS):
        return _msgpack_pairs(head)
    return {}


def _time_at_end(tail: bytes) -> int | None:
    if found := _PICKLED_TIME.search(tail):
        number = found[2]
        return int.from_bytes(number, "little", signed=True) if len(number) == found[1][0] else None
    found = _JSON_TIME.search(tail)
    return int(found[1]) if found else None


def _json_pairs(text: str) -> dict[str, Any]:
    decoder, at, key = json.JSONDecoder(), 1, ""
    found: dict[str, Any] = {}
    try:
        while True:
            key, at = decoder.raw_decode(text, _behind_blanks(text, at))
            at = _behind_blanks(text, at + 1)
            value, at = decoder.raw_decode(text, at)
            found[str(key)] = value
            at += 1
    except ValueError:  # here it ends
        return found | {"a": _json_items(text[at:])} if key == "a" and "a" not in found else found


def _json_items(text: str) -> list[Any]:
    """The items of a list that breaks off, and what is there of a text among them."""
    decoder, at = json.JSONDecoder(), 1
    found: list[Any] = []
    try:
        while text.startswith("["):
            at = _behind_blanks(text, at)
            value, end = decoder.raw_decode(text, at)
            found.append(value)
            at = _behind_blanks(text, end) + 1
    except ValueError:  # here it ends
        if text[at : at + 1] == '"':
            found.append(text[at + 1 :])
    return found


def _behind_blanks(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())


def _msgpack_pairs(head: bytes) -> dict[str, Any]:
    import msgpack

    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogatepass")
    unpacker.feed(head)
    found: dict[str, Any] = {}
    try:
        for _ in range(unpacker.read_map_header()):
            key = unpacker.unpack()
            found[str(key)] = unpacker.unpack()
    except msgpack.OutOfData:  # here it ends
        pass
    return found


#: The reader that is written in Python: its stack can be seen.
_Unpickler: Any = pickle._Unpickler


class _PartReader(_Unpickler):  # type: ignore[misc]
    """Reads a pickle up to where it breaks off. As `RecipeReader` it makes and calls nothing."""

    def __init__(self, head: bytes) -> None:
        super().__init__(io.BytesIO(head))
        self._recipes = RecipeReader(io.BytesIO())

    def find_class(self, module: str, name: str) -> Any:
        return self._recipes.find_class(module, name)

    def persistent_load(self, _: Any) -> Any:
        return self.find_class("persistent", "object")

    def get_extension(self, _: int) -> None:
        raise pickle.UnpicklingError("numbers of a registry mean nothing here")

    def pairs(self) -> dict[str, Any]:
        """Keys and values of the dict that was begun."""
        try:
            whole = self.load()
            return whole if isinstance(whole, dict) else {}
        except Exception:  # noqa: BLE001  (here it ends)
            pass
        parts = [*self.metastack, self.stack]
        while len(parts) > 2:
            _put(parts[-2], _folded(parts.pop()))
        return _named(_folded(parts[-1])) if len(parts) == 2 else {}

    def load_frame(self) -> None:
        """All of it is read as one."""
        self.read(8)

    def load_text(self) -> None:
        """Also one that breaks off inside of a character."""
        size = int.from_bytes(self.read(4), "little")
        self.append(self.read(size).decode(errors="ignore"))

    def load_bytearray8(self) -> None:
        """Without asking for as much memory as it says."""
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(min(size, HEAD))))

    dispatch = dict(_Unpickler.dispatch)
    dispatch[pickle.FRAME[0]] = load_frame
    dispatch[pickle.BINUNICODE[0]] = load_text
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _folded(row: list[Any]) -> list[Any]:
    """A dict or a list of one item is begun before the item, and gets it in the end: put it there."""
    while True:
        if len(row) > 2 and row[-3] == {} and isinstance(row[-2], str):
            row = [*row[:-3], {row[-2]: row[-1]}]
        elif len(row) > 1 and row[-2] == []:
            row = [*row[:-2], [row[-1]]]
        else:
            return row


def _named(words: list[Any]) -> dict[str, Any]:
    """Keys and values that stand in a row. A tuple of up to three arguments that has not ended is its items."""
    found: dict[str, Any] = {}
    at = 0
    while at + 1 < len(words) and isinstance(words[at], str):
        if words[at] == "a" and not (
            isinstance(words[at + 1], tuple) and words[at + 2 : at + 3] in ([], ["k"])
        ):
            return found | {"a": tuple(words[at + 1 :])}
        found[words[at]] = words[at + 1]
        at += 2
    return found


def _put(around: list[Any], items: list[Any]) -> None:
    """What is there of a collection into what it was begun as: a tuple is made when it ends."""
    if around and isinstance(around[-1], list):
        around[-1].extend(items)
    elif around and isinstance(around[-1], dict):
        around[-1].update(_hashable_pairs(items))
    else:
        around.append(tuple(items))


def _hashable_pairs(items: list[Any]) -> dict[Any, Any]:
    return {
        key: value for key, value in zip(items[::2], items[1::2], strict=False) if isinstance(key, str | int)
    }
