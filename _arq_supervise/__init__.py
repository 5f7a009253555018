"""The console scripts `arq` and `arq-supervise`: a package of its own, since it finds out whether `arq` and
`supervisor` are the ones that it came with, before anything of them is run.
"""

from .console_scripts import arq, main

__all__ = ["arq", "main"]
