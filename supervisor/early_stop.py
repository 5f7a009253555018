"""The first thing that the command does: be ready for a stop. Imports nothing that takes time."""

import os
import signal
import sys

from .exit_codes import ExitCode, by_signal

# with these, nothing is run: an interrupted question must not look answered
QUESTIONS = {"--check", "--ctl", "--check-settings", "--print-unit", "--help"}


def stop_at_once_until_ready_to_stop() -> None:
    """A stop during the imports finds nobody to end: that is a clean end. The supervisor replaces these handlers."""
    if QUESTIONS.intersection(word.partition("=")[0] for word in sys.argv):
        signal.signal(
            signal.SIGINT, lambda *_: os._exit(by_signal(signal.SIGINT))
        )  # no traceback for a Ctrl-C
        return
    stops = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    for number in stops:
        signal.signal(number, lambda *_: os._exit(ExitCode.OK))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
