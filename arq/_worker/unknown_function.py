"""What may have been meant by the name of a function that a worker does not have. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from .._printable import printable

_ALIKE = 0.7
#: Longer names are of no known kind, and take long to be compared.
_LONGEST = 100
_MOST_COMPARED = 1000
#: As many names are told, and so much of each.
_MOST_TOLD, _MOST_OF_A_NAME = 10, 60


def hint(name: str, known: Iterable[str]) -> str:
    """The name that was meant, if that can be told, and the names that there are: a few of them."""
    return _hint(name, tuple(known))


@lru_cache(maxsize=64)  # whoever enqueues a wrong name does so again
def _hint(name: str, known: tuple[str, ...]) -> str:
    meant = _meant(name, known) if len(name) <= _LONGEST else ""
    told = [_short(one) for one in known[:_MOST_TOLD]]
    more = f" and {len(known) - len(told)} more" if len(known) > len(told) else ""
    question = f"did you mean {_short(meant)}? " if meant else ""
    return f"{question}this worker has {', '.join(told)}{more}"


def _meant(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    for one in known:
        if _last(one) == _last(name):
            return one
    by_form = {_plain(one): one for one in known[:_MOST_COMPARED]}
    close = get_close_matches(_plain(name), by_form, 1, _ALIKE)
    return by_form[close[0]] if close else ""


def _last(name: str) -> str:
    """Of `app.tasks.send`, `app.tasks:send` and `cron:send` alike: `send`."""
    return _plain(name).replace(":", ".").rpartition(".")[2]


def _plain(name: str) -> str:
    """`sendMail`, `send-mail` and `send_mail` are one name."""
    return name.casefold().replace("_", "").replace("-", "")


def _short(name: str) -> str:
    return printable(name[:_MOST_OF_A_NAME])
