"""How the commands for operators end."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes; see `MEANINGS`."""

    DONE = 0
    NOT_ALL = 1
    USAGE = 2
    REDIS = 3
    INTERRUPTED = 130


#: The table of docs/reference/arq-commands.md is made of it.
MEANINGS = {
    ExitCode.DONE: "Done. Of a list: also if it is empty.",
    ExitCode.NOT_ALL: "Not done, or not for all: an id is unknown, runs, or has another job by now; there is no "
    "such queue; the answer to the question was no.",
    ExitCode.USAGE: "A wrong command line; or a question that nobody could answer, since this is no terminal.",
    ExitCode.REDIS: "Redis can't be reached or refuses, or went away before all was done: run the command again. Of "
    "several servers: one could not be asked, and something may be missing.",
    ExitCode.INTERRUPTED: "Ctrl-C.",
}
