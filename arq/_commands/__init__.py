"""The commands for operators, `arq ls` and so on. Which there are is known without importing them."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A command: what it is about, its module in this package, and what it does in a line."""

    subject: str
    module: str
    help: str


#: A command is one module with a click command of its name.
COMMANDS: dict[str, Row] = {
    "ls": Row("Jobs", "ls", "List jobs, or count them by state."),
    "show": Row("Jobs", "show", "Show one job with what became of it."),
    "retry": Row("Jobs", "act", "Let jobs that wait for a time, or for another try, be due now."),
    "abort": Row("Jobs", "act", "Abort jobs: those who wait for a result hear of it."),
    "rm": Row("Jobs", "act", "Remove jobs that nobody runs, or their results."),
    "dead": Row("Jobs", "dead", "List, show, requeue and remove jobs that have failed for good."),
    "pause": Row("Queues", "pause", "Start no more jobs of a queue."),
    "resume": Row("Queues", "pause", "Start jobs of a queue again."),
    "stats": Row("Queues", "stats", "Show what became of jobs lately, by function, and how long they took."),
    "watch": Row("Queues", "watch", "Show counts, workers and running jobs, again and again."),
    "web": Row("Queues", "web", "Show all of it in a browser."),
    "acl": Row("Servers", "acl", "Print the rule for a user of Redis with just the rights that arq needs."),
    "crons": Row("Schedules", "crons", "List, pause, resume and run schedules."),
    "workers": Row("Workers", "workers", "List workers and what they run; quiet or stop one."),
    "audit": Row("Operators", "audit", "List what operators have done."),
}


def is_command(words: list[str]) -> bool:
    """Whether this command line is one for operators: a path of settings has a dot or a colon."""
    return bool(words) and words[0] in COMMANDS


def command_hint(word: str) -> str:
    """About a path of settings that is none: is there a command of nearly that name? To be put behind a text."""
    from difflib import get_close_matches

    close = get_close_matches(word, COMMANDS, 1, 0.6)
    return f"; or did you mean the command `arq {close[0]}`?" if close else ""
