"""The first thing that the command does: be ready for signals. Imports nothing that takes time."""

import os
import signal
import sys
import time

from .exit_codes import ExitCode, by_signal
from .host.controlling_terminal import Terminal

# with these, nothing is run: an interrupted question must not look answered
QUESTIONS = {"--check", "--ctl", "--check-settings", "--print-unit", "--help"}
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# they would end or halt the process; the supervisor takes them when it is there (`SignalPipe`)
LATER = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)


def stop_at_once_until_ready_to_stop() -> None:
    """A stop during the imports finds nobody to end: that is a clean end. The supervisor replaces these handlers.

    A reload finds no code that would be old. What else operators send waits.
    """
    if QUESTIONS.intersection(word.partition("=")[0] for word in sys.argv):
        signal.signal(
            signal.SIGINT, lambda *_: os._exit(by_signal(signal.SIGINT))
        )  # no traceback for a Ctrl-C
        return
    for number in STOPS:
        signal.signal(number, lambda *_: os._exit(ExitCode.OK))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` means it
        _stop_with_the_terminal()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    signal.pthread_sigmask(signal.SIG_BLOCK, LATER)


def _stop_with_the_terminal() -> None:
    terminal = Terminal()

    def hang_up(*_: object) -> None:
        if terminal.has_gone(time.monotonic()):
            os._exit(ExitCode.OK)

    signal.signal(signal.SIGHUP, hang_up)
