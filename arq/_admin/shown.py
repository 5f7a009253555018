"""Values of payloads as text and as JSON: bounded whatever they are. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, NamedTuple

from .._payloads.pickle_errors import Recipe
from .._printable import printable
from ..utils import truncate
from .restricted import UnreadableError

_LARGEST_BITS = 4096


class Bounds(NamedTuple):
    """How much of a value is shown: characters of a text, items of a collection, levels, and values in all."""

    characters: int
    items: int
    levels: int
    values: int


SHORT = Bounds(60, 5, 3, 40)
FULL = Bounds(4000, 200, 10, 2000)
#: Of one job, for whoever asks for all of it.
WHOLE = Bounds(1_000_000, 10_000, 30, 100_000)


def shown_call(args: Any, kwargs: Any, bounds: Bounds = SHORT) -> str:
    """Arguments as they stand in a call, on one line."""
    shower = _Shower(bounds)
    positional = args if isinstance(args, list | tuple) else ()
    named = kwargs if isinstance(kwargs, dict) else {}
    parts = [shower.text(value) for value in shower.some(positional)]
    parts += [f"{_name(name)}={shower.text(value)}" for name, value in shower.some(named.items())]
    parts += ["…"] if len(positional) + len(named) > len(parts) else []
    return printable(", ".join(parts))


def shown(value: Any, bounds: Bounds = SHORT) -> str:
    """A value as Python would write it, on one line."""
    return printable(_Shower(bounds).text(value))


def as_json(value: Any, bounds: Bounds = FULL) -> Any:
    """A value as JSON has it: what JSON has no word for is text."""
    return _Shower(bounds).json(value)


def _name(name: Any) -> str:
    return truncate(name if isinstance(name, str) else repr(type(name)), 60)


class _Shower:
    """Shows one value; counts what it has shown."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._values = 0

    def some(self, items: Iterable[Any]) -> list[Any]:
        return list(islice(items, self._bounds.items))

    def _is_enough(self, level: int) -> bool:
        self._values += 1
        return level >= self._bounds.levels or self._values > self._bounds.values

    def text(self, value: Any, level: int = 0) -> str:
        if isinstance(value, Recipe):
            return self._recipe(value, level)
        if isinstance(value, dict):
            return self._listed("{", "}", value, lambda key: f"{self.text(key, level + 1)}: ", level)
        for kind, opening, closing in ((list, "[", "]"), (tuple, "(", ")"), (set, "{", "}")):
            if isinstance(value, kind):
                return self._listed(opening, closing, value, None, level)
        if isinstance(value, frozenset):
            return self._listed("frozenset({", "})", value, None, level)
        return self._plain(value)

    def _plain(self, value: Any) -> str:
        self._values += 1
        if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
            return f"<int of {value.bit_length()} bits>"
        most = self._bounds.characters
        if isinstance(value, str | bytes | bytearray):
            return repr(value[:most]) + ("…" if len(value) > most else "")
        return truncate(repr(value), most)

    def _listed(
        self, opening: str, closing: str, items: Any, before: Callable[[Any], str] | None, level: int
    ) -> str:
        if not items:
            return {"{": "{}" if before else "set()"}.get(opening, opening + closing)
        if self._is_enough(level):
            return f"{opening}…{closing}"
        parts = []
        for item in self.some(items):
            named = f"{before(item)}{self.text(items[item], level + 1)}" if before else ""
            parts.append(named or self.text(item, level + 1))
        parts += ["…"] if len(items) > len(parts) else []
        end = "," if opening == "(" and len(parts) == 1 else ""
        return f"{opening}{', '.join(parts)}{end}{closing}"

    def _recipe(self, recipe: Recipe, level: int) -> str:
        name = repr(type(recipe)).removeprefix("builtins.")
        known = _known(recipe)
        if known is not None:
            self._values += 1
            return truncate(known, self._bounds.characters)
        if self._is_enough(level):
            return f"{name}(…)"
        state = recipe.state if isinstance(recipe.state, dict) else {}
        named = {**recipe.kwargs, **state}
        parts = [self.text(value, level + 1) for value in self.some(recipe.args)]
        parts += [f"{_name(key)}={self.text(one, level + 1)}" for key, one in self.some(named.items())]
        parts += ["…"] if len(recipe.args) + len(named) > len(parts) else []
        return f"{name}({', '.join(parts + self._filled_in(recipe, level + 1))})"

    def _filled_in(self, recipe: Recipe, level: int) -> list[str]:
        """What is put into a collection after it was made."""
        items = [one for kind, what in recipe.steps if kind == "extend" for one in what]
        items += [what for kind, what in recipe.steps if kind == "add"]
        pairs = [what for kind, what in recipe.steps if kind == "set"]
        found = [self.text(items, level)] if items else []
        if pairs and not self._is_enough(level):
            shown_pairs = [
                f"{self.text(key, level)}: {self.text(one, level)}" for key, one in self.some(pairs)
            ]
            shown_pairs += ["…"] if len(pairs) > len(shown_pairs) else []
            found.append(f"{{{', '.join(shown_pairs)}}}")
        return found

    def json(self, value: Any, level: int = 0) -> Any:
        if isinstance(value, dict | list | tuple | set | frozenset):
            if self._is_enough(level):
                return "…"
            more = ["…"] if len(value) > self._bounds.items else []
            if isinstance(value, dict):
                found = {self._key(key): self.json(one, level + 1) for key, one in self.some(value.items())}
                return found | dict.fromkeys(more, "…")
            return [self.json(one, level + 1) for one in self.some(value)] + more
        if isinstance(value, str):
            self._values += 1
            return truncate(value, self._bounds.characters)
        if value is None or isinstance(value, bool) or _is_number(value):
            self._values += 1
            return value
        return self.text(value, level)

    def _key(self, key: Any) -> str:
        return truncate(key, self._bounds.characters) if isinstance(key, str) else self.text(key, 1)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and value.bit_length() <= _LARGEST_BITS


