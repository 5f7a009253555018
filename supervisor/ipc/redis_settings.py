"""Redis settings on their way from a worker to the steward: as a text that needs no user code to be read."""

import base64
import hashlib
import io
import pickle
from typing import Any

ALLOWED_MODULES = ("arq.", "redis.", "datetime", "ssl", "collections", "pathlib", "builtins", "socket")
LONGEST_TEXT = 48 * 1024


class _LibraryOnly(pickle.Unpickler):
    """Refuses what would import the application."""

    def find_class(self, module: str, name: str) -> Any:
        if not f"{module}.".startswith(ALLOWED_MODULES):
            raise pickle.UnpicklingError(f"{module}.{name} belongs to the application")
        return super().find_class(module, name)


def pack(settings: object) -> tuple[str, str]:
    """A short name for these settings and the settings as a text; ("", "") when they can not be handed over."""
    try:
        data = pickle.dumps(settings)
        unpack(text := base64.b64encode(data).decode())
    except Exception:  # noqa: BLE001  # whatever hinders, the worker then keeps its own lease
        return "", ""
    return (hashlib.sha256(data).hexdigest()[:12], text) if len(text) <= LONGEST_TEXT else ("", "")


def unpack(text: str) -> Any:
    """The settings that `pack` was given.

    Raises:
        Exception: the text is damaged, or needs modules of the application.
    """
    return _LibraryOnly(io.BytesIO(base64.b64decode(text))).load()
