"""How jobs and results become bytes: pickle, JSON, msgpack, or a codec of the application's. No I/O."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Callable, Container, Iterable
from typing import Any

from .._printable import text_of
from .data_types import DataTypes, UnknownTypeError, types_named_by
from .importable_modules import ImportableModules
from .pickle_errors import CanNotRebuildError, CanNotWriteError, explain
from .tagged_values import TaggedValues
from .unreadable_records import PICKLE

#: What the bytes of a map of 1 to 15 items begin with, and those of larger ones.
MSGPACK_MAPS = (*(bytes([0x80 | items]) for items in range(1, 16)), b"\xde", b"\xdf")


class Codec:
    """Turns jobs and results into bytes. Derive from it for one of your own.

    Attributes:
        name: how `accepts` and messages call it.
    """

    name = ""

    def recognizes(self, data: bytes) -> bool:
        """Whether bytes look like those that this codec writes; of several that are accepted the first one is asked to
        read them. Never asked of what begins as a pickle, unless this is pickle.
        """
        return bool(data)

    def dumps(self, data: dict[str, Any]) -> bytes:
        """The bytes of the dict of a job or a result (the keys are those of arq's format).

        Raises:
            Exception: it can't be written.
        """
        raise NotImplementedError

    def loads(self, data: bytes) -> dict[str, Any]:
        """The reverse.

        Raises:
            Exception: it can't be read.
        """
        raise NotImplementedError

    def loads_verified(self, data: bytes) -> dict[str, Any]:
        """The same for bytes whose signature was verified: somebody has written them who has a key."""
        return self.loads(data)

    def __repr__(self) -> str:
        return f"<codec {self.name}>"


class PickleCodec(Codec):
    """arq's own format. Whoever can write to Redis can let readers run any code."""

    name = "pickle"

    def recognizes(self, data: bytes) -> bool:
        return data.startswith(PICKLE)

    def dumps(self, data: dict[str, Any]) -> bytes:
        return pickle.dumps(data)

    def loads(self, data: bytes) -> dict[str, Any]:
        found: dict[str, Any] = pickle.loads(data)
        return found


class _TaggedCodec(Codec):
    """Plain values, and tags for what is more than that.

    Args:
        types: classes of which objects may be made, beside those that are registered.
        exception_modules: modules that may be imported for exceptions.
    """

    has_bytes = False

    def __init__(self, types: Iterable[type] = (), *, exception_modules: Iterable[str] = ()) -> None:
        self.types = DataTypes(types)
        named, every = ImportableModules(exception_modules), ImportableModules(every=True)
        self._values = TaggedValues(self.types, named, has_bytes=self.has_bytes)
        self._verified = TaggedValues(self.types, every, has_bytes=self.has_bytes)

    def allow_types_of(self, functions: Iterable[Callable[..., Any]]) -> None:
        """Allow the classes that stand in annotations and modules of these functions."""
        for kind in types_named_by(functions):
            self.types.add(kind)

    def _plain(self, data: dict[str, Any]) -> dict[str, Any]:
        plain, encode, found = self._values.plain, self._values.encode, {**data}
        for key, value in data.items():
            if key == "a" and type(value) is tuple:  # a list on the wire, which every reader can pass on
                found[key] = [item if type(item) in plain else encode(item) for item in value]
            elif type(value) not in plain and (value or type(value) is not dict):
                found[key] = encode(value)
        return found

    def _found(self, found: Any) -> dict[str, Any]:
        if type(found) is not dict:
            raise UnknownTypeError("it is no object with the keys of a job")
        if type(found.get("a")) is list:
            found["a"] = tuple(found["a"])
        return found


_TOO_DEEP = "a value is nested too deep for this codec, or contains itself"
_text_of = json.encoder.encode_basestring_ascii
#: What `serialize_job` and `serialize_result` have, without keyword arguments.
_JOB = '{"t":null,"f":%s,"a":%s,"k":{},"et":%s}'
_RESULT = '{"t":%s,"f":%s,"a":%s,"k":{},"et":%s,"s":%s,"r":%s,"st":%s,"ft":%s,"q":%s,"id":%s}'


def _json_encoder() -> Callable[[Any, int], Iterable[str]]:
    """What writes JSON in pieces. `JSONEncoder.encode` makes the same anew for each text: half of its time."""
    encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
    text = json.encoder.encode_basestring_ascii
    try:
        make = json.encoder.c_make_encoder  # type: ignore[attr-defined]
        pieces = make(None, encoder.default, text, None, ":", ",", False, False, False)
        if "".join(pieces({"a": [1]}, 0)) == '{"a":[1]}':
            found: Callable[[Any, int], Iterable[str]] = pieces
            return found
    except (TypeError, AttributeError):  # an implementation of Python that has none, or another one
        pass
    return lambda data, _: (encoder.encode(data),)


class JsonCodec(_TaggedCodec):
    """JSON, which programs in other languages can read and write.

    Args:
        types: classes of which objects may be made, beside those that are registered with `arq.codecs.register`, and,
            in a worker, those that its functions name in annotations and modules.
        exception_modules: modules that may be imported to bring exceptions back as what they were: full names, or
            `app.*` for `app` and all in it. Those that are imported already, and with signatures all others, need not
            be named.

    Raises:
        TypeError, ValueError: these are no names of modules.
    """

    name = "json"
    _encode = staticmethod(_json_encoder())

    def __init__(self, types: Iterable[type] = (), *, exception_modules: Iterable[str] = ()) -> None:
        super().__init__(types, exception_modules=exception_modules)
        self._decode = json.JSONDecoder(object_hook=self._values.hook).raw_decode
        self._decode_verified = json.JSONDecoder(object_hook=self._verified.hook).raw_decode
        self._decode_plain = json.JSONDecoder().raw_decode

    def recognizes(self, data: bytes) -> bool:
        return data.startswith(b"{")

    def dumps(self, data: dict[str, Any]) -> bytes:
        try:
            return "".join(self._encode(self._plain(data), 0)).encode()
        except (TypeError, ValueError, RecursionError) as exc:
            raise _unwritable(exc) from exc.__cause__

    def plain_job(self, job_try: int | None, function: str, args: Any, enqueue_ms: int) -> bytes | None:
        """What `dumps` writes of a job with plain arguments, none by name, in half of the time.

        None: it is another one, or odd.
        """
        written = self._plain_args(args)
        if written is None or job_try is not None or type(enqueue_ms) is not int or type(function) is not str:
            return None
        return (_JOB % (_text_of(function), written, enqueue_ms)).encode()

    def plain_result(
        self,
        function: str,
        args: Any,
        kwargs: Any,
        job_try: int,
        enqueue_ms: int,
        success: bool,
        result: Any,
        start_ms: int,
        finished_ms: int,
        _ref: str,
        queue: str,
        job_id: str,
    ) -> bytes | None:
        """The same for a result; what `serialize_result` takes."""
        if kwargs:
            return None
        written, value = self._plain_args(args), self.plain_value(result)
        if written is None or value is None:
            return None
        if not type(job_try) is type(enqueue_ms) is type(start_ms) is type(finished_ms) is int:
            return None
        if not type(function) is type(queue) is type(job_id) is str:
            return None
        done = "true" if success else "false"
        places = (job_try, _text_of(function), written, enqueue_ms, done, value, start_ms, finished_ms)
        return (_RESULT % (*places, _text_of(queue), _text_of(job_id))).encode()

    @property
    def plain_types(self) -> Container[object]:
        """Types of values that JSON has."""
        return self._values.plain

    def plain_value(self, value: Any) -> str | None:
        """A plain value as `dumps` writes it; None: it is more than that."""
        kind = type(value)
        if value is None or kind not in self._values.plain:
            return "null" if value is None else None
        if kind is str:
            return _text_of(value)
        try:
            return str(value) if kind is int else "".join(self._encode(value, 0))
        except ValueError:  # a number of more digits than Python writes
            return None

    def _plain_args(self, args: Any) -> str | None:
        """Positional arguments; None: some are more than plain values."""
        if type(args) is not tuple:
            return None
        plain = self._values.plain
        for item in args:
            if type(item) not in plain:
                return None
        try:
            return "".join(self._encode(args, 0)) if args else "[]"
        except ValueError:  # a number of more digits than Python writes
            return None

    def loads(self, data: bytes) -> dict[str, Any]:
        return self._read(data, decode=self._decode)

    def loads_verified(self, data: bytes) -> dict[str, Any]:
        is_ours = type(self).loads is JsonCodec.loads  # else somebody does more than we know
        return self._read(data, decode=self._decode_verified) if is_ours else self.loads(data)

    def reader(self, *, is_verified: bool) -> Callable[[bytes], dict[str, Any]]:
        """What `loads` or `loads_verified` does, with one call less: it is for each job."""
        return functools.partial(self._read, decode=self._decode_verified if is_verified else self._decode)

    def _read(self, data: bytes, *, decode: Callable[[str], tuple[Any, int]]) -> dict[str, Any]:
        # one sign is looked for faster than several
        has_tags = (b"$" in data and b'"$"' in data) or (b"\\" in data and b"\\u0024" in data)
        try:
            text = data.decode()
            found, end = (decode if has_tags else self._decode_plain)(text)
        except Exception as exc:
            raise _unreadable(exc, self.name) from exc
        if end < len(text) and text[end:].strip():
            raise CanNotRebuildError("it is JSON, and something behind it")
        if type(found) is dict and type(found.get("a")) is list:
            found["a"] = tuple(found["a"])
            return found
        return self._found(found)


class MsgpackCodec(_TaggedCodec):
    """msgpack: smaller than JSON, bytes are bytes. Needs the package `msgpack`.

    Args:
        types, exception_modules: see `JsonCodec`.

    Raises:
        ImportError: the package is not there.
        TypeError, ValueError: these are no names of modules.
    """

    name = "msgpack"
    has_bytes = True

    def __init__(self, types: Iterable[type] = (), *, exception_modules: Iterable[str] = ()) -> None:
        super().__init__(types, exception_modules=exception_modules)
        try:
            import msgpack
        except ImportError as exc:
            raise ImportError("codec 'msgpack' needs a package: pip install 'arq[msgpack]'") from exc
        self._packb, self._unpackb = msgpack.packb, msgpack.unpackb

    def recognizes(self, data: bytes) -> bool:
        return data.startswith(MSGPACK_MAPS)

    def dumps(self, data: dict[str, Any]) -> bytes:
        try:
            packed: bytes = self._packb(self._plain(data), use_bin_type=True, unicode_errors="surrogatepass")
        except (TypeError, ValueError, RecursionError) as exc:
            raise _unwritable(exc) from exc.__cause__
        return packed

    def loads(self, data: bytes) -> dict[str, Any]:
        return self._read(data, self._values)

    def loads_verified(self, data: bytes) -> dict[str, Any]:
        is_ours = type(self).loads is MsgpackCodec.loads
        return self._read(data, self._verified) if is_ours else self.loads(data)

    def _read(self, data: bytes, values: TaggedValues) -> dict[str, Any]:
        hook = values.hook
        try:
            found = self._unpackb(
                data,
                raw=False,
                object_hook=hook,
                ext_hook=_no_extension,
                timestamp=3,
                unicode_errors="surrogatepass",
            )
        except Exception as exc:
            raise _unreadable(exc, self.name) from exc
        return self._found(found)


def _no_extension(code: int, _: bytes) -> Any:
    raise UnknownTypeError(f"it has something of extension type {code}, and there are none here")


def _unwritable(exc: Exception) -> CanNotWriteError:
    """What is said of a value that can't be written, in one line."""
    if isinstance(exc, RecursionError):  # msgpack says it by a ValueError
        return CanNotWriteError(_TOO_DEEP)
    return CanNotWriteError(_TOO_DEEP if str(exc) == "recursion limit exceeded" else text_of(exc))


def _unreadable(exc: Exception, name: str) -> CanNotRebuildError:
    """What is said of bytes that can't be read: in one line, as it is for whoever looks for the remedy."""
    return (
        exc if isinstance(exc, CanNotRebuildError) else CanNotRebuildError(f"it is no {name}: {explain(exc)}")
    )


class FunctionsCodec(Codec):
    """A serializer and a deserializer of the application's, where payloads are to be signed.

    Args:
        dumps, loads: they.
    """

    name = "job_serializer"

    def __init__(
        self, dumps: Callable[[dict[str, Any]], Any] | None, loads: Callable[[bytes], dict[str, Any]] | None
    ) -> None:
        self._dumps, self._loads = dumps, loads

    def dumps(self, data: dict[str, Any]) -> bytes:
        payload = pickle.dumps(data) if self._dumps is None else self._dumps(data)
        return payload.encode() if isinstance(payload, str) else bytes(payload)

    def loads(self, data: bytes) -> dict[str, Any]:
        found: dict[str, Any] = pickle.loads(data) if self._loads is None else self._loads(data)
        return found


#: By name.
CODECS: dict[str, Callable[[], Codec]] = {"pickle": PickleCodec, "json": JsonCodec, "msgpack": MsgpackCodec}


def codec_of(option: str, given: object) -> Codec:
    """The codec of a name, or what was given as one.

    Raises:
        ValueError: there is none of this name.
        TypeError: it is neither a name nor a codec.
        ImportError: it needs a package that is not there.
    """
    if isinstance(given, str):
        make = CODECS.get(given)
        if make is None:
            raise ValueError(
                f"{option}: there is no codec {given!r}; there are {', '.join(CODECS)}, or a Codec"
            )
        return make()
    if not isinstance(given, Codec):
        raise TypeError(
            f"{option} must be the name of a codec or an arq.codecs.Codec, not {type(given).__name__}"
        )
    if not given.name or not isinstance(given.name, str):
        raise TypeError(f"{option}: {type(given).__name__} needs a name")
    return given
