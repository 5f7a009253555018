"""A dataclass as a frame: each field says what it is called there, and how it is read from what may be anything."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self, TypeVar, cast

from .frames import Frame, encode

Reader = Callable[[Frame, str], Any]
Member = dict[str, str | Reader]


class Message:
    """The base of all kinds. `KIND` is the name of this one in a frame.

    Without comparison and `repr`: made by `dataclass` for each kind, they take most of the time of an import.
    """

    __slots__ = ()
    KIND: ClassVar[str]

    def members(self) -> Mapping[str, object]:
        """What the frame says beside the kind."""
        return {wire: getattr(self, name) for name, wire, _ in _plan(type(self))}

    @classmethod
    def read(cls, frame: Frame) -> Self:
        """The message of this frame.

        Raises:
            TypeError, ValueError, KeyError, ArithmeticError: its members are not those of this kind.
        """
        return cls(**{name: reader(frame, wire) for name, wire, reader in _plan(cls)})

    def encode(self) -> bytes:
        """The frame, ready to be written."""
        return encode(self.KIND, self.members())


M = TypeVar("M", bound=Message)


def by_kind(*kinds: type[M]) -> Mapping[str, type[M]]:
    """Kinds of messages by their names in frames."""
    return {kind.KIND: kind for kind in kinds}


def read_message(frame: Frame, kinds: Mapping[str, type[M]]) -> M | None:
    """The message of this frame; None for a kind that is none of these.

    Raises:
        TypeError, ValueError, KeyError, ArithmeticError: its members are not those of its kind.
    """
    kind = kinds.get(frame.kind)
    return None if kind is None else kind.read(frame)


def named(wire: str, reader: Reader) -> Member:
    """Metadata of a field: its name in the frame, and how it is read."""
    return {"wire": wire, "reader": reader}


def text(wire: str) -> Member:
    """A text; "" where there is none."""
    return named(wire, Frame.text)


def flag(wire: str) -> Member:
    """True or false; false where it is neither."""
    return named(wire, Frame.flag)


def whole(wire: str) -> Member:
    """A whole number; 0 where there is none."""
    return named(wire, lambda frame, name: int(frame.number(name)))


def number(wire: str) -> Member:
    """A number; 0 where there is none."""
    return named(wire, Frame.number)


def _plan(kind: type[Message]) -> Iterator[tuple[str, str, Reader]]:
    for one in fields(cast("Any", kind)):
        yield one.name, one.metadata["wire"], one.metadata["reader"]