def _known(recipe: Recipe) -> str | None:
    """What people know by a shorter name than by how it is made."""
    show = _KNOWN.get((type(recipe).module, type(recipe).name))
    if show is None or len(recipe.steps) > 1:
        return None
    try:
        return show(recipe)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, UnreadableError):
        return None


def _packed(recipe: Recipe) -> bytes:
    (data, *zone) = recipe.args
    if not isinstance(data, bytes) or len(data) > 10:
        raise UnreadableError("no packed time")
    if zone and isinstance(zone[0], Recipe):
        return data
    if zone:
        raise UnreadableError("no timezone")
    return data


def _datetime(recipe: Recipe) -> str:
    text = datetime(_packed(recipe)).isoformat()  # type: ignore[arg-type, call-arg]  # noqa: DTZ001  (as pickle does)
    return text if len(recipe.args) < 2 else f"{text}{_offset(recipe.args[1])}"


def _offset(zone: Recipe) -> str:
    name = (type(zone).module, type(zone).name)
    if name == ("datetime", "timezone") and zone.args and isinstance(zone.args[0], Recipe):
        offset = timedelta(*zone.args[0].args)
        minutes = offset // timedelta(minutes=1)
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    if len(zone.args) and isinstance(zone.args[-1], str):
        return f" {truncate(zone.args[-1], 60)}"
    named = [one for one in zone.args if isinstance(one, str)]
    return f" {truncate(named[0], 60)}" if named else f" {type(zone)!r}"


def _state_of_uuid(recipe: Recipe) -> str:
    number = recipe.state["int"]
    if not isinstance(number, int) or not 0 <= number < 1 << 128:
        raise UnreadableError("no UUID")
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _first_text(recipe: Recipe) -> str:
    (text,) = recipe.args
    if not isinstance(text, str):
        raise UnreadableError("no text")
    return text


_KNOWN: dict[tuple[str, str], Callable[[Recipe], str]] = {
    ("datetime", "datetime"): _datetime,
    ("datetime", "date"): lambda r: date(_packed(r)).isoformat(),  # type: ignore[arg-type, call-arg]
    ("datetime", "time"): lambda r: time(_packed(r)).isoformat(),  # type: ignore[arg-type]
    ("datetime", "timedelta"): lambda r: str(timedelta(*r.args)),
    ("decimal", "Decimal"): _first_text,
    ("uuid", "UUID"): _state_of_uuid,
}
