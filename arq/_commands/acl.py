"""`arq acl`: a user of Redis for arq."""

from __future__ import annotations

import hashlib

import click

from .._redis.user_rights import rules_for
from ..connections import RedisSettings
from .exit_codes import ExitCode
from .target import Target, fail, say, with_target

_NO_PASSWORD = ">PASSWORD"  # noqa: S105  (to be replaced by one)


@click.command("acl")
@with_target
@click.option("--user", metavar="NAME", help="Name of the user.  [default: that of the address, or arq]")
@click.option(
    "--key-prefix", metavar="TEXT", help="Prefix of all keys.  [default: that of the address, or none]"
)
@click.option("--file", "as_file", is_flag=True, help="As a line of an ACL file or of redis.conf.")
def acl(target: Target, user: str | None, key_prefix: str | None, as_file: bool) -> None:
    """Print one line that makes a user of Redis with just the rights that workers, producers, arq-supervise and these
    commands need, for one queue, or for all under a key prefix. Redis is not asked.

    A password of the address stands there as its SHA-256; without one, put it in the place of PASSWORD. Of several
    servers there is a line for each.
    """
    for name, one in target.at_each():
        if name:
            say(f"{name}:")
        _print_rule(one, user, key_prefix, as_file=as_file)


def _print_rule(target: Target, user: str | None, key_prefix: str | None, *, as_file: bool) -> None:
    settings = target.redis
    if key_prefix is not None:
        settings = target.with_prefix(key_prefix)
    name = user or settings.username or "arq"
    if any(char.isspace() for char in target.queue + name):
        fail("the line has a word for each right: names with blanks in them can't be in it", ExitCode.USAGE)
    rules = " ".join(
        ["on", _password(settings), *rules_for(settings.key_prefix, target.queue, target.health_key)]
    )
    click.echo(f"user {name} {rules}" if as_file else f"ACL SETUSER {name} reset {rules}")


def _password(settings: RedisSettings) -> str:
    if not settings.password:
        return _NO_PASSWORD
    return "#" + hashlib.sha256(settings.password.encode()).hexdigest()
