"""Public functions and classes: signatures, units, ranges, defaults and what is raised, from their docstrings."""

import enum
import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any

from .docstrings import Docstring, parsed
from .markdown import GENERATED

#: Modules that applications import from -> what a page says of them.
MODULES = {
    "arq": "What most applications need. Times are seconds or `timedelta`, if nothing else is said.",
    "arq.connections": "The connection to Redis, and everything a producer does with it.",
    "arq.shards": "One queue on several servers. When and how: [scaling](../scaling.md).",
    "arq.codecs": "How jobs and results are written: codecs, keys that sign and encrypt, classes that may be made.",
    "arq.jobs": "A job, its result, and how both are turned into bytes.",
    "arq.worker": "The worker. Its options are on a page of their own: [settings of a worker](settings.md).",
    "arq.cron": "Schedules.",
    "arq.admin": "What operators see and do. The [commands of arq](arq-commands.md) are made of it.",
    "arq.typing": "Names for annotations.",
    "arq.logs": "The log configuration of the command line.",
    "arq.utils": "Conversions of time, short texts, dotted paths.",
    "supervisor": 'A pool from Python: `supervisor.run(supervisor.Options("app.Settings", procs=4))`.',
}
#: Documented on pages of their own.
ELSEWHERE = {
    "arq.connections.RedisSettings": "redis-settings.md",
    "arq.worker.Worker": "settings.md",
    "supervisor.options.Options": "options.md",
}
STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
OURS = ("arq", "supervisor")
TITLES = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises"}


def file_of(module: str) -> str:
    """The name of a module's page."""
    return f"api-{module.replace('.', '-')}.md"


def page(name: str) -> str:
    """The page of a module."""
    module = importlib.import_module(name)
    head = GENERATED.format(source=f"the docstrings of {name}")
    return f"{head}# {name}\n\n{MODULES[name]}\n" + "".join(
        _described(module, one) for one in public_names(module)
    )


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: `__all__`, or functions and classes of its own."""
    offered = getattr(module, "__all__", None)
    if offered is not None:
        return sorted(offered, key=str.lower)
    own = [name for name, one in vars(module).items() if getattr(one, "__module__", None) == module.__name__]
    return sorted((name for name in own if not name.startswith("_")), key=str.lower)


def home_of(one: Any) -> str:
    """The module under which an object is documented, "" for one that has none."""
    module = str(getattr(one, "__module__", ""))
    return module if module in MODULES and not isinstance(one, str | tuple | int) else ""


def _described(module: ModuleType, name: str) -> str:
    one = inspect.unwrap(getattr(module, name))
    path = f"{getattr(one, '__module__', '')}.{name}"
    title = f"\n## {name}\n\n"
    if path in ELSEWHERE and not _is_home(module, one):
        return f"{title}See [{path.rpartition('.')[2]}]({ELSEWHERE[path]}).\n"
    if not (inspect.isclass(one) or inspect.isfunction(one)):
        return title + _of_value(module, name, one)
    if not str(one.__module__).startswith(OURS):
        return f"{title}That of `{one.__module__}`.\n"
    if not _is_home(module, one) and home_of(one):
        return f"{title}[{path}]({file_of(home_of(one))}#{name.lower()})\n"
    if inspect.isfunction(one):
        return title + _of_function(name, one)
    return title + _of_class(path, name, one)


def _is_home(module: ModuleType, one: Any) -> bool:
    return home_of(one) == module.__name__


def _of_value(module: ModuleType, name: str, one: Any) -> str:
    """A constant or a type alias; what is said of it is the comment above it."""
    if isinstance(one, str | int | tuple | list):
        return f"{_comment(module, name)} `{one!r}`\n".lstrip()
    return f"{_comment(module, name) or 'A type for annotations.'}\n"


def _comment(module: ModuleType, name: str) -> str:
    lines: list[str] = []
    for line in inspect.getsource(module).splitlines():
        if line.startswith((f"{name} =", f"{name}:")):
            return " ".join(lines)
        lines = [*lines, line.removeprefix("#: ")] if line.startswith("#: ") else []
    return ""


def _of_function(name: str, function: Any) -> str:
    word = "async " if inspect.iscoroutinefunction(function) else ""
    return _call(f"{word}{name}", function) + _text(parsed(function.__doc__))


def _of_class(path: str, name: str, one: type) -> str:
    if path in ELSEWHERE:
        head = f"Its arguments: [{name}]({ELSEWHERE[path]}).\n"
    elif issubclass(one, enum.Enum):
        head = _text(parsed(one.__doc__)) + "".join(_members(one))
    else:
        head = _call(f"class {name}", one) if _has_own_arguments(one) else ""
        head += _text(parsed(one.__doc__))
    return head + "".join(_member(name, member, found) for member, found in _own_members(one))


def _has_own_arguments(one: type) -> bool:
    """Protocols and plain exceptions have those of Python."""
    made_in = str(getattr(one.__init__, "__module__", ""))  # type: ignore[misc]
    return is_dataclass(one) or made_in.startswith(OURS)


def _members(one: type[enum.Enum]) -> Iterator[str]:
    said = ""
    for line in _source_of(one).splitlines():
        text, word = line.strip(), line.strip().partition(" =")[0]
        if word in one.__members__:
            yield f"* `{word}`" + (f": {said}" if said else "") + "\n"
        said = text.removeprefix("#: ") if text.startswith("#: ") else ""


def _source_of(one: type) -> str:
    """The module in which a class stands, from its head on; it may claim to be another's."""
    head = f"\nclass {one.__name__}("
    for name, module in sorted(sys.modules.items()):
        if name.startswith(OURS) and one.__name__ in vars(module):
            _, found, rest = inspect.getsource(module).partition(head)
            if found:
                return found + rest.partition("\nclass ")[0]
    raise LookupError(f"no module has class {one.__name__}")


