"""HOST:PORT, as options have it. No I/O."""

from .option_row import OptionError


def words_of(text: str) -> tuple[str, ...]:
    """The words that stand between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def require_address(option: str, address: str, example: str) -> None:
    """See that this is an address, or nothing.

    Raises:
        OptionError: it is something else.
    """
    try:
        split_address(address or example)
    except ValueError as error:
        raise OptionError(option, repr(address), f"HOST:PORT, as in {example}") from error


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ValueError: it is no such thing.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(address)
    return host.removeprefix("[").removesuffix("]"), int(port)
