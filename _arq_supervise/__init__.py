"""The console scripts `arq` and `arq-supervise`, which first see whether these two packages are the right ones."""

from .console_scripts import arq, main

__all__ = ["arq", "main"]
