"""What an exception means to a process that starts: is Redis away, does it refuse us, or is it our mistake?"""

from redis import exceptions as redis_errors

from arq._did_you_mean import password_hint
from arq._printable import text_of
from arq._redis.redis_errors import passes
from arq._redis.server_errors import is_wrong_server

from .printable_text import redacted

REFUSALS = (redis_errors.AuthenticationError, redis_errors.AuthorizationError, redis_errors.NoPermissionError)
REFUSAL_WORDS = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "Authentication required")
LONGEST = 500


def is_redis_away(error: BaseException) -> bool:
    """Would it help to wait? Redis can't be reached, is loading, or refuses to write for now."""
    return isinstance(error, Exception) and passes(error) and not redis_refusal(error)


def redis_refusal(error: BaseException) -> str:
    """The server's words when it does not let us in, else ""."""
    said = any(word in text_of(error) for word in REFUSAL_WORDS)
    is_refusal = isinstance(error, REFUSALS) or (isinstance(error, redis_errors.RedisError) and said)
    return short(error) if is_refusal else ""


def refusal_hint(error: BaseException, path: str) -> str:
    """Which setting it is about."""
    return f"{password_hint(error)}; see redis_settings of {path}"


def is_redis_wrong(error: BaseException) -> bool:
    """Do the settings lead to a server that no worker can use, whenever it is tried?"""
    return is_wrong_server(error)


def short(error: BaseException) -> str:
    """`Type: text` on one line."""
    if isinstance(error, SystemExit):
        return redacted(f"sys.exit({error.code!r})")[:LONGEST]
    text = redacted(" ".join(text_of(error).split()))
    name = type(error).__name__
    return f"{name}: {text}"[:LONGEST] if text else name