def _own_members(one: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that this project has written, by name."""
    found: dict[str, Any] = {}
    for kind in reversed(one.__mro__):
        if kind.__module__.partition(".")[0] in OURS and not issubclass(one, enum.Enum):
            found |= {name: member for name, member in vars(kind).items() if not name.startswith("_")}
    for name, member in sorted(found.items()):
        inner = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if (inspect.isfunction(inner) or isinstance(inner, property)) and inner.__doc__:
            yield name, inner


def _member(owner: str, name: str, member: Any) -> str:
    title = f"\n### {owner}.{name}\n\n"
    if isinstance(member, property):
        return title + _text(parsed(member.__doc__))
    word = "async " if inspect.iscoroutinefunction(member) else ""
    return title + _call(f"{word}{name}", member) + _text(parsed(member.__doc__))


def _call(name: str, one: Any) -> str:
    """The signature: names and defaults. Types are said in words."""
    try:
        signature = inspect.signature(one)
    except ValueError:
        return ""
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        star = STARS.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_shown(parameter.default)}"
        parts.append(f"{star}{parameter.name}{default}")
    return f"```text\n{_wrapped(name, parts)}\n```\n\n"


def _wrapped(name: str, parts: list[str]) -> str:
    line = f"{name}({', '.join(parts)})"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _shown(default: Any) -> str:
    text = repr(default)
    return "..." if " at 0x" in text or "object>" in text or "factory" in text else text


def _text(said: Docstring) -> str:
    found = "".join(f"{paragraph}\n\n" for paragraph in said.paragraphs if paragraph)
    for section, title in TITLES.items():
        if section == "Raises" and said.returns:
            found += f"**Returns**: {said.returns}\n\n"
        if entries := said.sections.get(section):
            lines = "".join(
                f"* {', '.join(f'`{name}`' for name in one.names)}: {one.text}\n" for one in entries
            )
            found += f"**{title}**\n\n{lines}\n"
    return found
