"""Settings of a worker and of a connection to Redis, from the docstrings of `Worker` and `RedisSettings`."""

import inspect
from collections.abc import Iterator

from arq.connections import RedisSettings
from arq.worker import Worker

from .docstrings import parsed
from .markdown import GENERATED, code, table

WORKER = """# Settings of a worker

Attributes of the class that `arq` and `arq-supervise` are given, and arguments of `arq.Worker`. Instances, modules,
dicts and inherited attributes do as well. `arq-supervise app.Settings --check-settings` says what is in them.

"""
REDIS = """# RedisSettings and addresses

Fields of `arq.connections.RedisSettings`, for `redis_settings` of a worker and `arq.create_pool`.

"""
DSN = """
## Addresses

`RedisSettings.from_dsn(text)` takes:

| address | what it is |
| --- | --- |
| `redis://HOST:PORT/DATABASE` | TCP. Without a port: 6379; without a database: 0 |
| `redis://USER:PASSWORD@HOST/DATABASE` | the same with a user, both percent-encoded |
| `redis://:PASSWORD@HOST` | the same without a name |
| `rediss://HOST:PORT/DATABASE` | TLS |
| `unix:///PATH?db=DATABASE` | a unix socket |
| `redis+cluster://HOST:PORT,HOST:PORT?key_prefix={app}:` | nodes of a cluster, one or some; `rediss+cluster://` with TLS |

`?db=DATABASE` may stand for the path, and `?key_prefix=app:` is a prefix of all keys. What else a query has is left alone: other
options are fields.

"""


def worker_page() -> str:
    """The page of a worker's settings."""
    said = parsed(Worker.__doc__)
    rows = list(_rows(Worker, "Args"))
    head = "".join(f"{paragraph}\n\n" for paragraph in said.paragraphs[1:])
    errors = "".join(f"* {', '.join(map(code, one.names))}: {one.text}\n" for one in said.sections["Raises"])
    return (
        GENERATED.format(source="the docstring of `arq.Worker`")
        + WORKER
        + head
        + table(("setting", "default", "what it does"), rows)
        + f"\n## What is refused\n\n{errors}"
    )


def redis_page() -> str:
    """The page of a connection's settings."""
    from_dsn = parsed(RedisSettings.from_dsn.__doc__)
    text = "".join(f"{paragraph}\n\n" for paragraph in from_dsn.paragraphs)
    errors = "".join(
        f"* {', '.join(map(code, one.names))}: {one.text}\n" for one in from_dsn.sections["Raises"]
    )
    return (
        GENERATED.format(source="the docstring of `RedisSettings`")
        + REDIS
        + table(("field", "default", "what it is"), _rows(RedisSettings, "Attributes"))
        + DSN
        + text
        + f"What is refused:\n\n{errors}"
    )


def _rows(owner: type, section: str) -> Iterator[tuple[str, str, str]]:
    """Each parameter with its default and text; one without a text is an error."""
    said = parsed(owner.__doc__)
    for name, parameter in inspect.signature(owner).parameters.items():
        text = said.entry(section, name).text
        about, _, default = text.partition(" Default: ")
        yield code(name), _default(default, parameter), about if default else text


def _default(said: str, parameter: inspect.Parameter) -> str:
    """What the text says, else the value itself."""
    return said.rstrip(".") or code(
        "required" if parameter.default is parameter.empty else repr(parameter.default)
    )
