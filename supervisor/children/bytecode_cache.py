"""Cached bytecode that would hide a change.

Python trusts a .pyc whose source has the same size and the same modification time in whole seconds. Who changes a
file twice within a second, as editors, deploys and tests do, would get old code after a reload. So a child writes no
bytecode for a source that is younger than that.
"""

import importlib.machinery
import os
import time
from typing import Any

RACY_S = 2.0


def distrust_young_sources() -> None:
    """From now on, this process caches only what has not changed for a while."""
    loader: Any = importlib.machinery.SourceFileLoader
    cache = getattr(loader, "_cache_bytecode", None)
    if cache is None:
        return

    def cache_if_settled(self: Any, source_path: str, bytecode_path: str, data: bytes) -> None:
        try:
            is_young = time.time() - os.stat(source_path).st_mtime < RACY_S
        except OSError:
            return
        if not is_young:
            cache(self, source_path, bytecode_path, data)

    loader._cache_bytecode = cache_if_settled
