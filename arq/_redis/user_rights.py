"""What a user of Redis needs for arq, as rules of its access control. No I/O."""

from __future__ import annotations

import re

from .._keys import PREFIX

#: Commands, in the order of the rules: what is dangerous (FLUSHALL, KEYS, ...) is taken back from the groups before it.
_COMMANDS = "+@read +@write +@connection +@transaction -@dangerous +@blocking +eval +evalsha +time +info"
#: Where the keys have a hash tag, for they may be on a cluster.
RIGHTS_ON_CLUSTERS = "+cluster|slots +cluster|shards"


def rules_for(prefix: str, queue_name: str, health_key: str = "") -> list[str]:
    """Rules of a user for workers, producers, supervisors and operators of a queue, or of all queues under a prefix.

    Args:
        health_key: of the queue's workers, where that is another one than usual.
    """
    if prefix:
        patterns = [_pattern(prefix)]
        more = RIGHTS_ON_CLUSTERS.split() if "{" in prefix else []
    else:
        names = [name for name in (queue_name, health_key) if name and not name.startswith(PREFIX)]
        patterns = [_pattern(PREFIX)]
        for name in names:
            patterns += [f"~{_escaped(name)}", _pattern(f"{name}:")]
        more = []
    return [*patterns, *_COMMANDS.split(), *more]


def _pattern(beginning: str) -> str:
    return f"~{_escaped(beginning)}*"


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[\]^\\])", r"\\\1", name)
