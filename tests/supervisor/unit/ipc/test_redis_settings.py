"""Redis settings on their way from a worker to the steward."""

from datetime import timedelta

from arq.connections import RedisSettings
from supervisor.ipc.redis_settings import pack, unpack


class OfTheApplication(RedisSettings):
    """Only the application knows this class."""


def test_redis_settings_are_handed_over() -> None:
    given_settings = RedisSettings(host="h", password="secret", retry_on_error=[TimeoutError])
    name, text = pack(given_settings)
    assert name
    assert unpack(text) == given_settings


def test_settings_that_need_the_application_are_not() -> None:
    assert pack(OfTheApplication()) == ("", "")
    assert pack(lambda: None) == ("", "")
    assert pack(timedelta(1))[0] != ""
