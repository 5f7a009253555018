# mypy: disable-error-code="import-not-found"
"""Sends requests; each answer, or that there was none, goes into the journal."""

import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from journal import note


def send(kind: str, *arguments: Any) -> None:
    """Begin a request; does not wait for the answer."""
    threading.Thread(target=_request, args=(kind, arguments), daemon=True).start()


def _request(kind: str, arguments: tuple[Any, ...]) -> None:
    query = urllib.parse.urlencode({"kind": kind, "argument": arguments}, doseq=True)
    url = f"http://127.0.0.1:{os.environ['FAULTS_PORT']}/?{query}"
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            note("answer", job=arguments[0], status=response.status)
    except (OSError, urllib.error.URLError) as error:
        note("broken", job=arguments[0], error=type(getattr(error, "reason", error)).__name__)
